"""Variables whose names are nearly ours are told; what is merely alike is nobody's business."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from readonly_router import ConfigurationError, databases_from_env
from readonly_router.conf import ProcessMode, process_mode
from readonly_router.management.logins import admin
from tests.test_values import started

URL = "postgres://site:s3cret@db.example.com/shop"
MODE = [
    *("DB_READONLY", "DATABASE_READ_ONLY", "DATABASE_READONLY", "DB_READONLY_ONLY", "DBREADONLY", "DB__READ_ONLY"),
    "DB_READ_ONLY ",
    *("DB_READ_ONY", "DB_READ_ONLYY", "DB_REED_ONLY", "DB_RAED_ONLY", "DATABSE_READ_ONLY", "db_read_only"),
]
TWIN = ["DB_READONLY_URL", "DB_READ_ONLY_URL", "DATABASE_READ_ONLY_URL", "DATABASE_READONLYURL", "DB_READONLY_URI"]
PASSWORD = [
    *("DB_READ_ONLY_PASSWORD", "DATABASE_READONLY_PASSWORD", "DATABASE_READ_ONLY_PASSWORD", "DB_READONLYPASSWORD"),
    *("DB_READONLY_PASSWD", "DB_READONLY_PASWORD"),
]
ADMIN = ["DB_ADMIN_URL", "DATABASE_ADMINURL", "DATABASE_ADMIN_URI"]
ALIKE = [
    *("DB_READER", "DB_READER_URL", "DB_READ_TIMEOUT", "DB_READONLY_HOST", "DB_READONLY_USER"),
    *("DB_READONLY_PORT", "DB_READONLY_NAME", "DB_READONLY_2", "MY_DB_READ_ONLY", "READ_ONLY"),
    *("DJANGO_READ_ONLY", "READ_ONLY_MODE", "GET_ONLY_MODE", "DATABASE_URL_READER", "DB_URL"),
    *("DATABASE_URL", "DATABASE_REPLICA_URL", "DB_PASSWORD", "DATALAKE_READ_ONLY"),
    *("DB_READONLY_PASSWORD_FILE", "TEST_DATABASE_URL"),
]
OURS = {
    "DATABASE_URL": URL,
    "DATABASE_READONLY_URL": URL.replace("site", "reader"),
    "DB_READONLY_PASSWORD": "other",
    "DATABASE_ADMIN_URL": URL,
    "DB_READ_ONLY": "0",
}


@pytest.mark.parametrize("name", MODE)
def test_a_name_near_the_modes_is_told(name: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        process_mode({name: "1"})
    assert str(error.value) == f"{name} is not read; the variable's name is DB_READ_ONLY."


@pytest.mark.parametrize(
    ("name", "right"),
    [*((name, "DATABASE_READONLY_URL") for name in TWIN), *((name, "DB_READONLY_PASSWORD") for name in PASSWORD)],
)
def test_a_name_near_the_twins_is_told(name: str, right: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        databases_from_env(environ={"DATABASE_URL": URL, name: "s3cret"})
    assert str(error.value) == f"{name} is not read; the variable's name is {right}."


@pytest.mark.parametrize("name", ADMIN)
def test_a_name_near_the_admins_is_told_by_the_commands(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("DATABASE_ADMIN_URL", raising=False)
    monkeypatch.setenv(name, URL)
    with pytest.raises(ConfigurationError, match="the variable's name is DATABASE_ADMIN_URL"):
        admin(None)
    assert admin(URL)


@pytest.mark.parametrize("name", ALIKE)
def test_a_name_that_is_merely_alike_is_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("DATABASE_ADMIN_URL", raising=False)
    monkeypatch.setenv(name, URL)
    assert databases_from_env(environ={"DATABASE_URL": URL, name: URL})
    assert process_mode({name: "0"}) is ProcessMode.FOLLOW
    assert admin(None) is None


def test_our_own_names_are_no_near_ones_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OURS.items():
        monkeypatch.setenv(name, value)
        assert databases_from_env(environ={"DATABASE_URL": URL, name: value})
    assert databases_from_env()
    assert admin(None)


@pytest.mark.parametrize("name", [*MODE, *TWIN, *PASSWORD])
def test_a_near_name_that_says_the_same_as_the_right_one_is_no_slip(name: str) -> None:
    right = "DB_READ_ONLY" if name in MODE else "DATABASE_READONLY_URL" if name in TWIN else "DB_READONLY_PASSWORD"
    assert databases_from_env(environ={**OURS, name: OURS[right]})
    with pytest.raises(ConfigurationError, match=f"{name} is not read; the variable's name is {right}"):
        databases_from_env(environ={**OURS, name: "other than that"})


def test_this_machines_own_environment_raises_no_alarm() -> None:
    databases_from_env(environ={**os.environ, **OURS})


@pytest.mark.parametrize("name", ["DB_READ_ONLY_PASSWORD", "DB_READONLY_URL", "DB_READONLY_ONLY"])
def test_a_process_does_not_start(tmp_path: Path, name: str) -> None:
    plain = "from tests.example.settings import *"
    ended = started(tmp_path, "-m", "django", "check", settings=plain, **{name: "1"})
    assert (ended.returncode, f"{name} is not read" in ended.stderr.splitlines()[-1]) == (1, True)


BYTES = {"DATABASE_URL": URL.replace("s3cret", "s3c\udcffret"), "DB_READONLY_PASSWORD": "s3cret\udcff"}
NUL = {"DATABASE_URL": URL.replace("shop", "shop%00"), "DATABASE_READONLY_URL": URL.replace("s3cret", "s3%00cret")}


@pytest.mark.parametrize(("name", "value"), [*BYTES.items(), *NUL.items()])
def test_bytes_that_are_no_text_are_told_without_them(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        databases_from_env(environ={"DATABASE_URL": URL, name: value})
    assert str(error.value).startswith(f"{name} holds bytes that are no text")
    assert "s3" not in str(error.value)
