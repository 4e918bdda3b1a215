"""Settings of the example shop: both logins come from the environment, everything else is fixed here."""

import os

from readonly_router import databases_from_env


def _enabled(name: str) -> bool:
    return os.environ.get(name, "") == "1"


SECRET_KEY = "the-example-shop-keeps-no-secrets"
DEBUG = _enabled("EXAMPLE_DEBUG")
ALLOWED_HOSTS = ["*"]

DATABASES = databases_from_env()

if _enabled("EXAMPLE_ATOMIC_REQUESTS"):
    # On the writer alone: on the twin Django would open a second connection for every request.
    DATABASES["default"]["ATOMIC_REQUESTS"] = True

if _age := os.environ.get("EXAMPLE_CONN_MAX_AGE"):
    for _database in DATABASES.values():
        _database["CONN_MAX_AGE"] = None if _age == "None" else int(_age)

if _enabled("EXAMPLE_POOL"):
    for _database in DATABASES.values():
        # Django refuses a pool together with persistent connections.
        _database["CONN_MAX_AGE"] = 0
        _database["OPTIONS"] = {
            **_database.get("OPTIONS", {}),
            "pool": {"min_size": int(os.environ.get("EXAMPLE_POOL_MIN", "0")), "max_size": 4, "timeout": 10},
        }

DATABASE_ROUTERS = ["readonly_router.router.ReadOnlyRouter"]

INSTALLED_APPS = [
    "readonly_router",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "tests.example.shop",
]

# Chosen on purpose, for what becomes of them: sessions and a cache in the database, and a cache per process.
SILENCED_SYSTEM_CHECKS = ["readonly_router.W017", "readonly_router.W019", "readonly_router.W030"]

READONLY_ROUTER_LISTEN = os.environ.get("EXAMPLE_LISTEN", "1") == "1"

MIDDLEWARE = [
    "readonly_router.middleware.ReadOnlyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "tests.example.urls"
WSGI_APPLICATION = "tests.example.wsgi.application"
ASGI_APPLICATION = "tests.example.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

SESSION_ENGINE = "django.contrib.sessions.backends.db"
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "db": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "shop_cache"},
}

# Fast on purpose: the passwords are public, and the tests sign in often.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "shop:orders"
LOGOUT_REDIRECT_URL = "shop:products"

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "Europe/Amsterdam"
USE_TZ = True
STATIC_URL = "/static/"
