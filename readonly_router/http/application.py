"""Which code is the application's: the project's own, and the apps it installs; only that may be skipped."""

from __future__ import annotations

import sys
import sysconfig
from importlib.util import find_spec
from pathlib import PurePath

from django.apps import apps

# What stands below every application: skipping a part of it may switch off what protects the site.
FRAMEWORKS = frozenset(
    {"django", "rest_framework", "asgiref", "psycopg", "psycopg_pool", __name__.partition(".")[0]}
)
_INSTALLED = frozenset({"site-packages", "dist-packages"})


def is_framework(module: str) -> bool:
    """Return whether a module is of a framework, or of Python itself."""
    top = module.partition(".")[0]
    return top in FRAMEWORKS or _is_pythons(top)


def _is_pythons(top: str) -> bool:
    """Return whether a package is of the standard library; a project may have one of the same name (`profile`)."""
    file = getattr(sys.modules.get(top), "__file__", None) or sysconfig.get_path("stdlib")
    return top in sys.stdlib_module_names and file.startswith(sysconfig.get_path("stdlib"))


def is_applications(path: str) -> bool:
    """Return whether a dotted path, or a module, is of an installed app or of the project. Imports nothing."""
    if is_framework(path):
        return False
    names = (config.name for config in apps.get_app_configs())
    return any(f"{path}.".startswith(f"{name}.") for name in names) or _is_of_the_project(path.partition(".")[0])


def _is_of_the_project(top: str) -> bool:
    """Return whether no package manager installed a package; one that is not found here is somebody's project."""
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):  # a name that is none, and __main__
        return False
    folders = (spec.submodule_search_locations or [spec.origin or ""]) if spec is not None else []
    return all(_INSTALLED.isdisjoint(PurePath(folder).parts) for folder in folders)
