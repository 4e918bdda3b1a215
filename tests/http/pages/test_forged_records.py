"""Lines of a log that look like refusals: only our own records are read, and only the application is advised."""

from __future__ import annotations

import importlib
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client, override_settings

from readonly_router.checks.site import check_site
from readonly_router.http import refused, skipping
from readonly_router.http.records import METHODS, Refused, as_setting, from_log, line

CSRF = "django.middleware.csrf.CsrfViewMiddleware.process_view"
PLAIN = f'GET /x/ was refused: INSERT t. Add to READONLY_ROUTER_SKIP: "{CSRF}"'
FORGED = f'GET /x/ was refused: INSERT t. Record 0123456789abcdef. Add to READONLY_ROUTER_SKIP: "{CSRF}"'
OURS = Refused(method="GET", route="/x/", verb="INSERT", table="t", path="tests.http.pages.noted.write")
IMITATIONS = {
    "a Referer": '203.0.113.5 - - [01/Mar/2025] "GET / HTTP/1.1" 200 512 "{}" "Mozilla/5.0"',
    "a user agent": '203.0.113.5 - - [01/Mar/2025] "GET / HTTP/1.1" 200 512 "-" "{}"',
    "a path that is not there": "WARNING 2025-03-01 django.request: Not Found: /{}",
    "our logger's name in a path": "WARNING django.request: Not Found: /\nWARNING readonly_router.refused: {}",
    "the whole line": "{}",
    "with what a formatter puts before it": "WARNING 2025-03-01 12:00:00,000 readonly_router.refused: {}",
    "JSON": '{{"level": "WARNING", "logger": "readonly_router.refused", "message": {0!r}}}',
}


def make_table(name: str) -> None:
    Client(raise_request_exception=False).get("/making-a-table/", {"name": name})


@pytest.mark.parametrize("text", [PLAIN, FORGED])
@pytest.mark.parametrize("imitation", IMITATIONS.values(), ids=list(IMITATIONS))
def test_a_line_that_a_visitor_wrote_is_not_read(imitation: str, text: str) -> None:
    ignored: list[str] = []

    assert list(from_log(imitation.format(text).splitlines(), ignore=ignored.append)) == []
    assert len(ignored) == 1


@pytest.mark.parametrize("imitation", IMITATIONS.values(), ids=list(IMITATIONS))
def test_what_is_changed_in_a_record_of_ours_makes_it_nobodys(imitation: str) -> None:
    signed = line(OURS)
    for old, new in (
        ("tests.http.pages.noted.write", CSRF),
        ("/x/", "/y/"),
        ("INSERT", "DELETE"),
        ("GET", "POST"),
    ):
        assert list(from_log([imitation.format(signed.replace(old, new))])) == []


def test_a_record_signed_with_another_key_is_not_read_but_with_a_fallback_is() -> None:
    with override_settings(SECRET_KEY="another"):
        signed = line(OURS)

    assert list(from_log([signed])) == []
    with override_settings(SECRET_KEY_FALLBACKS=["another"]):
        assert list(from_log([signed])) == [OURS]


@pytest.mark.parametrize(
    "written",
    [
        lambda text: f"2025-03-01T00:00:00Z stdout F {json.dumps({'log': {'message': text}})}",
        lambda text: json.dumps({"log": f"WARNING {text}\n", "stream": "stderr"}),
        lambda text: f"[GET /other] WARNING readonly_router.refused {text} [pid 1]",
        lambda text: f"Not Found: /{FORGED} {text}",
    ],
)
def test_a_record_of_ours_is_read_however_it_is_written(written: Any) -> None:
    found = Refused(method="OTHER", route=r"/^größe/(?P<year>\d+)$", verb="UPDATE", table="t u", path="shop.f")

    assert list(from_log([written(line(found))])) == [found]


@pytest.mark.parametrize(
    "text",
    [
        "GET /" * 20_000 + PLAIN,
        (" was refused: INSERT t. " + FORGED) * 2_000,
        '{"a":' * 50_000 + PLAIN,
        FORGED + "9" * 100_000,
    ],
    ids=["methods", "records", "JSON", "digits"],
)
def test_a_long_line_is_read_in_no_time(text: str) -> None:
    begun = time.monotonic()

    assert list(from_log([text])) == []
    assert time.monotonic() - begun < 5


def test_the_command_says_how_many_lines_it_ignored(tmp_path: Path) -> None:
    log = tmp_path / "site.log"
    log.write_text("\n".join([PLAIN, line(OURS), FORGED, "GET / 200"]))
    out, err = io.StringIO(), io.StringIO()

    call_command("read_only", "refusals", "--log", str(log), stdout=out, stderr=err)

    assert out.getvalue() == (
        'READONLY_ROUTER_SKIP = [\n    "tests.http.pages.noted.write",  # GET /x/: INSERT t\n]\n'
    )
    assert (
        "Ignored 2 lines that look like refusals and are not signed with this site's SECRET_KEY" in err.getvalue()
    )


