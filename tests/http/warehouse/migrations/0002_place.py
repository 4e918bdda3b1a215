"""A column more, and an index that is built beside the site's traffic."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("warehouse", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="shelf", name="place", field=models.CharField(blank=True, max_length=40, default="")
        ),
    ]
