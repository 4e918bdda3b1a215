"""Settings of the wrong type or value: one error that names the setting, an id in the checks, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from readonly_router import ConfigurationError, conf
from readonly_router.checks.site import check_site
from readonly_router.durations import seconds
from readonly_router.http.exemptions import check_patterns
from tests.site import MANAGE

NO_DURATION = [
    *(None, True, False, b"5s", [], {}, object(), timedelta(seconds=5), "", "soon", "-1", -1, -0.5, "٥s"),
    *(10**400, 10**5000, float("inf"), float("-inf"), float("nan"), "inf", "nan", "1e400", "9" * 400),
    *("367d", 1e300, "5\ns;", "\udcff"),
]
NO_WORD = [None, True, 0, 1.5, b"refuse", [], ["refuse"], {}, "", "perhaps", "\udcff", "\x1b[31m"]
NO_TEXTS = [None, True, 1, 1.5, b"^/", {"a": 1}, [None], [b"^/"], [["^/"]], [1], [""], "", ["\udcff"], object()]
NO_MODULE = [None, True, 0, b"django", [], "", "a b", "django..db", ".db", "os\n", "\udcff", conf.OUR_SESSIONS]
NO_TRUTH = [None, 0, 1, "True", "False", "", b"1", [], float("nan")]
NO_PAIRS = [None, True, 1, "default", b"x", [], ["default"], {}, {"default": None}, {1: "readonly"}, {"a": "a"}]

WRONG: dict[str, tuple[Callable[[], object], list[Any]]] = {
    "GRACE": (conf.grace, NO_DURATION),
    "DEADLINE": (conf.deadline, NO_DURATION),
    "RETRY_AFTER": (conf.retry_after, NO_DURATION),
    "FENCE": (conf.fence, NO_WORD),
    "UNSAFE_METHODS": (conf.unsafe_methods, NO_WORD),
    "VISITORS": (conf.visitors_are_anonymous, NO_WORD),
    "EXEMPT": (conf.exempt, NO_TEXTS),
    "SKIP": (conf.skipped, NO_TEXTS),
    "SESSION_STORE": (conf.session_store, NO_MODULE),
    "LISTEN": (conf.listen, NO_TRUTH),
    "PARAMETERS": (conf.parameters, NO_TEXTS),
    "PAIRS": (conf.twins, NO_PAIRS),
    "REPLICAS": (conf.replicas, [*NO_TEXTS, "default", ["nobody"]]),
}
CASES = [
    pytest.param(name, ask, value, id=f"{name} {number} {type(value).__name__}")
    for name, (ask, values) in WRONG.items()
    for number, value in enumerate(values)
]
Ask = Callable[[], object]
every_case = pytest.mark.parametrize(("name", "ask", "value"), CASES)


def test_every_setting_of_ours_is_tried() -> None:
    assert {name for name in vars(conf) if name.startswith("READONLY_ROUTER_")} == {
        f"READONLY_ROUTER_{name}" for name in WRONG
    }


@every_case
def test_a_wrong_value_is_one_line_that_names_the_setting(name: str, ask: Ask, value: Any) -> None:
    with override_settings(**{f"READONLY_ROUTER_{name}": value}), pytest.raises(ConfigurationError) as error:
        ask()
    says = str(error.value)
    assert says.startswith(f"READONLY_ROUTER_{name}")
    assert says.isprintable()
    assert len(says) < 300


@pytest.fixture(scope="module")
def checked_once() -> None:
    """Have Django ask its connection for what a field may hold: it keeps the answer."""
    run_checks()


@every_case
@pytest.mark.usefixtures("checked_once")
def test_a_wrong_value_is_an_error_of_the_checks(name: str, ask: Ask, value: Any) -> None:
    with override_settings(**{f"READONLY_ROUTER_{name}": value}):
        found = [message for message in run_checks() if message.is_serious()]
        expected = "readonly_router.E001" if name in {"PAIRS", "REPLICAS"} else "readonly_router.E029"
        assert {message.id for message in found} == {expected}
    assert any(f"READONLY_ROUTER_{name}" in message.msg for message in found)


@pytest.mark.parametrize("engine", ["absent", "absent.engine", "readonly_router.conf"])
def test_an_engine_that_is_none_is_an_error_of_the_checks(engine: str) -> None:
    with override_settings(SESSION_ENGINE=conf.OUR_SESSIONS, READONLY_ROUTER_SESSION_STORE=engine):
        (found,) = (message for message in check_site() if message.is_serious())
    assert (found.id, found.msg.startswith(f"READONLY_ROUTER_SESSION_STORE='{engine}'")) == (
        "readonly_router.E029",
        True,
    )


@pytest.mark.parametrize("pattern", ["^(", "^a{99999999999}", "^" + "(" * 5000 + ")" * 5000, "/[z-a]"])
def test_a_pattern_that_is_none_is_told(pattern: str) -> None:
    with override_settings(READONLY_ROUTER_EXEMPT=[pattern]), pytest.raises(ConfigurationError) as error:
        check_patterns()
    assert str(error.value).startswith("READONLY_ROUTER_EXEMPT names the path pattern")


@pytest.mark.parametrize("value", ["shop", ["shop"], ("shop",), {"shop"}])
def test_texts_may_come_as_one_or_in_any_list(value: Any) -> None:
    with override_settings(READONLY_ROUTER_EXEMPT=value):
        assert conf.exempt() == ("shop",)


@pytest.mark.parametrize("value", [0, 0.5, 366 * 86400, "366d", " 1H30m "])
def test_a_duration_in_bounds_is_one(value: Any) -> None:
    assert 0 <= seconds(value) <= 366 * 86400


# -- a process that starts

SETTINGS = (
    "from tests.example.settings import *\nREADONLY_ROUTER_DEADLINE = 10**400\nREADONLY_ROUTER_SKIP = [None]\n"
)
URL = "postgres://site:s3cret@127.0.0.1:1/shop"


def started(
    folder: Path, *arguments: str, settings: str = SETTINGS, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run Python with settings of a folder's own, without a server."""
    (folder / "wrong_settings.py").write_text(settings)
    path = os.pathsep.join((str(folder), str(MANAGE.parents[2])))
    variables = {"DATABASE_URL": URL, "PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "wrong_settings", **env}
    return subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **variables}, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("command", [["migrate"], ["read_only", "on"], ["create_readonly_role"], ["shell"]])
