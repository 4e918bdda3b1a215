"""An operation that writes by itself, whatever it is asked for: to collect its SQL must not do it."""

from typing import Any

from django.db import connections, migrations
from django.db.migrations.operations.base import Operation


class Meddle(Operation):
    reversible = False

    def state_forwards(self, app_label: str, state: Any) -> None:
        pass

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        with connections[schema_editor.connection.alias].cursor() as cursor:
            cursor.execute("INSERT INTO warehouse_meddled VALUES ('meddled')")

    def describe(self) -> str:
        return "Meddles"


class Migration(migrations.Migration):
    dependencies = [("warehouse", "0004_place")]

    operations = [Meddle()]
