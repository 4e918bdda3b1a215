"""What editors made before the switch, through Wagtail's own API: pages, images, a form, workflows, redirects."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.files.images import ImageFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils.timezone import now
from PIL import Image as Picture
from wagtail.contrib.redirects.models import Redirect
from wagtail.contrib.search_promotions.models import Query, SearchPromotion
from wagtail.documents import get_document_model
from wagtail.images import get_image_model
from wagtail.images.utils import generate_signature
from wagtail.models import Collection, Page, PageViewRestriction, Site, Task, Workflow

from .home.models import Author, BlogPage, Branding, FormField, FormPage, HomePage

PASSWORD = "a-password-for-tests"


def build() -> dict[str, Any]:
    """Make the site and return the keys of its parts by name."""
    users = get_user_model().objects
    admin = users.create_superuser("admin", "admin@example.com", PASSWORD)
    reader = users.create_user("reader", "reader@example.com", PASSWORD)
    hero, fresh = picture("hero.png", "teal"), picture("fresh.png", "orange")
    author = Author.objects.create(name="Ada")
    author.save_revision(user=admin).publish()

    home = _home(hero, admin)
    posts = [_post(home, number, hero, author, admin) for number in range(1, 4)]
    site = Site.objects.create(hostname="localhost", root_page=home, is_default_site=True, site_name="Tea garden")
    Branding.objects.create(site=site, slogan="Leaf by leaf")
    # Its settings were never asked for.
    Site.objects.create(hostname="second.example", root_page=home, site_name="Second")
    form = _form(home)
    submission = form.process_form_submission(_filled(form, admin))

    draft = _page(home, "Draft", ("heading", "Not yet"), live=False)
    alias = posts[0].create_alias(parent=home, update_slug="alias", user=admin)
    secret = _page(home, "Secret", ("heading", "Hush"))
    PageViewRestriction.objects.create(page=secret, restriction_type="password", password="hush")
    locked = _page(home, "Locked", locked=True)
    # Published, and never visited: what their first reader makes is not made yet.
    unseen = _page(home, "Unseen", ("image", fresh))
    video = _page(home, "Video", ("paragraph", '<embed embedtype="media" url="https://example.com/video"/>'))

    redirect = Redirect.add_redirect("/old/", posts[0])
    query = Query.get("tea")
    SearchPromotion.objects.create(query=query, page=posts[0], sort_order=0)
    collection = Collection.get_first_root_node().add_child(name="Pictures")
    document = get_document_model().objects.create(
        title="Menu", file=SimpleUploadedFile("menu.txt", b"tea, coffee"), uploaded_by_user=admin
    )
    workflow, task = Workflow.objects.get(), Task.objects.get()
    submitted = _page(home, "Submitted", live=False, owner=admin)
    state = workflow.start(submitted, admin)
    group = Group.objects.get(name="Editors")
    reader.groups.add(group)
    _told_apart(Page.objects.order_by("pk"))
    # Nothing was ever sent to them, and they never came.
    users.create_superuser("newcomer", "newcomer@example.com", PASSWORD)
    return {
        "home": home.pk,
        "post": posts[0].pk,
        "other": posts[1].pk,
        "form": form.pk,
        "draft": draft.pk,
        "alias": alias.pk,
        "secret": secret.pk,
        "locked": locked.pk,
        "unseen": unseen.pk,
        "submitted": submitted.pk,
        "video": video.pk,
        "revision": posts[0].revisions.earliest("pk").pk,
        "latest": posts[0].latest_revision_id,
        "image": hero.pk,
        "fresh": fresh.pk,
        "document": document.pk,
        "author": author.pk,
        "redirect": redirect.pk,
        "query": query.pk,
        "collection": collection.pk,
        "workflow": workflow.pk,
        "task": task.pk,
        "state": state.pk,
        "task_state": state.current_task_state_id,
        "submission": submission.pk,
        "reader": reader.pk,
        "group": group.pk,
        "site": site.pk,
        "served": generate_signature(hero.pk, "width-200"),
        "unserved": generate_signature(hero.pk, "width-201"),
    }


def _told_apart(pages: Iterable[Page]) -> None:
    """Give each page another time of its last revision: Wagtail's lists are in that order, and leave ties open."""
    for number, page in enumerate(pages):
        Page.objects.filter(pk=page.pk).update(latest_revision_created_at=now() - timedelta(days=number))


def picture(name: str, colour: str) -> Any:
    """Create an image of the site from pixels."""
    file = ImageFile(io.BytesIO(pixels(colour)), name=name)
    return get_image_model().objects.create(title=name, file=file, width=640, height=480)


def pixels(colour: str) -> bytes:
    """Return a PNG file."""
    file = io.BytesIO()
    Picture.new("RGB", (640, 480), colour).save(file, "PNG")
    return file.getvalue()


def _home(hero: Any, admin: Any) -> HomePage:
    Site.objects.all().delete()
    Page.objects.filter(depth=2).delete()
    root = Page.get_first_root_node()
    home: HomePage = root.add_child(
        instance=HomePage(title="Tea garden", slug="home", body="<p>Welcome</p>", hero=hero, show_in_menus=True)
    )
    home.save_revision(user=admin).publish()
    return home


def _post(home: HomePage, number: int, hero: Any, author: Author, admin: Any) -> BlogPage:
    body = [("heading", f"Tea {number}"), ("paragraph", "<p>Leaves</p>"), ("image", hero)]
    post: BlogPage = home.add_child(
        instance=BlogPage(
            title=f"Tea {number}", slug=f"tea-{number}", date=date(2025, 3, number), author=author, body=body
        )
    )
    post.save_revision(user=admin).publish()
    post.title += "!"
    post.save_revision(user=admin, log_action=True).publish()
    return post


def _page(home: HomePage, title: str, *body: tuple[str, Any], **fields: Any) -> BlogPage:
    page = BlogPage(title=title, date=date(2025, 3, 9), body=list(body), **fields)
    home.add_child(instance=page)
    # A time of its own for each page: lists are ordered by it, and ties come in any order.
    revision = page.save_revision()
    if page.live:
        revision.publish()
    return page


def _form(home: HomePage) -> FormPage:
    page: FormPage = home.add_child(
        instance=FormPage(title="Contact", slug="contact", thanks="<p>Thanks</p>", show_in_menus=True)
    )
    FormField.objects.create(page=page, sort_order=0, label="Name", field_type="singleline", required=True)
    page.save_revision().publish()
    return page


def _filled(page: FormPage, user: Any) -> Any:
    form = page.get_form({"name": "Grace"}, page=page, user=user)
    assert form.is_valid(), form.errors
    return form
