"""The audit events of the switch: who switched which writer, when, why, until when, and the receipt."""

from __future__ import annotations

from datetime import datetime

from django.db import models

from .installed import refuse_without_app
from .mark import EVENTS

# Otherwise Django tells of an app_label that is missing.
refuse_without_app(__name__)


class Event(models.Model):
    """One act of an operator, written in the transaction of the act itself.

    `kind` is `on`, `amended` (another reason or end of an `on`), `off`, `undone` (an `on` that missed its deadline
    or was interrupted), `exec` or `migrate`; `roles` lists the roles fenced, `receipt` is the receipt of an `on`
    once it was proved, `details` what the act adds.
    """

    at: models.Field[datetime, datetime] = models.DateTimeField()
    kind: models.Field[str, str] = models.CharField(max_length=10)
    alias: models.Field[str, str] = models.TextField()
    roles = models.JSONField(default=list)
    reason: models.Field[str, str] = models.TextField(blank=True)
    eta: models.Field[datetime | None, datetime | None] = models.DateTimeField(null=True, blank=True)
    by: models.Field[str, str] = models.TextField()
    os_user: models.Field[str, str] = models.TextField()
    host: models.Field[str, str] = models.TextField()
    receipt = models.JSONField(null=True, blank=True)
    details = models.JSONField(default=dict)

    class Meta:
        db_table = EVENTS
        ordering = ("-id",)
        default_permissions = ("view",)
        permissions = (
            ("switch", "Can switch the site read-only and back"),
            ("migrate", "Can run migrations in the admin"),
        )
        verbose_name = "switch event"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S %Z} {self.kind} {self.alias} by {self.by}"