def test_a_command_says_so_in_one_line(tmp_path: Path, command: list[str]) -> None:
    ended = started(tmp_path, "-m", "django", *command)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1), ended.stderr
    assert ended.stderr.startswith("CommandError: READONLY_ROUTER_DEADLINE: 1000")


def test_check_tells_of_all_that_is_wrong(tmp_path: Path) -> None:
    ended = started(tmp_path, "-m", "django", "check")
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)
    assert ended.stderr.count("(readonly_router.E029)") == 2


def test_a_server_does_not_start(tmp_path: Path) -> None:
    ended = started(tmp_path, "-c", "from django.core.wsgi import get_wsgi_application as start; start()")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(
        "readonly_router.errors.ConfigurationError: READONLY_ROUTER_DEAD"
    )


@pytest.mark.parametrize("command", [["check"], ["read_only", "status"]])
def test_a_variable_that_is_not_understood_is_one_line_where_databases_are_written_by_hand(
    tmp_path: Path, command: list[str]
) -> None:
    by_hand = (
        "import os\nasked = os.environ.pop('DB_READ_ONLY')\nfrom tests.example.settings import *\n"
        "os.environ['DB_READ_ONLY'] = asked\n"
    )
    ended = started(tmp_path, "-m", "django", *command, settings=by_hand, DB_READ_ONLY="\udcff")
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
    assert ended.stderr.startswith(r"CommandError: DB_READ_ONLY='\udcff' is not understood")
