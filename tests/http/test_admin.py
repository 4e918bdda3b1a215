"""Every admin, whoever wrote it, before a window, in it and after it: views in it, and else as Django's own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.http.operating import Answer, Visitor, operated, served, wait_for
from tests.site import Site

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="[^"]+"')
MAIN = re.compile(r"<main\b.*</main>", re.DOTALL)
OURS = re.compile(r'<div class="app-readonly_router.*?</table>\s*</div>', re.DOTALL)
REASON = "<i>moving</i> house"
BANNER = "admin-read-only"

# Each is a page on which somebody changes something, in normal mode.
FORMS = {
    "change": "/admin/shop/order/{order}/change/",
    "inlines": "/admin/warehouse/shelf/{shelf}/change/",
    "another admin's": "/admin/warehouse/box/{box}/change/",
    "second site's": "/counter/warehouse/shelf/{shelf}/change/",
    "user": "/admin/auth/user/{user}/change/",
}
LISTS = {
    "list": "/admin/shop/order/",
    "editable list": "/admin/warehouse/shelf/",
    "second site's list": "/counter/warehouse/shelf/",
}
CLOSED = {
    "add": "/admin/shop/product/add/",
    "add where all is permitted": "/admin/warehouse/shelf/add/",
    "delete": "/admin/shop/order/{order}/delete/",
    "delete where all is permitted": "/counter/warehouse/shelf/{shelf}/delete/",
    "password of a user": "/admin/auth/user/{user}/password/",
}
OTHERS = {
    "index": "/admin/",
    "app": "/admin/warehouse/",
    "history": "/admin/shop/order/{order}/history/",
    "own password": "/admin/password_change/",
    "page of one's own": "/admin/warehouse/shelf/count/",
    "second site": "/counter/",
}
SHOWN = {**FORMS, **LISTS, **OTHERS}
NESTED = {"nested": "/admin/warehouse/shelf/nested/"}
EVERY = {**SHOWN, **CLOSED, **NESTED}

# Requests that would write, sent past the pages.
POSTS: dict[str, tuple[str, dict[str, str]]] = {
    "add": ("/admin/warehouse/shelf/add/", {"name": "added"}),
    "change": ("/admin/warehouse/shelf/{shelf}/change/", {"name": "changed"}),
    "delete": ("/admin/warehouse/shelf/{shelf}/delete/", {"post": "yes"}),
    "action": ("/admin/warehouse/shelf/", {"action": "take_down", "_selected_action": "{shelf}", "index": "0"}),
    "delete selected": (
        "/counter/warehouse/shelf/",
        {"action": "delete_selected", "_selected_action": "{shelf}", "post": "yes"},
    ),
    "editable list": ("/admin/warehouse/shelf/", {"_save": "Save"}),
    "inline": ("/admin/warehouse/shelf/{shelf}/change/", {"name": "first", "boxes-0-name": "put in"}),
    "another admin's": ("/admin/warehouse/box/{box}/change/", {"name": "changed"}),
    "page of one's own": ("/admin/warehouse/shelf/count/", {}),
    "own password": ("/admin/password_change/", {"old_password": "admin"}),
    "password of a user": ("/admin/auth/user/{user}/password/", {"password1": "x"}),
}


@dataclass(kw_only=True)
class Story:
    """What the pages answered in each phase, by their names, and what the data looked like within the window."""

    django: dict[str, Answer] = field(default_factory=dict)
    before: dict[str, Answer] = field(default_factory=dict)
    within: dict[str, Answer] = field(default_factory=dict)
    after: dict[str, Answer] = field(default_factory=dict)
    editor: dict[str, Answer] = field(default_factory=dict)
    viewer: dict[str, Answer] = field(default_factory=dict)
    posts: dict[str, Answer] = field(default_factory=dict)
    attempts: dict[str, Answer] = field(default_factory=dict)
    digests: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def story(server: str) -> Story:
    told = Story()
    with operated(server) as made:
        made.superuser.execute("INSERT INTO warehouse_box (name, shelf_id) SELECT 'box', id FROM warehouse_shelf")
        keys = find(made)
        with served(made, OPERATORS_ADMIN="django") as address:
            told.django = look(signed_in(address, "admin"), EVERY, keys)
        with served(made) as address, served(made, OPERATORS_UNSAFE="attempt") as attempting:
            tell(told, made, keys, address, signed_in(attempting, "admin"))
    return told


def tell(told: Story, made: Site, keys: dict[str, str], address: str, bold: Visitor) -> None:
    admin, editor, viewer = (signed_in(address, name) for name in ("admin", "editor", "viewer"))
    told.before = look(admin, EVERY, keys)
    with window(made):
        wait_for_news(admin, bold, there=True)
        told.digests.add(made.checksum())
        told.within = look(admin, EVERY, keys)
        told.within["signing in"] = Visitor(address).get("/admin/login/")
        told.posts, told.attempts = write(admin, keys), write(bold, keys)
        told.editor = look(editor, {**CLOSED, **LISTS}, keys)
        told.viewer = look(viewer, OTHERS, keys)
        told.digests.add(made.checksum())
    wait_for_news(admin, there=False)
    told.after = look(admin, EVERY, keys)


def signed_in(address: str, name: str) -> Visitor:
    visitor = Visitor(address)
    visitor.sign_in(name)
    return visitor


def find(made: Site) -> dict[str, str]:
    """Return the keys of the rows that the pages are about."""
    tables = {"order": "shop_order", "shelf": "warehouse_shelf", "box": "warehouse_box", "user": "auth_user"}
    keys = {}
    for name, table in tables.items():
        (keys[name],) = made.superuser.execute(f"SELECT max(id)::text FROM {table}").fetchone() or ("",)
    return keys


@contextmanager
def window(made: Site) -> Iterator[None]:
    """Throw the switch as an operator does elsewhere."""
    on = made.manage("read_only", "on", "--reason", REASON, "--eta", "1h", "--grace", "0s")
    assert on.returncode == 0, on.stderr
    try:
        yield
    finally:
        off = made.manage("read_only", "off")
        assert off.returncode == 0, off.stderr


def wait_for_news(*visitors: Visitor, there: bool) -> None:
    """Wait until each process follows: a second at most, where it has no old connection."""
    for visitor in visitors:
        wait_for(lambda visitor=visitor: (BANNER in visitor.get("/admin/").html) is there)  # type: ignore[misc]


def look(visitor: Visitor, pages: dict[str, str], keys: dict[str, str]) -> dict[str, Answer]:
    return {name: visitor.get(path.format(**keys)) for name, path in pages.items()}


def write(visitor: Visitor, keys: dict[str, str]) -> dict[str, Answer]:
    return {
        name: visitor.post(path.format(**keys), **{key: value.format(**keys) for key, value in fields.items()})
        for name, (path, fields) in POSTS.items()
    }


def content(answer: Answer) -> tuple[int, str]:
    """Return what stands in the middle of a page, but for its token and for what lists our own app."""
    found = MAIN.search(answer.html)
    return answer.status, " ".join(OURS.sub("", TOKEN.sub("", found[0] if found else answer.html)).split())


def to_fill_in(answer: Answer) -> set[str]:
    """Return the names of what the page has somebody fill in, to be sent."""
    return {name for form in answer.forms.values() if form.method == "post" for name in form.shown}


# -- outside of a window


@pytest.mark.parametrize("name", EVERY)
def test_in_normal_mode_a_page_is_as_django_draws_it(story: Story, name: str) -> None:
    assert content(story.before[name]) == content(story.django[name])


@pytest.mark.parametrize("name", EVERY)
def test_after_the_window_a_page_is_as_before_without_a_restart(story: Story, name: str) -> None:
    assert content(story.after[name]) == content(story.before[name])


@pytest.mark.parametrize("name", FORMS)
def test_in_normal_mode_a_form_can_be_filled_in(story: Story, name: str) -> None:
    assert story.before[name].status == 200
    assert to_fill_in(story.before[name])


def test_nothing_of_the_window_is_told_outside_of_it(story: Story) -> None:
    told = [name for phase in (story.before, story.after) for name, page in phase.items() if BANNER in page.html]
    assert told == []


# -- within it


@pytest.mark.parametrize("name", FORMS)
def test_a_form_only_shows(story: Story, name: str) -> None:
    page = story.within[name]
    assert page.status == 200
    assert to_fill_in(page) == set()
    assert not re.search(r'name="_(save|continue|addanother|saveasnew)"|class="deletelink"', page.html)


def test_the_values_are_still_shown(story: Story) -> None:
    assert "first" in story.within["inlines"].text
    assert "box" in story.within["inlines"].text
    assert "box" in story.within["another admin's"].text


def test_an_inline_offers_no_row_to_add_or_delete(story: Story) -> None:
    counts = story.within["inlines"].forms["shelf_form"].fields
    assert counts["boxes-TOTAL_FORMS"] == counts["boxes-INITIAL_FORMS"] == ["1"]
    assert "-DELETE" not in story.within["inlines"].html


def test_inlines_of_inlines_are_views_too(story: Story) -> None:
    assert json.loads(story.before["nested"].html) == {"change": [True]}
    assert json.loads(story.within["nested"].html) == {"change": [False]}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_offers_no_action_no_editing_and_no_adding(story: Story, name: str) -> None:
    page = story.within[name]
    assert page.status == 200
    assert to_fill_in(page) == set()
    assert 'name="action"' not in page.html
    assert 'class="addlink"' not in page.html


def test_the_index_offers_to_look_at_what_could_be_changed(story: Story) -> None:
    page = story.within["index"].html
    assert 'class="viewlink"' in page
    assert 'class="changelink"' not in page
    assert 'class="addlink"' not in page


@pytest.mark.parametrize("name", CLOSED)
def test_a_page_that_only_writes_says_that_it_is_the_window(story: Story, name: str) -> None:
    page = story.within[name]
    assert (page.status, page.headers["Read-Only"]) == (503, "?1")
    assert int(page.headers["Retry-After"]) > 60


@pytest.mark.parametrize("name", ["add", "delete"])
def test_who_may_change_it_otherwise_is_told_so_too(story: Story, name: str) -> None:
    assert story.editor[name].status == 503


def test_who_may_never_change_it_is_told_that(story: Story) -> None:
    assert story.editor["password of a user"].status == 403


@pytest.mark.parametrize("name", [*SHOWN, "signing in"])
def test_each_page_has_one_banner_within_its_main_part(story: Story, name: str) -> None:
    page = story.within[name].html
    assert page.count(BANNER) == 1
    assert page.index("<main") < page.index(BANNER) < page.index("</main>")


def test_the_banner_tells_why_escaped_and_until_when(story: Story) -> None:
    page = story.within["index"]
    assert "&lt;i&gt;moving&lt;/i&gt; house" in page.html
    assert REASON not in page.html
    assert re.search(r"Expected to end at \d+ \w+ \d\d:\d\d", page.text)


def test_the_banner_leads_operators_to_their_page_and_nobody_else(story: Story) -> None:
    link = re.compile(rf'{BANNER}.*?<a href="/admin/read-only/">', re.DOTALL)
    assert link.search(story.within["index"].html)
    assert link.search(story.viewer["index"].html)
    assert not link.search(story.editor["list"].html)
    assert not link.search(story.within["signing in"].html)


@pytest.mark.parametrize("name", POSTS)
def test_a_request_past_the_pages_is_refused(story: Story, name: str) -> None:
    assert (story.posts[name].status, story.posts[name].headers["Read-Only"]) == (503, "?1")


@pytest.mark.parametrize("name", POSTS)
def test_it_is_refused_too_where_the_project_attempts_writes(story: Story, name: str) -> None:
    assert (story.attempts[name].status, story.attempts[name].headers["Read-Only"]) == (503, "?1")


def test_nothing_was_written_in_the_window(story: Story) -> None:
    assert len(story.digests) == 1
