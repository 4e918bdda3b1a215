"""A project that forgot `"readonly_router"` in INSTALLED_APPS: whatever else of ours it uses refuses to start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SETTINGS = """
import os
import dj_database_url
SECRET_KEY = "x"
ALLOWED_HOSTS = ["*"]
_entry = dj_database_url.parse(os.environ.get("DATABASE_URL", "postgres://site@127.0.0.1:1/none"))
DATABASES = {{"default": _entry, "readonly": {{**_entry, "USER": "ro", "TEST": {{"MIRROR": "default"}}}}}}
INSTALLED_APPS = [
    {admin!r}, "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
    "django.contrib.messages",
]
MIDDLEWARE = [
    *{middleware!r}, "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{{
    "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
    "OPTIONS": {{"context_processors": [
        "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages"]}},
}}]
DATABASE_ROUTERS = {routers!r}
SESSION_ENGINE = {sessions!r}
ROOT_URLCONF = "project_urls"
WSGI_APPLICATION = "project_servers.wsgi"
USE_TZ = True
"""
URLS = """
from django.http import HttpResponse
from django.urls import include, path
urlpatterns = [path("", lambda request: HttpResponse("served")), *{urls}]
"""
SERVERS = """
from django.core.wsgi import get_wsgi_application
wsgi = get_wsgi_application()
"""
ASGI = "from django.core.asgi import get_asgi_application; get_asgi_application()"
TEST = """
from django.test import Client
def test_a_page():
    assert Client().get("/").content == b"served"
"""

# What a project may use of us, and the name by which it is told.
PARTS: dict[str, dict[str, Any]] = {
    "readonly_router.router.ReadOnlyRouter": {"routers": ["readonly_router.router.ReadOnlyRouter"]},
    "readonly_router.middleware.ReadOnlyMiddleware": {
        "middleware": ["readonly_router.middleware.ReadOnlyMiddleware"]
    },
    "readonly_router.urls": {"urls": '[path("ro/", include("readonly_router.urls"))]'},
    "readonly_router.models": {"urls": '[path("m/", include("readonly_router.operations.migrations_urls"))]'},
    "readonly_router.sessions": {"sessions": "readonly_router.sessions"},
    "readonly_router.admin.ReadOnlyAdminConfig": {"admin": "readonly_router.admin.ReadOnlyAdminConfig"},
}
ROUTER, MIDDLEWARE, PLAIN_URLS, MODELS, SESSIONS, ADMIN = PARTS


def start(folder: Path, part: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Start a process of a project with the part, read-only by its environment."""
    used = {
        "admin": "django.contrib.admin",
        "middleware": [],
        "routers": [],
        "sessions": "django.contrib.sessions.backends.db",
        "urls": "[]",
        **PARTS.get(part, {}),
    }
    (folder / "project_settings.py").write_text(SETTINGS.format(**used))
    (folder / "project_urls.py").write_text(URLS.format(**used))
    (folder / "project_servers.py").write_text(SERVERS)
    (folder / "test_project.py").write_text(TEST)
    path = f"{folder}:{ROOT}"
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "project_settings", "DB_READ_ONLY": "1", **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def assert_refused(ended: subprocess.CompletedProcess[str], part: str) -> None:
    assert ended.returncode != 0, ended.stdout
    last = ended.stderr.strip().splitlines()[-1]
    assert f"{part} is in use, but its app is not installed" in last
    assert "add 'readonly_router' to INSTALLED_APPS." in last
    assert "app_label" not in ended.stderr


@pytest.mark.parametrize("part", [MIDDLEWARE, SESSIONS, ADMIN])
@pytest.mark.parametrize("server", ["import project_servers", ASGI])
def test_no_server_loads_it(tmp_path: Path, part: str, server: str) -> None:
    assert_refused(start(tmp_path, part, "-c", server), part)


@pytest.mark.parametrize("part", [PLAIN_URLS, MODELS, ADMIN])
def test_check_tells_it(tmp_path: Path, part: str) -> None:
    assert_refused(start(tmp_path, part, "-m", "django", "check"), part)


@pytest.mark.parametrize("part", [ROUTER, PLAIN_URLS, MODELS])
def test_a_command_tells_it_in_one_line(tmp_path: Path, part: str) -> None:
    ended = start(tmp_path, part, "-m", "django", "check", "--database", "default")
    assert_refused(ended, part)
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("part", [MIDDLEWARE, SESSIONS, PLAIN_URLS, ADMIN])
def test_runserver_never_serves(tmp_path: Path, server: str, part: str) -> None:
    ended = start(tmp_path, part, "-m", "django", "runserver", "--noreload", "127.0.0.1:0", DATABASE_URL=server)
    assert_refused(ended, part)


QUERY = """
import django
django.setup()
from django.contrib.auth.models import User
User.objects.count()
"""


def test_a_query_finds_the_router_that_refuses(tmp_path: Path) -> None:
    assert_refused(start(tmp_path, ROUTER, "-c", QUERY), ROUTER)


@pytest.mark.parametrize("part", [MIDDLEWARE, SESSIONS])
def test_a_test_run_tells_it(tmp_path: Path, part: str) -> None:
    words = ("-p", "pytest_django.plugin", "-p", "no:cacheprovider", "-c", "/dev/null", "test_project.py")
    ended = start(tmp_path, part, "-m", "pytest", "-q", *words, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert ended.returncode != 0
    assert f"{part} is in use, but its app is not installed" in ended.stdout


def test_a_project_that_uses_nothing_of_ours_is_none_of_ours(tmp_path: Path) -> None:
    assert start(tmp_path, "", "-c", "import project_servers").returncode == 0
