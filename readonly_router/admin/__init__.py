"""The admin that is view-only while the site is read-only: what to list in place of `django.contrib.admin`."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig

from ..installed import refuse_without_app


class ReadOnlyAdminConfig(AdminConfig):
    """Django's admin; in read-only mode its forms are views, and operators find the switch in it.

    List it in INSTALLED_APPS as `readonly_router.admin.ReadOnlyAdminConfig`. A project with an AdminSite of its
    own keeps it: derive from this class and set `default_site`.
    """

    default_site = "readonly_router.admin.site.ReadOnlyAdminSite"

    def ready(self) -> None:
        refuse_without_app(f"{type(self).__module__}.{type(self).__qualname__}")
        # Here and not above: Django imports this module before there are models.
        from ..operations import history  # noqa: PLC0415 - models are not loaded yet
        from . import site  # noqa: PLC0415 - models are not loaded yet

        site.install()
        super().ready()
        history.register()
