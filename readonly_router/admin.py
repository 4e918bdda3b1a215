"""The admin that is view-only while the site is read-only: what to list in place of `django.contrib.admin`."""

from __future__ import annotations

from django.apps import apps
from django.contrib.admin.apps import AdminConfig

from .errors import ConfigurationError


class ReadOnlyAdminConfig(AdminConfig):
    """Django's admin; in read-only mode its forms are views, and operators find the switch in it.

    List it in INSTALLED_APPS as `readonly_router.admin.ReadOnlyAdminConfig`. A project with an AdminSite of its
    own keeps it: derive from this class and set `default_site`.
    """

    default_site = "readonly_router.admin_site.ReadOnlyAdminSite"

    def ready(self) -> None:
        if not apps.is_installed("readonly_router"):
            raise ConfigurationError(
                f"{type(self).__module__}.{type(self).__qualname__} needs the app of the switch; "
                "add 'readonly_router' to INSTALLED_APPS."
            )
        # Here and not above: Django imports this module before there are models.
        from . import admin_site  # noqa: PLC0415 - models are not loaded yet
        from .operations import history  # noqa: PLC0415 - models are not loaded yet

        admin_site.install()
        super().ready()
        history.register()
