from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("readonly_router", "0001_initial")]

    operations = [
        migrations.AlterModelOptions(
            name="event",
            options={
                "default_permissions": ("view",),
                "ordering": ("-id",),
                "permissions": (
                    ("switch", "Can switch the site read-only and back"),
                    ("migrate", "Can run migrations in the admin"),
                ),
                "verbose_name": "switch event",
            },
        ),
    ]
