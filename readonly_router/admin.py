"""The admin that is view-only while the site is read-only: what to list in place of `django.contrib.admin`."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class ReadOnlyAdminConfig(AdminConfig):
    """Django's admin; in read-only mode its forms are views, and operators find the switch in it.

    List it in INSTALLED_APPS as `readonly_router.admin.ReadOnlyAdminConfig`. A project with an AdminSite of its
    own keeps it: derive from this class and set `default_site`.
    """

    default_site = "readonly_router.admin_site.ReadOnlyAdminSite"

    def ready(self) -> None:
        # Here and not above: Django imports this module before there are models.
        from . import admin_site  # noqa: PLC0415 - see above
        from .operations import history  # noqa: PLC0415 - see above

        admin_site.install()
        super().ready()
        history.register()