@pytest.mark.usefixtures("read_only_pages")
def test_what_a_visitor_sends_is_in_no_record_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    for path in (f"/{PLAIN}", f"/service/{FORGED}/", f"/view/?{PLAIN}"):
        Client(raise_request_exception=False).get(path, headers={"Referer": FORGED, "User-Agent": FORGED})

    said = [record.getMessage() for record in caplog.records if record.name == "readonly_router.refused"]
    assert said
    assert not any("csrf" in each for each in said)
    assert not any("csrf" in each.path for each in from_log(caplog.text.splitlines()))


@pytest.mark.usefixtures("read_only_pages")
def test_a_line_break_in_what_is_logged_is_escaped(caplog: pytest.LogCaptureFixture) -> None:
    make_table("a\nb\u2028c\x1bd")

    (said,) = [record.getMessage() for record in caplog.records if record.name == "readonly_router.refused"]
    assert r"a\nb\u2028c\x1bd" in said
    assert [each.table for each in from_log([said])] == [r"a\nb\u2028c\x1bd"]


# -- what is advised

NEVER = [CSRF, "rest_framework.views.APIView.initial", "readonly_router.middleware.f", "json.dumps", "gunicorn.f"]


@pytest.mark.parametrize("path", NEVER)
def test_what_is_not_the_applications_is_not_advised_even_if_it_is_signed(path: str) -> None:
    (found,) = from_log([line(Refused(method="GET", route="/x/", verb="INSERT", table="t", path=path))])

    assert list(as_setting([found])) == [
        "READONLY_ROUTER_SKIP = [",
        f"    # GET /x/ was refused: INSERT t. {path} is not of the application.",
        "]",
    ]


@pytest.mark.parametrize("path", ["tests.http.pages.noted.write", "tests.example.shop.views.count_view"])
def test_what_is_of_the_project_or_an_installed_app_is_advised(path: str) -> None:
    assert f'    "{path}",  # GET /x/: INSERT t' in list(
        as_setting([Refused(method="GET", route="/x/", verb="INSERT", table="t", path=path)])
    )


# -- what may be skipped

HERE = "tests.http.pages.guarded"


@pytest.mark.parametrize(
    "path",
    [
        *(CSRF, "django.contrib.auth.decorators.login_required", "rest_framework.views.APIView.initial"),
        *("django.no.such.module", "rest_framework.absent", "readonly_router.router.ReadOnlyRouter.db_for_write"),
        # By another name.
        *(f"{HERE}.{name}" for name in ("CsrfViewMiddleware.process_view", "csrf_protect", "models.Model.save")),
        *(f"{HERE}.{name}" for name in ("OurCsrf.process_view", "OurApi.initial", "OurLogin.dispatch")),
    ],
)
def test_a_frameworks_function_may_not_be_skipped(
    path: str, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.READONLY_ROUTER_SKIP = [path]

    (message,) = [each for each in check_site() if each.id == "readonly_router.E031"]

    assert repr(path) in message.msg
    assert message.is_serious()
    skipping.install()
    assert "Nothing is skipped for it." in caplog.text


def test_csrf_stays_on_whatever_the_setting_names(settings: Any) -> None:
    settings.READONLY_ROUTER_SKIP = [CSRF, f"{HERE}.OurCsrf.process_view"]
    from django.middleware.csrf import CsrfViewMiddleware

    before = CsrfViewMiddleware.process_view
    skipping.install()

    assert CsrfViewMiddleware.process_view is before


@pytest.mark.parametrize("name", ["OurModel.save", "OurCsrf.stamp", "half", "Task.task"])
def test_a_function_of_the_applications_may_be_skipped(name: str) -> None:
    assert skipping.guarded(f"{HERE}.{name}") == ""


def test_a_project_may_have_a_package_of_a_name_that_python_has_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "antigravity.py").write_text("def count(): pass")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("antigravity")

    found = skipping.guarded("antigravity.count")
    del sys.modules["antigravity"]

    assert found == ""
    assert skipping.guarded("json.dumps") != ""


# -- what is remembered


@pytest.mark.usefixtures("read_only_pages")
@override_settings(READONLY_ROUTER_UNSAFE_METHODS="attempt")
def test_what_is_remembered_stays_bounded_whatever_is_requested(caplog: pytest.LogCaptureFixture) -> None:
    client = Client(raise_request_exception=False)
    for number in range(300):
        client.generic(
            f"M{number}", f"/service/{'x' * number}{number}/?{number}", headers={"Origin": f"http://{number}"}
        )

    assert [(each.method, each.route) for each in refused.known()] == [("OTHER", "/service/<slug:word>/")]
    assert len([record for record in caplog.records if record.name == "readonly_router.refused"]) == 1


@pytest.mark.usefixtures("read_only_pages")
def test_what_is_remembered_is_bounded_whatever_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(refused.MOST + 100):
        make_table(f"{number}{'t' * 5000}")

    assert len(refused.known()) == refused.MOST
    assert max(len(each.table) for each in refused.known()) == refused.LONGEST
    said = [record.getMessage() for record in caplog.records if record.name == "readonly_router.refused"]
    assert len(said) == refused.MOST + 1
    assert said[-1] == f"That is the refusal no. {refused.MOST} of this process: no other is noted."


def test_each_method_of_a_record_is_one_that_is_read() -> None:
    for method in METHODS:
        found = Refused(method=method, route="?", origin="shop.views.f")
        assert list(from_log([line(found)])) == [found]
