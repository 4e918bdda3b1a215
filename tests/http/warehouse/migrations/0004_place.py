"""A column as the models have it; waits as long as somebody locks the table of stops, fails if one is in it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("warehouse", "0003_first_shelf")]

    operations = [
        migrations.RunSQL("SELECT 1 / (SELECT (count(*) = 0)::int FROM warehouse_stop)", migrations.RunSQL.noop),
        migrations.AlterField(model_name="shelf", name="place", field=models.CharField(blank=True, max_length=40)),
    ]
