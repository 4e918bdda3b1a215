"""DATABASES from the environment: the pair, its options, and errors that name the variable and no secret."""

from __future__ import annotations

import traceback

import pytest

from readonly_router import ConfigurationError, databases_from_env
from readonly_router.libpq import same_login

URL = "postgres://site:s3cret@db.example.com:5433/shop"


def test_the_twin_is_the_writers_server_with_a_derived_user() -> None:
    found = databases_from_env(environ={"DATABASE_URL": URL, "DB_READONLY_PASSWORD": "other"})
    assert [found[alias]["USER"] for alias in ("default", "readonly")] == ["site", "site_readonly"]
    assert found["readonly"]["PASSWORD"] == "other"
    assert {key: found["readonly"][key] for key in ("HOST", "PORT", "NAME", "ENGINE")} == {
        key: found["default"][key] for key in ("HOST", "PORT", "NAME", "ENGINE")
    }


def test_the_twin_may_have_a_url_of_its_own() -> None:
    twin = "postgres://reader:pw@standby.example.com/shop"
    found = databases_from_env(environ={"DATABASE_URL": URL, "DATABASE_READONLY_URL": twin})
    assert (found["readonly"]["USER"], found["readonly"]["HOST"]) == ("reader", "standby.example.com")


def test_options_of_dj_database_url_reach_both() -> None:
    found = databases_from_env(
        environ={"DATABASE_URL": URL}, conn_max_age=60, conn_health_checks=True, ssl_require=True
    )
    for alias in ("default", "readonly"):
        assert (found[alias]["CONN_MAX_AGE"], found[alias]["CONN_HEALTH_CHECKS"]) == (60, True)
        assert found[alias]["OPTIONS"] == {"sslmode": "require"}


def test_the_twin_is_mirrored_in_tests() -> None:
    found = databases_from_env(environ={"DATABASE_URL": URL}, test_options={"NAME": "trial"})
    assert found["readonly"]["TEST"] == {"NAME": "trial", "MIRROR": "default"}
    assert found["default"]["TEST"] == {"NAME": "trial"}


def test_aliases_may_be_named() -> None:
    found = databases_from_env(writer="shop", twin="shop_reader", environ={"DATABASE_URL": URL})
    assert sorted(found) == ["shop", "shop_reader"]
    assert found["shop_reader"]["TEST"]["MIRROR"] == "shop"


def test_an_assumed_role_is_the_writers_alone() -> None:
    found = databases_from_env(environ={"DATABASE_URL": f"{URL}?assume_role=owner&sslmode=require"})
    assert found["default"]["OPTIONS"] == {"assume_role": "owner", "sslmode": "require"}
    assert found["readonly"]["OPTIONS"] == {"sslmode": "require"}


def test_the_two_entries_share_nothing_that_can_be_changed() -> None:
    found = databases_from_env(environ={"DATABASE_URL": f"{URL}?sslmode=require"})
    found["default"]["OPTIONS"]["pool"] = True
    assert "pool" not in found["readonly"]["OPTIONS"]


def test_locked_leaves_the_writers_login_out() -> None:
    environ = {"DATABASE_URL": URL, "DB_READONLY_PASSWORD": "other", "DB_READ_ONLY": "locked"}
    found = databases_from_env(environ=environ)
    assert "s3cret" not in repr(found)
    assert same_login(found["default"], found["readonly"])


def test_locked_needs_no_writers_url() -> None:
    environ = {"DATABASE_READONLY_URL": "postgres://reader:pw@db/shop", "DB_READ_ONLY": "locked"}
    assert databases_from_env(environ=environ)["default"]["USER"] == "reader"


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": " "}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": "s3cret"}, "DATABASE_URL is not a database URL"),
        ({"DATABASE_URL": "nosuch://u:s3cret@h/d"}, "DATABASE_URL is not a database URL"),
        ({"DATABASE_URL": "postgres://u:s3cret@h:port/d"}, "DATABASE_URL is not a database URL"),
        ({"DATABASE_URL": "postgres://u:s3c[ret@h/d"}, "DATABASE_URL is not a database URL"),
        ({"DATABASE_URL": "postgres://u:s3cret@h/"}, "DATABASE_URL names no database"),
        ({"DATABASE_URL": "postgres://h/d"}, "DATABASE_URL names no user"),
        ({"DATABASE_URL": f"postgres://{'u' * 60}:s3cret@h/d"}, "63 bytes; set DATABASE_READONLY_URL"),
        ({"DATABASE_URL": URL, "DATABASE_READONLY_URL": "x:s3cret"}, "DATABASE_READONLY_URL is not"),
        ({"DATABASE_URL": URL, "DB_READ_ONLY": "2"}, "DB_READ_ONLY='2'"),
    ],
)
def test_a_wrong_variable_is_named_without_a_secret(environ: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        databases_from_env(environ=environ)
    assert named in str(error.value)
    assert "s3cret" not in "".join(traceback.format_exception(error.value))


def test_one_role_is_one_login_however_its_server_is_spelt() -> None:
    one = {"USER": "a", "HOST": "127.0.0.1", "PORT": "", "NAME": "d"}
    assert same_login(one, {**one, "HOST": "localhost", "PORT": 5432})
    assert same_login({**one, "USER": "", "OPTIONS": {"user": "a"}}, one)
    assert not same_login(one, {**one, "USER": "b"})


def test_logins_without_a_name_are_told_apart_by_all_there_is() -> None:
    one = {"USER": "", "OPTIONS": {"service": "writer"}}
    assert same_login(one, dict(one))
    assert not same_login(one, {**one, "OPTIONS": {"service": "reader"}})
