"""A row, which nothing takes away again."""

from typing import Any

from django.db import migrations


def put_up(apps: Any, schema_editor: Any) -> None:
    apps.get_model("warehouse", "Shelf").objects.using(schema_editor.connection.alias).create(name="first")


class Migration(migrations.Migration):
    dependencies = [("warehouse", "0002_place")]

    operations = [migrations.RunPython(put_up)]
