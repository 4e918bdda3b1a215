"""The router: where models go, composed with other routers, and that it never raises."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, router
from django.db.utils import ConnectionHandler, ConnectionRouter
from django.test import override_settings

from readonly_router import ReadOnlyError, read_only
from readonly_router.router import ReadOnlyRouter
from tests.example.shop.models import Category, Product, Tag

pytestmark = pytest.mark.usefixtures("shop")
OURS = "readonly_router.router.ReadOnlyRouter"


class ToAnalytics:
    """A project's router that sends tags elsewhere."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "analytics" if model is Tag else None

    db_for_write = db_for_read


class OnlyDefaultMigrates:
    """The router of the documentation: migrations on the default database and nowhere else."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == "default"


@pytest.fixture
def routers(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(*others: Any) -> None:
        monkeypatch.setattr(router, "_routers", [OURS, *others])
        router.__dict__.pop("routers", None)

    yield use
    router.__dict__.pop("routers", None)


def test_in_read_only_mode_models_are_read_and_written_on_the_twin() -> None:
    with read_only():
        assert (router.db_for_read(Tag), router.db_for_write(Tag)) == ("readonly", "readonly")


def test_in_normal_mode_the_router_has_no_say() -> None:
    ours = ReadOnlyRouter()
    assert (ours.db_for_read(Tag), ours.db_for_write(Tag)) == (None, None)


def test_an_instance_loaded_in_read_only_mode_is_written_through_the_writer_afterwards() -> None:
    with read_only():
        tag = Tag.objects.first()
    assert tag is not None
    assert tag._state.db == "readonly"
    tag.name = "renamed"
    tag.save()
    assert (tag._state.db, Tag.objects.get(pk=tag.pk).name) == ("default", "renamed")


def test_an_instance_loaded_in_read_only_mode_is_deleted_through_the_writer_afterwards() -> None:
    with read_only():
        tag = Tag.objects.first()
    assert tag is not None
    tag.delete()
    assert not Tag.objects.filter(pk=tag.pk).exists()


def test_related_rows_of_such_an_instance_are_read_and_written_through_the_writer() -> None:
    with read_only():
        product = Product.objects.first()
    assert product is not None
    product.tags.set([Tag.objects.create(name="fresh")])
    assert (product.tags.get().name, product.tags.get()._state.db) == ("fresh", "default")


def test_instances_of_both_modes_may_be_related() -> None:
    with read_only():
        category = Category.objects.first()
    product = Product.objects.first()
    assert product is not None
    product.category = category
    product.save()
    assert Product.objects.get(pk=product.pk).category == category


def test_instances_of_other_databases_are_left_to_other_routers() -> None:
    one, other = Tag(name="one"), Tag(name="other")
    one._state.db, other._state.db = "default", "analytics"
    assert ReadOnlyRouter().allow_relation(one, other) is None
    assert ReadOnlyRouter().allow_relation(Tag(), Tag()) is None


def test_building_a_child_and_validating_it_raise_nothing_in_read_only_mode() -> None:
    with read_only():
        category = Category.objects.first()
        product = Product(category=category, name="x", sku="x", slug="x", price=1)
        product.clean_fields(exclude=[field.name for field in Product._meta.fields])
        product.validate_unique()


def test_get_or_create_of_an_existing_row_is_a_read() -> None:
    with read_only():
        tag = Tag.objects.first()
        assert tag is not None
        assert Tag.objects.get_or_create(name=tag.name) == (tag, False)


def test_a_model_that_another_router_sends_elsewhere_goes_to_the_twin_of_that(routers: Any) -> None:
    routers(ToAnalytics())
    pairs = {"default": "readonly", "analytics": "analytics_twin"}
    with override_settings(READONLY_ROUTER_PAIRS=pairs):
        normal = router.db_for_read(Tag), router.db_for_write(Tag), router.db_for_read(Category)
        with read_only():
            switched = router.db_for_read(Tag), router.db_for_write(Tag), router.db_for_read(Category)
    assert normal == ("analytics", "analytics", "default")
    assert switched == ("analytics_twin", "analytics_twin", "readonly")


def test_an_instance_of_another_pairs_twin_is_written_through_its_own_writer(routers: Any) -> None:
    tag = Tag(name="kept")
    tag._state.db = "analytics_twin"
    pairs = {"default": "readonly", "analytics": "analytics_twin"}
    with override_settings(READONLY_ROUTER_PAIRS=pairs):
        assert router.db_for_write(Tag, instance=tag) == "analytics"


def test_an_alias_outside_every_pair_stays_itself_in_read_only_mode(routers: Any) -> None:
    routers(ToAnalytics())
    with read_only():
        assert router.db_for_read(Tag) == "analytics"


def test_the_twin_migrates_what_its_writer_does(routers: Any) -> None:
    routers(OnlyDefaultMigrates())
    assert [router.allow_migrate(alias, "shop") for alias in ("default", "readonly", "other")] == [
        True,
        True,
        False,
    ]


def test_flush_beside_a_router_for_default_alone_is_refused_and_no_silent_success(routers: Any) -> None:
    routers(OnlyDefaultMigrates())
    with read_only(), pytest.raises(CommandError, match="couldn't be flushed") as error:
        call_command("flush", interactive=False, verbosity=0)
    assert isinstance(error.value.__cause__, ReadOnlyError)
    assert Tag.objects.exists()


def test_the_router_alone_installs_the_resolution() -> None:
    kind = type(connections)
    connections.__class__ = ConnectionHandler
    ReadOnlyRouter()
    assert type(connections) is kind


class Forbidding:
    """A project's router that allows no relation."""

    def allow_relation(self, *_objects: object, **_hints: object) -> bool:
        return False


@pytest.mark.parametrize(("alias", "allowed"), [("default", False), ("readonly", True)])
def test_a_relation_within_one_alias_is_the_other_routers_to_allow(alias: str, *, allowed: bool) -> None:
    one, other = Tag(name="one"), Tag(name="other")
    one._state.db, other._state.db = alias, "default"
    assert ConnectionRouter([ReadOnlyRouter(), Forbidding()]).allow_relation(one, other) is allowed
