"""What editors, visitors and administrators send: a corpus of POSTs, each of which writes in normal mode."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bs4 import BeautifulSoup
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from wagtail.test.utils.form_data import nested_form_data, querydict_from_html, rich_text, streamfield

from tests.wagtail import content

Data = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Post:
    """A POST: its address, the fields that are typed, and the page whose form holds the rest."""

    path: str
    typed: Callable[[], Data] = field(default=dict)
    # "" is the address itself; None is a POST without a form.
    form: str | None = ""
    user: str = "admin"
    accept: str = "text/html"
    method: str = "POST"

    def held(self, client: Client, site: dict[str, Any]) -> Data:
        """Return the fields of the form as its page holds them."""
        if self.form is None:
            return {}
        page = client.get((self.form or self.path).format(**site)).content.decode()
        return {name: values for name, values in _form(page).items() if values != [""]}

    def send(self, client: Client, site: dict[str, Any], held: Data) -> Any:
        """Send the form's fields with what is typed, files made anew, and return the answer."""
        path, data = self.path.format(**site), {**held, **_named(self.typed(), site)}
        if self.method != "POST":
            return client.generic(self.method, path, json.dumps(data), "application/json")
        return client.post(path, data, HTTP_ACCEPT=self.accept)


def _named(typed: Data, site: dict[str, Any]) -> Data:
    """Put keys of the site in the place of `{name}`, and let all other braces be."""

    def key(found: re.Match[str]) -> str:
        return str(site[found[1]])

    return {
        name: re.sub(r"\{(\w+)\}", key, value) if isinstance(value, str) else value
        for name, value in typed.items()
    }


def _form(page: str) -> Data:
    """Return the fields of the page's largest form that is posted."""
    forms = BeautifulSoup(page, "html.parser").find_all("form")
    posted = [index for index, form in enumerate(forms) if form.get("method", "").lower() == "post"]
    found = [dict(querydict_from_html(page, form_index=index).lists()) for index in posted]
    return max(found, key=len, default={})


def blog(**fields: Any) -> Callable[[], Data]:
    def typed() -> Data:
        written = {
            "title": "New page",
            "slug": "new-page",
            "date": "2025-03-10",
            "body": streamfield([("heading", "Written")]),
            "comments-TOTAL_FORMS": "0",
            "comments-INITIAL_FORMS": "0",
            "comments-MIN_NUM_FORMS": "0",
            "comments-MAX_NUM_FORMS": "",
        }
        return {**nested_form_data(written), **fields}

    return typed


def fields(**fields: Any) -> Callable[[], Data]:
    return lambda: dict(fields)


def picture(name: str) -> Callable[[], Data]:
    return lambda: {
        "title": "New picture",
        name: SimpleUploadedFile("new.png", content.pixels("red"), content_type="image/png"),
    }


def text(name: str) -> Callable[[], Data]:
    return lambda: {"title": "New text", name: SimpleUploadedFile("new.txt", b"new")}


_PASSWORDS = {"password1": "Long-enough-7", "password2": "Long-enough-7"}

