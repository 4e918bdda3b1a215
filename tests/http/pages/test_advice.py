"""What is advised to be skipped: receivers whose answers nobody reads; of everything else the origin is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django import forms
from django.contrib.auth.signals import user_login_failed
from django.db import connection
from django.db.models.signals import post_init
from django.dispatch import Signal
from psycopg import sql

from readonly_router import ReadOnlyError, read_only
from readonly_router.checks.site import check_site
from readonly_router.http import skipping
from readonly_router.http.blame import Blame, blame
from tests.example.shop.models import PageView, Tag
from tests.http.pages.counters import acount, count

pytestmark = pytest.mark.usefixtures("shop")
HERE = "tests.http.pages.test_advice."
noted, code_rejected = Signal(), Signal()


def refused(call: Callable[[], Any]) -> Blame:
    """Return what is told of the refusal that a call meets."""
    with read_only(), pytest.raises(ReadOnlyError) as error:
        call()
    return blame(error.value)


@contextmanager
def connected(receiver: Any, signal: Signal = noted) -> Iterator[None]:
    signal.connect(receiver)
    try:
        yield
    finally:
        signal.disconnect(receiver)


# -- who sends


def drops() -> None:
    noted.send(sender=None)


def drops_behind_another() -> None:
    drops()


async def adrops() -> None:
    await noted.asend(sender=None)


def keeps() -> Any:
    answers = noted.send(sender=None)
    return len(answers)


def returns() -> Any:
    return noted.send(sender=None)


def asks_each() -> None:
    for _, answer in noted.send(sender=None):
        assert answer


def asks_whether() -> None:
    if noted.send(sender=None):
        count("/")


def asks_by_another() -> int:
    return len(returns())


def yields() -> Iterator[Any]:
    yield noted.send(sender=None)


async def akeeps() -> Any:
    return await noted.asend(sender=None)


async def akeeps_for_later() -> Any:
    answers = await noted.asend(sender=None)
    return len(answers)


async def ayields() -> AsyncIterator[Any]:
    yield await noted.asend(sender=None)


async def aconsumes() -> None:
    async for _ in ayields():
        pass


DROPPING = {
    "drops": drops,
    "drops_behind_another": drops_behind_another,
    "adrops": async_to_sync(adrops),
}
READING = {
    "keeps": keeps,
    "returns": returns,
    "asks_each": asks_each,
    "asks_whether": asks_whether,
    "asks_by_another": asks_by_another,
    "yields": lambda: list(yields()),
    "akeeps": async_to_sync(akeeps),
    "akeeps_for_later": async_to_sync(akeeps_for_later),
    "ayields": async_to_sync(aconsumes),
}


# -- who receives


def note(**_: Any) -> None:
    PageView.objects.create(path="/")


async def anote(**_: Any) -> None:
    await acount("/")


class Kind:
    """A receiver as a method."""

    def note(self, **_: Any) -> None:
        count("/")

    def __call__(self, **_: Any) -> None:
        count("/")


kind = Kind()


def answers_no(**_: Any) -> None:
    count("/")
    raise PermissionError


def look_first(**_: Any) -> None:
    check_something()
    count("/")


def check_something() -> None:
    pass


def mark(signal: Any, **_: Any) -> None:
    signal.marked = True
    count("/")


def count_failure(**_: Any) -> None:
    count("/")


def lines_up(**_: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_loginattempt SET number = number + 1")


def nested() -> Callable[..., None]:
    def within(**_: Any) -> None:
        count("/")

    return within


within = nested()
by_lambda = lambda **_: count("/")  # noqa: E731 - as some connect them


@pytest.mark.parametrize("send", DROPPING.values(), ids=list(DROPPING))
@pytest.mark.parametrize(("receiver", "name"), [(note, "note"), (anote, "anote"), (kind.note, "Kind.note")])
def test_a_receiver_of_a_signal_whose_answers_are_dropped_is_advised(
    send: Callable[[], Any], receiver: Any, name: str
) -> None:
    with connected(receiver):
        found = refused(send)

    assert (found.verb, found.table, found.path, found.origin) == ("INSERT", "shop_pageview", HERE + name, "")


@pytest.mark.parametrize("receiver", [note, anote])
@pytest.mark.parametrize("send", READING.values(), ids=list(READING))
def test_a_receiver_whose_answer_is_read_is_not_advised(send: Callable[[], Any], receiver: Any) -> None:
    with connected(receiver):
        found = refused(send)

    assert (found.path, f"{HERE}{receiver.__name__}" in found.origin) == ("", True)


@pytest.mark.parametrize(
    "receiver",
    [answers_no, look_first, mark, count_failure, kind, within, by_lambda],
    ids=lambda receiver: getattr(receiver, "__name__", "called"),
)
def test_a_receiver_that_may_decide_or_has_no_path_is_not_advised(receiver: Any) -> None:
    with connected(receiver):
        assert refused(drops).path == ""


def test_a_receiver_that_writes_to_a_table_of_attempts_is_not_advised(shop: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE accounts_loginattempt AS SELECT 1 AS number")
    try:
        with connected(lines_up):
            found = refused(drops)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE accounts_loginattempt")

    assert (found.verb, found.table, found.path) == ("UPDATE", "accounts_loginattempt", "")
    assert found.origin == f"{HERE}lines_up, called by {HERE}drops"


@pytest.mark.parametrize("signal", [user_login_failed, code_rejected], ids=["Django's", "of the site"])
def test_a_receiver_of_a_signal_of_failures_is_not_advised(signal: Signal) -> None:
    def send() -> None:
        signal.send(sender=None, credentials={}, request=None)

    with connected(note, signal):
        assert refused(send).path == ""


def touch(**_: Any) -> None:
    PageView.objects.update(hits=1)


def test_a_receiver_of_djangos_own_signals_is_advised() -> None:
    with connected(touch, post_init):
        assert refused(lambda: list(Tag.objects.all())).path == HERE + "touch"


# -- everything else, dropped results or not


class Form(forms.Form):
    """A form that writes as it is made, and as a code is redeemed."""

    code = forms.CharField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not args:
            count("/")
        super().__init__(*args, **kwargs)

    def clean_code(self) -> str:
        count("/")
        return str(self.cleaned_data["code"])


@contextmanager
def counted() -> Iterator[None]:
    count("/")
    yield


def tag_queries(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.cursor.execute("SELECT 1")
    return execute(f"{sql} /* tagged */", params, many, context)


def log_queries(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
    if "query_log" not in sql:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO shop_tag (name) /* query_log */ VALUES ('door')")
    return execute(sql, params, many, context)


def within_a_wrapper() -> None:
    with connection.execute_wrapper(log_queries):
        Tag.objects.first()


def in_a_block() -> None:
    with counted():
        pass


OTHERS = {
    "count": lambda: count("/"),
    "Form.__init__": Form,
    "Form.clean_code": lambda: Form({"code": "1"}).is_valid(),
    "in_a_block": in_a_block,
    "within_a_wrapper": within_a_wrapper,
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_receiver_is_told_and_never_advised(name: str) -> None:
    found = refused(OTHERS[name])

    assert found.path == ""
    assert found.origin
    assert found.verb == "INSERT"


# -- by whichever way a statement is sent


def by_copy() -> None:
    with connection.cursor() as cursor, cursor.copy("COPY /* x */ shop_tag (name) FROM STDIN") as copy:
        copy.write_row(["door"])


def by_stream() -> None:
    with connection.cursor() as cursor:
        list(cursor.stream("INSERT INTO shop_tag (name) VALUES ('door') RETURNING id"))


def by_many() -> None:
    with connection.cursor() as cursor:
        cursor.executemany("UPDATE ONLY shop_tag SET name = %s", [("door",), ("gate",)])


def composed() -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier("public", "shop_tag")))


def of_bytes() -> None:
    with connection.cursor() as cursor:
        cursor.execute(b"TRUNCATE shop_tag")


@pytest.mark.parametrize(
    ("send", "verb", "table"),
    [
        (by_copy, "COPY", "shop_tag"),
        (by_stream, "INSERT", "shop_tag"),
        (by_many, "UPDATE", "shop_tag"),
        (composed, "DELETE", "public.shop_tag"),
        (of_bytes, "TRUNCATE", "shop_tag"),
    ],
)
def test_a_statement_is_told_however_it_is_sent(send: Callable[[], None], verb: str, table: str) -> None:
    found = refused(send)

    assert (found.verb, found.table) == (verb, table)


def test_of_an_error_that_was_never_raised_nothing_is_told() -> None:
    assert blame(ReadOnlyError("an error")) == Blame()


# -- in the setting


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("Form.__init__", "a method that Python itself calls"),
        ("Kind.__call__", "a method that Python itself calls"),
        ("Form.clean_code", "by its name (clean)"),
        ("Form.is_valid", "of a framework"),
        ("count_failure", "by its name (failure)"),
        ("check_something", "by its name (check)"),
        ("deciding.authenticate", "by its name (authenticate)"),
        ("deciding.has_object_permission", "by its name (permission)"),
        ("deciding.may_edit", "by its name (may)"),
        ("deciding.test_func", "by its name (test)"),
        ("deciding.lockedOut", "by its name (locked)"),
        ("deciding.SlowThrottle.hit", "by its name (throttle)"),
        ("deciding.throttle.hit", "by its name (throttle)"),
        ("deciding.Page.get_context_data", "a method that a framework calls for its result"),
        ("deciding.Page.get", "a method that a framework calls for its result"),
        ("deciding.Page.post", "a method that a framework calls for its result"),
        ("deciding.Row.delete", "a method that a framework calls for its result"),
        ("deciding.Seen.process_view", "a part of a middleware"),
        ("deciding.Seen.touch", "a part of a middleware"),
        ("deciding.seen", "a part of a middleware"),
        ("yields", "a generator or a context manager"),
        ("ayields", "a generator or a context manager"),
        ("counted", "a generator or a context manager"),
        ("tag_queries", "an execute wrapper"),
        ("deciding.Log.query", "an execute wrapper"),
        ("deciding.tag", "an execute wrapper"),
        ("deciding.ask", "a function that answers for a request"),
        ("deciding.answer", "a function that answers for a request"),
        ("deciding.decorated", "a function that answers for a request"),
        ("deciding.keeps_out", "a function that raises"),
        ("deciding.insists", "a function that raises"),
        ("answers_no", "a function that raises"),
        ("deciding.note_the_wrong", "a receiver of user_login_failed"),
    ],
)
def test_a_path_that_decides_is_an_error_of_the_check_and_not_skipped(
    path: str, says: str, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = path.replace("deciding.", "tests.http.pages.deciding.") if "deciding." in path else HERE + path
    settings.MIDDLEWARE = ["tests.http.pages.deciding.Seen", "tests.http.pages.deciding.seen"]
    settings.READONLY_ROUTER_SKIP = [path]
    before = skipping.locate(path)

    (message,) = [each for each in check_site() if each.id == "readonly_router.E031"]
    skipping.install()

    assert (message.is_serious(), repr(path) in message.msg, says in message.msg) == (True, True, True)
    assert f"{message.msg} Nothing is skipped for it." in caplog.text
    assert skipping.locate(path) == before


@pytest.mark.parametrize(
    "name",
    [
        "note",
        "anote",
        "Kind.note",
        "deciding.Row.save",
        "deciding.track",
        "deciding.Page.count_reading",
        "deciding.clean_later",
    ],
)
def test_a_path_that_only_notes_is_no_error(name: str) -> None:
    path = f"tests.http.pages.{name}" if name.startswith("deciding.") else HERE + name

    assert (skipping.wrong(path), skipping.guarded(path)) == ("", "")
