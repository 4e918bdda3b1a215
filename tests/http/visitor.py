"""People with a browser that runs no script: forms are sent as a browser sends them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

SECONDS = 60


@dataclass(kw_only=True)
class Form:
    """A form of a page, with the values that a browser sends as it stands; `shown` are those that people see."""

    action: str
    method: str = "get"
    fields: dict[str, list[str]] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, Form] = {}
        self._open: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(action=given.get("action", ""), method=given.get("method", "get"))
            self.found[given.get("id", "")] = self._open
        elif self._open is not None and tag in {"input", "textarea", "select"} and given.get("name"):
            self._note(self._open, given, given.get("type", tag))

    def _note(self, form: Form, given: dict[str, str], kind: str) -> None:
        if kind != "hidden":
            form.shown.add(given["name"])
        # What is chosen in a list is left out: no test asks for it.
        if kind not in {"submit", "select"} and (kind not in {"checkbox", "radio"} or "checked" in given):
            form.fields.setdefault(given["name"], []).append(given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a browser got, in the end."""

    status: int
    url: str
    headers: Mapping[str, str]
    html: str

    @property
    def forms(self) -> dict[str, Form]:
        parser = _Forms()
        parser.feed(self.html)
        return parser.found

    @property
    def text(self) -> str:
        """What is to be read, without the tags."""
        return " ".join(
            unescape(re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", self.html, flags=re.DOTALL)).split()
        )


class Visitor:
    """Somebody with a browser that keeps cookies and runs no script."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.jar = CookieJar()
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(self.jar))

    def get(self, path: str, **headers: str) -> Answer:
        return self.read(Request(urljoin(self.address, path), headers={"Accept": "text/html", **headers}))

    def post(self, path: str, **fields: str) -> Answer:
        """Send fields by oneself, with the token a page of the site would hold."""
        values = {"csrfmiddlewaretoken": self.cookie("csrftoken"), **fields}
        return self.read(self._request(path, [*values.items()]))

    def submit(self, page: Answer, form: str, **fields: str) -> Answer:
        """Send a form of a page with some fields filled in."""
        return self.read(self.sending(page, form, **fields))

    def sending(self, page: Answer, form: str, **fields: str) -> Request:
        """Return the request that sends a form of a page."""
        found = page.forms[form]
        assert found.method == "post"
        values = {**found.fields, **{name: [value] for name, value in fields.items()}}
        pairs = [(name, value) for name, each in values.items() for value in each]
        return self._request(urljoin(page.url, found.action), pairs)

    def open(self, request: Request) -> Any:
        """Send a request and return the answer as it comes in."""
        return self._opener.open(request, timeout=SECONDS)

    def sign_in(self, name: str, path: str = "/admin/") -> Answer:
        """Sign in where a page of the admin asks for it; passwords are like names."""
        return self.submit(self.get(path), "login-form", username=name, password=name)

    def cookie(self, name: str) -> str:
        return next((cookie.value or "" for cookie in self.jar if cookie.name == name), "")

    def _request(self, path: str, pairs: list[tuple[str, str]]) -> Request:
        data = urlencode(pairs).encode()
        return Request(urljoin(self.address, path), data, headers={"Accept": "text/html"})

    def read(self, request: Request) -> Answer:
        try:
            with self.open(request) as response:
                return _answer(response)
        except HTTPError as error:
            with error:
                return _answer(error)


def _answer(response: Any) -> Answer:
    return Answer(
        status=response.status, url=response.url, headers=dict(response.headers), html=response.read().decode()
    )