POSTS = {
    # Pages
    "create a page": Post(path="/admin/pages/add/home/blogpage/{home}/", typed=blog(), form=None),
    "create and publish a page": Post(
        path="/admin/pages/add/home/blogpage/{home}/", typed=blog(**{"action-publish": "1"}), form=None
    ),
    "create and submit a page": Post(
        path="/admin/pages/add/home/blogpage/{home}/", typed=blog(**{"action-submit": "1"}), form=None
    ),
    "edit a page": Post(path="/admin/pages/{post}/edit/", typed=blog(), form=None),
    "publish a page": Post(path="/admin/pages/{post}/edit/", typed=blog(**{"action-publish": "1"}), form=None),
    "publish a draft": Post(path="/admin/pages/{draft}/edit/", typed=blog(**{"action-publish": "1"}), form=None),
    "save a page with JSON": Post(
        path="/admin/pages/{post}/edit/", typed=blog(), form=None, accept="application/json"
    ),
    "edit the home page": Post(
        path="/admin/pages/{home}/edit/",
        typed=lambda: {**blog(title="New home", slug="home")(), "body": rich_text("<p>New</p>")},
        form=None,
    ),
    "go back to a revision": Post(path="/admin/pages/{post}/edit/", typed=blog(revision="{revision}"), form=None),
    "unpublish a page": Post(path="/admin/pages/{post}/unpublish/"),
    "delete a page": Post(path="/admin/pages/{post}/delete/"),
    "move a page": Post(path="/admin/pages/{post}/move/{other}/confirm/"),
    "order pages": Post(path="/admin/pages/{post}/set_position/?position=2", form=None),
    "copy a page": Post(
        path="/admin/pages/{post}/copy/",
        typed=fields(new_title="Copy", new_slug="copy", new_parent_page="{home}", publish_copies="on"),
    ),
    "convert an alias": Post(path="/admin/pages/{alias}/convert_alias/"),
    "lock a page": Post(path="/admin/pages/{post}/lock/", form=None),
    "unlock a page": Post(path="/admin/pages/{locked}/unlock/", form=None),
    "make a page private": Post(
        path="/admin/pages/{post}/privacy/", typed=fields(restriction_type="login"), form=None
    ),
    "preview a page": Post(path="/admin/pages/{post}/edit/preview/", typed=blog(), form=None),
    "approve a page": Post(
        path="/admin/pages/workflow/action/{submitted}/approve/{task_state}/", typed=fields(comment="Good")
    ),
    "reject a page": Post(
        path="/admin/pages/workflow/action/{submitted}/reject/{task_state}/", typed=fields(comment="Bad")
    ),
    "cancel a workflow": Post(
        path="/admin/pages/{submitted}/edit/", typed=blog(**{"action-cancel-workflow": "1"}), form=None
    ),
    # Several at once
    "delete pages": Post(path="/admin/bulk/wagtailcore/page/delete/?id={post}&id={other}"),
    "publish pages": Post(path="/admin/bulk/wagtailcore/page/publish/?id={draft}"),
    "unpublish pages": Post(path="/admin/bulk/wagtailcore/page/unpublish/?id={post}"),
    "move pages": Post(path="/admin/bulk/wagtailcore/page/move/?id={post}", typed=fields(chooser="{other}")),
    "delete images": Post(path="/admin/bulk/wagtailimages/image/delete/?id={image}"),
    "tag images": Post(path="/admin/bulk/wagtailimages/image/add_tags/?id={image}", typed=fields(tags="new")),
    "put images into a collection": Post(
        path="/admin/bulk/wagtailimages/image/add_to_collection/?id={image}",
        typed=fields(collection="{collection}"),
    ),
    "delete documents": Post(path="/admin/bulk/wagtaildocs/document/delete/?id={document}"),
    "disable users": Post(
        path="/admin/bulk/auth/user/set_active_state/?id={reader}", typed=fields(mark_as_active="False")
    ),
    "delete users": Post(path="/admin/bulk/auth/user/delete/?id={reader}"),
    # Images and documents
    "upload an image": Post(path="/admin/images/add/", typed=picture("file")),
    "upload images": Post(
        path="/admin/images/multiple/add/", typed=lambda: {**picture("files[]")(), "collection": "1"}, form=None
    ),
    "upload an image in the chooser": Post(
        path="/admin/images/chooser/create/",
        typed=lambda: {
            "image-chooser-upload-title": "New picture",
            "image-chooser-upload-file": picture("file")()["file"],
            "image-chooser-upload-collection": "1",
        },
        form=None,
    ),
    "edit an image": Post(path="/admin/images/{image}/", typed=fields(title="New title")),
    "replace an image": Post(path="/admin/images/{image}/", typed=picture("file")),
    "delete an image": Post(path="/admin/images/{image}/delete/"),
    "upload a document": Post(path="/admin/documents/add/", typed=text("file")),
    "edit a document": Post(path="/admin/documents/edit/{document}/", typed=fields(title="New title")),
    "delete a document": Post(path="/admin/documents/delete/{document}/"),
    # Snippets
    "create a snippet": Post(path="/admin/snippets/home/author/add/", typed=fields(name="New"), form=None),
    "edit a snippet": Post(path="/admin/snippets/home/author/edit/{author}/", typed=fields(name="New"), form=None),
    "publish a snippet": Post(
        path="/admin/snippets/home/author/edit/{author}/",
        typed=lambda: {"name": "New", "action-publish": "1"},
        form=None,
    ),
    "delete a snippet": Post(path="/admin/snippets/home/author/delete/{author}/"),
    # Users, groups, collections, sites, settings
    "create a user": Post(
        path="/admin/users/new/",
        typed=fields(username="new", email="new@example.com", first_name="N", last_name="N", **_PASSWORDS),
    ),
    "edit a user": Post(path="/admin/users/edit/{reader}/", typed=fields(first_name="New", last_name="Name")),
    "delete a user": Post(path="/admin/users/delete/{reader}/"),
    "create a group": Post(path="/admin/groups/new/", typed=fields(name="New")),
    "edit a group": Post(path="/admin/groups/edit/{group}/", typed=fields(name="New")),
    "delete a group": Post(path="/admin/groups/delete/{group}/"),
    "create a collection": Post(path="/admin/collections/add/", typed=fields(name="New", parent="1")),
    "edit a collection": Post(path="/admin/collections/{collection}/", typed=fields(name="New")),
    "delete a collection": Post(path="/admin/collections/{collection}/delete/"),
    "create a site": Post(
        path="/admin/sites/new/",
        typed=fields(hostname="new.example", port="80", site_name="New", root_page="{home}"),
    ),
    "edit a site": Post(path="/admin/sites/edit/{site}/", typed=fields(site_name="New")),
    "delete a site": Post(path="/admin/sites/delete/{site}/"),
    "edit the settings": Post(path="/admin/settings/home/branding/{site}/", typed=fields(slogan="New")),
    "edit the own account": Post(
        path="/admin/account/", typed=lambda: {"name_email-first_name": "New", "name_email-last_name": "Name"}
    ),
    "dismiss a banner": Post(path="/admin/dismissibles/", typed=fields(banner="true"), form=None, method="PATCH"),
    # Workflows, redirects, promotions
    "create a workflow": Post(path="/admin/workflows/add/", typed=fields(name="New")),
    "edit a workflow": Post(path="/admin/workflows/edit/{workflow}/", typed=fields(name="New")),
    "disable a workflow": Post(path="/admin/workflows/disable/{workflow}/"),
    "edit a task": Post(path="/admin/workflows/tasks/edit/{task}/", typed=fields(name="New")),
    "disable a task": Post(path="/admin/workflows/tasks/disable/{task}/"),
    "create a redirect": Post(
        path="/admin/redirects/add/", typed=fields(old_path="/new/", redirect_link="https://example.com/")
    ),
    "edit a redirect": Post(
        path="/admin/redirects/{redirect}/", typed=fields(redirect_page="", redirect_link="https://example.com/")
    ),
    "delete a redirect": Post(path="/admin/redirects/{redirect}/delete/"),
    "promote a page": Post(
        path="/admin/searchpicks/add/",
        typed=lambda: {
            "query_string": "new",
            "editors_picks-TOTAL_FORMS": "1",
            "editors_picks-INITIAL_FORMS": "0",
            "editors_picks-MIN_NUM_FORMS": "0",
            "editors_picks-MAX_NUM_FORMS": "1000",
            "editors_picks-0-DELETE": "",
            "editors_picks-0-ORDER": "0",
            "editors_picks-0-page": "{post}",
            "editors_picks-0-description": "New",
            "editors_picks-0-external_link_url": "",
            "editors_picks-0-external_link_text": "",
        },
        form=None,
    ),
    "delete a promotion": Post(path="/admin/searchpicks/{query}/delete/"),
    "delete submissions": Post(path="/admin/forms/submissions/{form}/delete/?selected-submissions={submission}"),
    # Visitors
    "send a form": Post(path="/contact/", typed=fields(name="Grace"), user=""),
    "open a private page": Post(
        path="/_util/authenticate_with_password/1/{secret}/",
        typed=fields(password="hush", return_url="/secret/"),
        form=None,
        user="",
    ),
    "sign in": Post(
        path="/admin/login/", typed=fields(username="reader", password=content.PASSWORD), form=None, user=""
    ),
    "sign out": Post(path="/admin/logout/", form=None),
    # Django's own admin
    "create a group in Django's admin": Post(path="/django-admin/auth/group/add/", typed=fields(name="New")),
    "delete groups in Django's admin": Post(
        path="/django-admin/auth/group/",
        typed=fields(action="delete_selected", _selected_action="{group}", post="yes"),
        form=None,
    ),
}
