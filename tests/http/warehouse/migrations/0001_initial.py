"""The tables, one that tells a later migration whether to fail, and one for a migration to meddle with."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Shelf",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(max_length=40)),
            ],
        ),
        migrations.CreateModel(
            name="Box",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(max_length=40)),
                (
                    "shelf",
                    models.ForeignKey(
                        on_delete=models.deletion.CASCADE, related_name="boxes", to="warehouse.shelf"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Label",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("text", models.CharField(max_length=40)),
                (
                    "box",
                    models.ForeignKey(
                        on_delete=models.deletion.CASCADE, related_name="labels", to="warehouse.box"
                    ),
                ),
            ],
        ),
        migrations.RunSQL("CREATE TABLE warehouse_stop (why text)", "DROP TABLE warehouse_stop"),
        migrations.RunSQL("CREATE TABLE warehouse_meddled (why text)", "DROP TABLE warehouse_meddled"),
    ]
