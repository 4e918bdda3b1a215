"""What editors made before the switch, through Wagtail's own API: pages, images, a form, workflows, redirects."""

from __future__ import annotations

import io
from datetime import date
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.files.images import ImageFile
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image as Picture
from wagtail.contrib.redirects.models import Redirect
from wagtail.contrib.search_promotions.models import Query, SearchPromotion
from wagtail.documents import get_document_model
from wagtail.images import get_image_model
from wagtail.models import Collection, Page, PageViewRestriction, Site, Task, Workflow

from .home.models import Author, BlogPage, Branding, FormField, FormPage, HomePage

PASSWORD = "a-password-for-tests"


def build() -> dict[str, Any]:
    """Make the site and return its parts by name."""
    users = get_user_model().objects
    admin = users.create_superuser("admin", "admin@example.com", PASSWORD)
    reader = users.create_user("reader", "reader@example.com", PASSWORD)
    hero, fresh = picture("hero.png", "teal"), picture("fresh.png", "orange")
    author = Author.objects.create(name="Ada")
    author.save_revision(user=admin).publish()

    home = _home(hero, admin)
    posts = [_post(home, number, hero, author, admin) for number in range(1, 4)]
    Site.objects.create(hostname="localhost", root_page=home, is_default_site=True, site_name="Tea garden")
    Branding.objects.create(site=Site.objects.get(), slogan="Leaf by leaf")
    form = _form(home)
    form.get_form_class()
    form.process_form_submission(_filled(form, admin))

    draft = BlogPage(title="Draft", date=date(2025, 3, 9), body=[("heading", "Not yet")], live=False)
    home.add_child(instance=draft)
    draft.save_revision(user=admin)
    alias = posts[0].create_alias(parent=home, update_slug="alias", user=admin)
    secret = home.add_child(instance=BlogPage(title="Secret", date=date(2025, 3, 9), body=[("heading", "Hush")]))
    PageViewRestriction.objects.create(page=secret, restriction_type="password", password="hush")
    locked = home.add_child(instance=BlogPage(title="Locked", date=date(2025, 3, 9), body=[], locked=True))
    # Published, and never visited: nothing of it was made yet that its first reader makes.
    unseen = home.add_child(
        instance=BlogPage(title="Unseen", date=date(2025, 3, 9), body=[("image", fresh)])
    )

    redirect = Redirect.add_redirect("/old/", posts[0])
    SearchPromotion.objects.create(query=Query.get("tea"), page=posts[0], sort_order=0)
    collection = Collection.get_first_root_node().add_child(name="Pictures")
    document = get_document_model().objects.create(
        title="Menu", file=SimpleUploadedFile("menu.txt", b"tea, coffee"), uploaded_by_user=admin
    )
    workflow, task = Workflow.objects.get(), Task.objects.get()
    submitted = home.add_child(
        instance=BlogPage(title="Submitted", date=date(2025, 3, 9), body=[], live=False, owner=admin)
    )
    submitted.save_revision(user=admin)
    state = workflow.start(submitted, admin)
    group = Group.objects.get(name="Editors")
    reader.groups.add(group)
    return {
        name: value
        for name, value in locals().items()
        if name not in ("users",)
    }


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
