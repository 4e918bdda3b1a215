"""The audit events in the admin: to be looked at, and nothing else."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy

from ..models import Event
from . import board


class EventAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # the class takes no argument when it runs
    """Every act of an operator, with its receipt; nobody changes one here, superusers included."""

    list_display = ("at", "kind", "alias", "by", "reason", "outcome")
    list_filter = ("kind", "alias", "at")
    search_fields = ("reason", "by", "os_user", "host")
    fields = ("at", "kind", "alias", "roles", "reason", "eta", "by", "os_user", "host", "outcome", "told", "proof")

    @admin.display(description=gettext_lazy("outcome"))
    def outcome(self, event: Event) -> str:
        return board.told(event)

    @admin.display(description=gettext_lazy("details"))
    def told(self, event: Event) -> str:
        return _as_text(event.details)

    @admin.display(description=gettext_lazy("receipt"))
    def proof(self, event: Event) -> str:
        return _as_text(event.receipt)

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False


def _as_text(found: Any) -> str:
    if not found:
        return ""
    return format_html("<pre>{}</pre>", json.dumps(found, indent=2, ensure_ascii=False))


def register() -> None:
    """Put the events into the default admin site, unless the project did so itself."""
    if not admin.site.is_registered(Event):
        admin.site.register(Event, EventAdmin)
