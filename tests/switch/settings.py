"""Settings of the smallest site that can be switched: a scratch database's pair, by the aliases of the tests."""

import os

from readonly_router import databases_from_env
from readonly_router.databases import parse_url

SECRET_KEY = "the-tests-keep-no-secrets"
ALLOWED_HOSTS = ["*"]
# A site without a default database.
DATABASES = {"default": {}, **databases_from_env(writer="scratch", twin="scratch_twin")}
READONLY_ROUTER_PAIRS = {"scratch": "scratch_twin"}
if "SECOND_URL" in os.environ:
    DATABASES["second"] = parse_url(os.environ, "SECOND_URL")
    DATABASES["second_twin"] = parse_url(os.environ, "SECOND_READONLY_URL")
    READONLY_ROUTER_PAIRS["second"] = "second_twin"
READONLY_ROUTER_GRACE = os.environ.get("SWITCH_GRACE", "100ms")
DATABASE_ROUTERS = ["readonly_router.router.ReadOnlyRouter"]
INSTALLED_APPS = ["readonly_router", "django.contrib.sessions"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
