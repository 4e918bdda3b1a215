"""The pages behind gunicorn and uvicorn: what leaves the process, and what of a body reaches the view."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from readonly_router import mode, switch_off, switch_on
from tests.example.shop.models import Tag
from tests.http.pages.servers import KINDS, Server, ask, manage, served

READ_ONLY = {"DB_READ_ONLY": "1"}
MULTIPART = (
    b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\ndoor\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="d"\r\n\r\na door\r\n--x--\r\n'
)
BARE = {"method": "GET", "meta": "GET", "type": "", "length": "", "post": {}, "files": [], "body": "", "rest": ""}


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def site(kind: str, filled_shop: Any) -> Iterator[Server]:
    """A read-only server; it leaves no trace in the shop."""
    with served(kind, **READ_ONLY) as running:
        yield running


@pytest.fixture(scope="module")
def get_only(kind: str, filled_shop: Any) -> Iterator[Server]:
    """A server of GET-only mode, by the name that django-db-tools gives it."""
    with served(kind, GET_ONLY_MODE="True") as running:
        yield running


@pytest.fixture(autouse=True)
def unchanged(shop: None, checksum: Callable[[], str], request: pytest.FixtureRequest) -> Iterator[None]:
    before = checksum()
    yield
    if "switched" not in request.node.name:
        assert checksum() == before


def test_a_read_is_served_and_says_what_it_is_of(site: Server) -> None:
    answer = site.ask("GET", "/tags/")

    assert (answer.status, answer.headers["read-only"]) == (200, "?1")


@pytest.mark.parametrize("path", ["/view/", "/async-view/", "/template/", "/on-commit/", "/stream/first/"])
def test_a_refusal_leaves_as_a_503(site: Server, path: str) -> None:
    answer = site.ask("GET", path, Accept="text/html")

    assert (answer.status, answer.headers["cache-control"]) == (503, "no-store")
    assert b"</html>" in answer.content


def test_a_refusal_of_an_asynchronous_stream_leaves_as_a_503(site: Server) -> None:
    assert site.ask("GET", "/astream/first/").status == 503


@pytest.mark.parametrize("path", ["/stream/never/", "/astream/never/"])
def test_a_stream_arrives_whole(site: Server, path: str) -> None:
    answer = site.ask("GET", path)

    assert (answer.status, answer.broken) == (200, False)
    assert answer.content.startswith(f"{Tag.objects.count()} tags,second".encode())


def test_a_refusal_after_the_first_byte_breaks_the_stream(site: Server, kind: str) -> None:
    # Of the other kind Django takes a stream whole before it sends the first of it.
    answer = site.ask("GET", "/astream/later/" if kind == "uvicorn" else "/stream/later/")

    assert answer.status == 200
    assert answer.broken or b"third" not in answer.content


def test_a_changed_session_is_dropped_and_its_page_served(site: Server) -> None:
    answer = site.ask("GET", "/touch/")

    assert (answer.status, answer.content) == (200, b"1")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("body", [MULTIPART, b"x" * 5_000_000, [b"chunk"] * 10], ids=["form", "large", "chunks"])
def test_an_unsafe_request_is_refused_and_its_connection_serves_the_next(site: Server, body: Any) -> None:
    with site.connection() as connection:
        refused = ask(connection, "POST", "/echo/", body, Content_Type="multipart/form-data; boundary=x")
        following = ask(connection, "GET", "/echo/?q=tea")

    assert (refused.status, refused.headers["read-only"]) == (503, "?1")
    assert (following.status, following.json()["query"]) == (200, {"q": "tea"})


BODIES = {
    "form": (b"name=door", "application/x-www-form-urlencoded"),
    "multipart": (MULTIPART, "multipart/form-data; boundary=x"),
    "json": (b'{"name": "door"}', "application/json"),
    "chunks": ([b'{"name"', b': "door"}'], "application/json"),
    "large": (b"x" * 5_000_000, "application/octet-stream"),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
@pytest.mark.parametrize("path", ["/echo/", "/aecho/"])
def test_a_view_sees_a_get_without_a_body_and_the_connection_serves_the_next(
    get_only: Server, body: tuple[Any, str], path: str
) -> None:
    content, content_type = body
    with get_only.connection() as connection:
        seen = ask(connection, "POST", path, content, Content_Type=content_type)
        following = ask(connection, "GET", "/echo/?q=tea")

    assert seen.status == 200
    assert {**seen.json(), **BARE} == seen.json()
    assert following.json()["query"] == {"q": "tea"}


# The environment of django-db-tools.


@pytest.mark.parametrize("value", ["True", "on"])
def test_read_only_mode_is_anonymous_and_refuses(value: str) -> None:
    with served("gunicorn", READ_ONLY_MODE=value) as server:
        read = server.ask("GET", "/echo/", Cookie="a=b")
        sent = server.ask("POST", "/echo/")

    assert (read.json()["cookies"], read.headers["read-only"]) == ([], "?1")
    assert sent.status == 503


def test_both_names_combine() -> None:
    with served("gunicorn", READ_ONLY_MODE="True", GET_ONLY_MODE="True") as server:
        sent = server.ask("POST", "/echo/", b"a=b", Cookie="a=b", Content_Type="application/x-www-form-urlencoded")

    assert {**sent.json(), **BARE, "cookies": []} == sent.json()


def test_a_name_that_says_no_leaves_the_other() -> None:
    with served("gunicorn", READ_ONLY_MODE="False", GET_ONLY_MODE="True", DB_READ_ONLY="0") as server:
        sent = server.ask("POST", "/echo/", Cookie="a=b")

    assert (sent.json()["method"], sent.json()["cookies"]) == ("GET", ["a"])


# What is skipped from start-up on.

SKIP = [f"tests.http.pages.counters.{name}" for name in ("count_twice", "note_reading", "lazy_tag")]


def test_what_the_setting_names_is_skipped_from_start_up_on() -> None:
    with served("gunicorn", {"READONLY_ROUTER_SKIP": SKIP}, **READ_ONLY) as server:
        found = {
            path: server.ask("GET", path).status for path in ("/service/", "/receiver/", "/template/", "/view/")
        }

    assert found == {"/service/": 200, "/receiver/": 200, "/template/": 200, "/view/": 503}


def test_a_path_that_does_not_exist_fails_the_checks() -> None:
    finished = manage("check", settings={"READONLY_ROUTER_SKIP": [*SKIP, "tests.http.pages.counters.absent"]})

    assert finished.returncode == 1
    assert "(readonly_router.E014)" in finished.stderr
    assert "'tests.http.pages.counters.absent', which does not exist" in finished.stderr
    assert manage("check", settings={"READONLY_ROUTER_SKIP": SKIP}).returncode == 0


def test_what_a_canary_logged_is_ready_to_paste(tmp_path: Path) -> None:
    log = tmp_path / "canary.log"
    with served("gunicorn", {"LOGGING": logging_to(log)}, **READ_ONLY) as canary:
        for path in ("/service/", "/receiver/", "/service/", "/tags/"):
            canary.ask("GET", path)
    finished = manage("read_only", "refusals", "--log", str(log))

    first, pasted, told, last = finished.stdout.splitlines()
    assert (first, last) == ("READONLY_ROUTER_SKIP = [", "]")
    assert pasted == f'    "{SKIP[1]}",  # GET /receiver/: INSERT shop_pageview'
    assert told.startswith("    # GET /service/ was refused: INSERT shop_pageview. It came from ")


def logging_to(path: Path) -> dict[str, Any]:
    handler = {"class": "logging.FileHandler", "filename": str(path), "formatter": "whole"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"whole": {"format": "%(levelname)s %(asctime)s %(name)s: %(message)s"}},
        "handlers": {"file": handler},
        "root": {"handlers": ["file"], "level": "INFO"},
    }


# The switch, and a process that has not heard of it.


def test_a_process_that_was_idle_as_it_was_switched_runs_no_unsafe_view(kind: str) -> None:
    with served(kind) as server:
        # It has started, and has no connection.
        assert server.ask("GET", "/no-such-page/").status == 404
        switch_on("default", reason="moving", grace=0)
        try:
            sent = server.ask("POST", "/echo/")
            read = server.ask("GET", "/tags/")
        finally:
            switch_off("default")
            mode.set_switch("default", None)

    assert (sent.status, sent.json()["reason"]) == (503, "moving")
    assert (read.status, read.headers["read-only"]) == (200, "?1")
