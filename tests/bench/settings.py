"""Settings of a worker: the same small project bare, with us, or with an alternative (BENCH_VARIANT)."""

import os
from urllib.parse import unquote, urlsplit

from tests.bench import OURS

VARIANT = os.environ.get("BENCH_VARIANT", "bare")

SECRET_KEY = "the-bench-keeps-no-secrets"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "tests.example.shop"]
DATABASE_ROUTERS: list[str] = []


def _by_hand(variable: str) -> dict[str, object]:
    url = urlsplit(os.environ[variable])
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(url.path[1:]),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": url.hostname,
        "PORT": url.port,
        "CONN_MAX_AGE": None,
    }


if VARIANT == OURS:
    # As the README says; in the others not even the import.
    from readonly_router import databases_from_env

    DATABASES = databases_from_env(conn_max_age=None)
    DATABASE_ROUTERS = ["readonly_router.router.ReadOnlyRouter"]
    INSTALLED_APPS = ["readonly_router", *INSTALLED_APPS]
else:
    DATABASES = {"default": _by_hand("DATABASE_URL")}

if VARIANT == "django-read-only":
    INSTALLED_APPS = [*INSTALLED_APPS, "django_read_only"]
elif VARIANT == "django-multidb-router":
    DATABASES["replica"] = _by_hand("DATABASE_READONLY_URL")
    DATABASE_ROUTERS = ["multidb.PinningReplicaRouter"]
    REPLICA_DATABASES = ["replica"]
elif VARIANT == "django-replicated":
    DATABASES["replica"] = _by_hand("DATABASE_READONLY_URL")
    DATABASE_ROUTERS = ["django_replicated.router.ReplicationRouter"]
    REPLICATED_DATABASE_SLAVES = ["replica"]
    REPLICATED_DATABASE_DOWNTIME = 60
    REPLICATED_CHECK_STATE_ON_WRITE = True
    REPLICATED_CACHE_BACKEND = None
