"""What an operator writes as the reason of a window is text wherever it is shown: in pages, headers and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client

from readonly_router import get_status
from tests.http.pages.conftest import switching as switching  # noqa: PLC0414 - a fixture
from tests.http.pages.engines import sign_in
from tests.http.pages.usual import BROWSER
from tests.security.strangers import site as site  # noqa: PLC0414 - a fixture
from tests.security.strangers import tags

pytestmark = pytest.mark.usefixtures("site")

REASONS = {
    "a script": "<script>alert(1)</script>",
    "an image": '"><img src=x onerror=alert(1)>',
    "an attribute": "' onmouseover='alert(1)",
    "the end of an element": "</dd></dl></main></title></style></textarea>",
    "the end of a script": "</script><script>alert(1)//",
    "a comment": "--><!--<b>",
    "an SVG": "<svg/onload=alert(1)>",
    "an entity": "&lt;b&gt; &amp; &#60;i&#62;",
    "a template": "{{ 7|add:7 }}{% now 'Y' %}{# gone #}{{ settings.SECRET_KEY }}",
    "a format": "{reason} %(reason)s %s {0.__class__}",
    "the end of a JSON text": '"}, "reason": "other", "x": {"y": "\\u0022',
    "an address": "javascript:alert(1) https://elsewhere.example",
    "a line break": "one\ntwo",
    "a header": "x\r\nSet-Cookie: a=b\r\n\r\n<b>body</b>",
    "other line breaks": "one\u2028two\u0085three\x0bfour\x0cfive",
    "a right-to-left mark": "\u202egnivom\u202c \u200b\ufeff",
    "beyond the basic plane": "\U0001f6a7 \U00010348 e\u0301",
    "long": "moving & " * 50,
}
PLAIN = "moving"

# Who asks for what: a page, whose tags are compared with those for a plain reason.
PAGES: dict[str, Callable[[Client], Any]] = {
    "503": lambda client: client.post("/echo/"),
    "503 of a read": lambda client: client.get("/view/"),
    "fragment": lambda client: client.post("/echo/", headers={"HX-Request": "true"}),
    "banner": lambda client: client.get("/with-banner/"),
    "form to sign in": lambda _: Client(headers=BROWSER).get("/admin/login/"),
    "index of the admin": lambda client: client.get("/admin/"),
    "operators' page": lambda client: client.get("/admin/read-only/"),
    "question of the operators' page": lambda client: client.post("/admin/read-only/off/"),
    "migrations": lambda client: client.get("/admin/migrations/"),
    "list of events": lambda client: client.get("/admin/readonly_router/event/"),
}
JSON: dict[str, Callable[[Client], Any]] = {
    "status": lambda client: client.get("/read-only/status/"),
    "problem": lambda client: client.post("/echo/", headers={"Accept": "application/json"}),
    "health": lambda client: client.get("/read-only/health/"),
}


def asked(switching: Callable[..., Any], reason: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return what a window of this reason says: the reason as it is known, its pages and its JSON."""
    client = Client(raise_request_exception=False, headers=BROWSER)
    with switching(reason=reason):
        assert sign_in(client, "admin") == 302
        pages = {name: ask(client) for name, ask in PAGES.items()}
        objects = {name: ask(client) for name, ask in JSON.items()}
        return get_status().reason, pages, objects


@pytest.mark.parametrize("reason", REASONS.values(), ids=list(REASONS))
def test_a_reason_is_text_wherever_it_is_shown(switching: Callable[..., Any], reason: str) -> None:
    _, plain_pages, plain_objects = asked(switching, PLAIN)
    known, pages, objects = asked(switching, reason)

    for name, answer in pages.items():
        text = answer.content.decode()
        assert answer.status_code == plain_pages[name].status_code, name
        assert tags(text) == tags(plain_pages[name].content.decode()), name
        assert harmless_headers(answer) == harmless_headers(plain_pages[name]), name
    for name in ("503", "fragment", "banner", "operators' page"):
        assert words(known) in words(unescape(pages[name].content.decode())), name
    for name, answer in objects.items():
        found = json.loads(answer.content)
        assert set(found) == set(json.loads(plain_objects[name].content)), name
        assert found.get("reason", known) == known, name
        assert harmless_headers(answer) == harmless_headers(plain_objects[name]), name
        assert all(character.isprintable() for character in answer.content.decode()), name


def harmless_headers(answer: Any) -> set[str]:
    """Return the names of an answer's headers and cookies; none of them tells of the reason."""
    assert not any("Set-Cookie" in value or "alert" in value for value in answer.headers.values())
    assert all(value.isprintable() for value in answer.headers.values())
    return {*answer.headers, *answer.cookies}


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_reason_that_no_database_takes_is_refused_in_one_line(switching: Callable[..., Any]) -> None:
    from readonly_router import SwitchError, is_read_only

    with pytest.raises(SwitchError) as caught, switching(reason="x\0y"):
        pass

    assert "\n" not in str(caught.value)
    assert not is_read_only()


@pytest.mark.parametrize("reason", [*REASONS.values()][:9])
def test_a_reason_that_is_asked_back_is_text(reason: str) -> None:
    client = Client(raise_request_exception=False)
    assert sign_in(client, "admin") == 302
    fields = {"grace": "0s", "deadline": "5s", "eta": reason}

    plain = client.post("/admin/read-only/on/", {**fields, "reason": PLAIN, "eta": "soon"})
    answer = client.post("/admin/read-only/on/", {**fields, "reason": reason})
    question = client.post("/admin/read-only/on/", {**fields, "eta": "5m", "reason": reason})

    assert (plain.status_code, answer.status_code, question.status_code) == (422, 422, 200)
    assert tags(answer.content.decode()) == tags(plain.content.decode())
    assert words(reason) in words(unescape(question.content.decode()))
    assert not any(tag[:1] == ("script",) and "src" not in tag for tag in tags(question.content.decode()))
