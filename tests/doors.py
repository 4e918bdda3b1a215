"""Every way we know to write through Django, and the ways to read beside them, as one corpus.

Tests try it in their own process; `tell()` tries it in another process and prints what came of it.
"""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache import caches
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections, models, transaction
from django.db.models import Count, F
from django.db.models.signals import post_init

from readonly_router import ReadOnlyError
from tests.example.shop.content import OPENING
from tests.example.shop.models import Category, Daily, Order, PageView, Product, Tag
from tests.example.shop.orders import place_order, refresh_category_stock

Door = Callable[[], Any]

SESSION_KEY = "thesessionthatwasstoredbefore000"
INSERT = "INSERT INTO shop_tag (name) VALUES ('door')"
WRITING_CTE = "WITH made AS (INSERT INTO shop_tag (name) VALUES ('door') RETURNING id, name) SELECT * FROM made"


def furnish() -> None:
    """Store, in normal mode, what the doors below find: a session and three rows of the cache."""
    SessionStore(SESSION_KEY).save(must_create=True)
    with connection.cursor() as cursor:
        # Base64 of the pickled integer 1, as DatabaseCache stores it.
        row = "INSERT INTO shop_cache VALUES (%s, 'gAVLAS4=', %s) ON CONFLICT DO NOTHING"
        cursor.executemany(
            row, [(":1:fresh", "2999-01-01"), (":1:expired", "2001-01-01"), (":1:old", "2001-01-01")]
        )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an attempt; a dataclass of plain values, so that another process can tell it."""

    raised: str
    sqlstate: str = ""
    alias: str = ""
    message: str = ""
    is_database_error: bool = False
    is_read_only_error: bool = False
    cause_module: str = ""
    cause_sqlstate: str = ""


def attempt(door: Door) -> Outcome:
    """Try a door and describe the error; one that opens raises nothing."""
    try:
        door()
    except Exception as error:  # noqa: BLE001 - each test says which error it wants
        return Outcome(
            raised=type(error).__name__,
            sqlstate=str(getattr(error, "sqlstate", "") or ""),
            alias=getattr(error, "alias", ""),
            message=str(error),
            is_database_error=isinstance(error, DatabaseError),
            is_read_only_error=isinstance(error, ReadOnlyError),
            cause_module=type(error.__cause__).__module__,
            cause_sqlstate=getattr(error.__cause__, "sqlstate", ""),
        )
    return Outcome(raised="")


def tell() -> None:
    """Try everything and print the outcomes as one line of JSON: for a process of the tests."""
    corpus = {"refused": REFUSED, "raw": RAW, "quiet": QUIET, "reads": READS}
    told = {kind: {name: asdict(attempt(door)) for name, door in doors.items()} for kind, doors in corpus.items()}
    json.dump(told, sys.stdout)


def _tag(name: str = "organic", alias: str | None = None) -> Tag:
    return Tag.objects.using(alias).get(name=name)


def _product(alias: str | None = None) -> Product:
    return Product.objects.using(alias).get(sku="SHOP-001")


def _user(name: str) -> Any:
    return get_user_model().objects.get(username=name)


def _clear(these: Any) -> None:
    these.clear()


def _changed(instance: models.Model, **values: Any) -> Any:
    for name, value in values.items():
        setattr(instance, name, value)
    return instance


def _execute(statement: str, parameters: Any = None, **options: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters, **options)


def _execute_on_default(statement: str) -> None:
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(statement)


def _statements_in_one_string() -> None:
    try:
        _execute(f"SELECT 1; COMMIT; BEGIN READ WRITE; {INSERT}; COMMIT")
    finally:
        connection.rollback()


def _execute_many() -> None:
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO shop_tag (name) VALUES (%s)", [("door",), ("gate",)])


def _execute_many_returning() -> None:
    with connection.cursor() as cursor:
        statement = "INSERT INTO shop_tag (name) VALUES (%s) RETURNING id"
        cursor.cursor.executemany(statement, [("door",), ("gate",)], returning=True)


def _call_procedure() -> None:
    with connection.cursor() as cursor:
        cursor.callproc("nextval", ["shop_invoice_number"])


def _copy() -> None:
    with connection.cursor() as cursor, cursor.copy("COPY shop_tag (name) FROM STDIN") as copy:
        copy.write_row(["door"])


def _stream() -> None:
    with connection.cursor() as cursor:
        list(cursor.stream("INSERT INTO shop_tag (name) VALUES ('door') RETURNING id"))


def _server_side_cursor() -> None:
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute("SELECT nextval('shop_invoice_number') FROM shop_tag")
        list(cursor)


def _debug_cursor() -> None:
    # As with DEBUG = True: another cursor class of Django's.
    connection.force_debug_cursor = True
    try:
        _execute(INSERT)
    finally:
        connection.force_debug_cursor = False


def _temporary_connection() -> None:
    with connection.temporary_connection() as cursor:
        cursor.execute(INSERT)


def _copied_wrapper() -> None:
    with closing(connections[DEFAULT_DB_ALIAS].copy()) as copied, copied.cursor() as cursor:
        cursor.execute(INSERT)


def _schema_editor() -> None:
    with connection.schema_editor() as editor:
        editor.create_model(PageView)


def _schema_editor_of_a_column() -> None:
    with connection.schema_editor() as editor:
        editor.add_field(Tag, _named(models.IntegerField(null=True), "door"))


def _named(field: models.Field[Any, Any], name: str) -> models.Field[Any, Any]:
    field.set_attributes_from_name(name)
    return field


def _manual_transaction() -> None:
    connection.set_autocommit(False)
    try:
        _execute(INSERT)
        connection.commit()
    finally:
        connection.rollback()
        connection.set_autocommit(True)


def _atomic(door: Door, **options: Any) -> Door:
    def inside() -> None:
        with transaction.atomic(**options):
            door()

    return inside


def _nested_atomic() -> None:
    with transaction.atomic(), transaction.atomic(using=DEFAULT_DB_ALIAS):
        Tag.objects.create(name="door")


def _after_a_savepoint_that_failed() -> None:
    with transaction.atomic():
        try:
            with transaction.atomic():
                Tag.objects.create(name="door")
        except ReadOnlyError:
            # The block goes on: reads in it still work, another write is refused again.
            assert Tag.objects.filter(name="organic").exists()
        Tag.objects.create(name="door")


def _on_commit() -> None:
    with transaction.atomic():
        assert Tag.objects.exists()
        transaction.on_commit(lambda: Tag.objects.create(name="door"))


def _read_write_transaction(statement: str) -> Door:
    def ask() -> None:
        with transaction.atomic():
            _execute("SET TRANSACTION READ WRITE")
            _execute(statement)

    return ask


def _read_write_session(statement: str) -> Door:
    def ask() -> None:
        _execute("SET default_transaction_read_only = off")
        try:
            _execute(statement)
        finally:
            _execute("RESET default_transaction_read_only")

    return ask


def _pickled_queryset() -> None:
    products = Product.objects.using(DEFAULT_DB_ALIAS).all()
    products.query = pickle.loads(pickle.dumps(Product.objects.filter(stock__gt=0).query))
    products.update(stock=0)


def _pickled_instance() -> None:
    pickle.loads(pickle.dumps(_tag())).delete()


def _signal_receiver() -> None:
    def count(instance: Tag, **_: Any) -> None:
        PageView.objects.create(path=f"/tags/{instance.name}/")

    post_init.connect(count, sender=Tag, weak=False, dispatch_uid="door")
    try:
        _tag()
    finally:
        post_init.disconnect(sender=Tag, dispatch_uid="door")


def _cascading_delete() -> None:
    Order.objects.get(email="ada@example.org").delete()


def _wait(call: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Run a method of the async ORM to its end, on this thread's connections."""

    async def run() -> Any:
        return await call(*arguments, **keywords)

    return async_to_sync(run)()


def _abulk_update() -> Any:
    tag = _changed(_tag(), name="door")
    return _wait(Tag.objects.abulk_update, [tag], ["name"])


REFUSED: dict[str, Door] = {
    # The ORM, through managers, instances and relations.
    "save": lambda: Tag(name="door").save(),
    "save of a loaded row": lambda: _changed(_tag(), name="door").save(),
    "save of some fields": lambda: _changed(_tag(), name="door").save(update_fields=["name"]),
    "save unchanged": lambda: _tag().save(),
    "save forced": lambda: Tag(pk=1, name="door").save(force_insert=True),
    "save in the second schema": lambda: Daily(day=date(2030, 1, 1), orders=1, takings=1).save(),
    "create": lambda: Tag.objects.create(name="door"),
    "update": lambda: Product.objects.update(stock=0),
    "update of no row": lambda: Product.objects.filter(pk=-1).update(stock=0),
    "update with an expression": lambda: Product.objects.update(stock=F("stock") - 1),
    "delete of an instance": lambda: _tag().delete(),
    "delete of a queryset": lambda: PageView.objects.all().delete(),
    "delete that cascades": _cascading_delete,
    "raw delete": lambda: Tag.objects.all()._raw_delete(DEFAULT_DB_ALIAS),
    "bulk_create": lambda: Tag.objects.bulk_create([Tag(name="door"), Tag(name="gate")]),
    "bulk_create ignoring conflicts": lambda: Tag.objects.bulk_create([Tag(name="new")], ignore_conflicts=True),
    "bulk_create updating conflicts": lambda: Category.objects.bulk_create(
        [Category(name="Door", slug="tea")], update_conflicts=True, update_fields=["name"], unique_fields=["slug"]
    ),
    "bulk_update": lambda: Tag.objects.bulk_update([_changed(_tag(), name="door")], ["name"]),
    "get_or_create of a missing row": lambda: Tag.objects.get_or_create(name="door"),
    "update_or_create of a missing row": lambda: Tag.objects.update_or_create(name="door"),
    "update_or_create of an existing row": lambda: Tag.objects.update_or_create(name="organic"),
    "many to many: add": lambda: _product().tags.add(_tag("gift")),
    # An INSERT that would meet a conflict is an INSERT.
    "many to many: add of what is there": lambda: _product().tags.add(_tag()),
    "many to many: set": lambda: _product().tags.set([]),
    "many to many: remove": lambda: _product().tags.remove(_tag()),
    "many to many: clear": lambda: _clear(_product().tags),
    "many to many: create": lambda: _product().tags.create(name="door"),
    "many to many: add from the other side": lambda: _tag("gift").products.add(_product()),
    "many to many: rows of the through model": lambda: Product.tags.through.objects.all().delete(),
    "foreign key: create": lambda: Category.objects.get(slug="tea").products.create(
        sku="DOOR", name="Door", slug="door", price=1
    ),
    "foreign key: add": lambda: Category.objects.get(slug="tools").products.add(_product(), bulk=True),
    "foreign key: set of null": lambda: _clear(_user("customer").orders),
    "groups of a user": lambda: _user("editor").groups.create(name="door"),
    "create_user": lambda: get_user_model().objects.create_user("door"),
    "set_password and save": lambda: _changed(
        get_user_model().objects.get(username="editor"), password="!"
    ).save(),
    "content type of an unknown model": lambda: ContentType.objects.create(app_label="door", model="door"),
    "place_order, the shop's own transaction": lambda: place_order("door@example.com", {"SHOP-001": 1}),
    "select_for_update": _atomic(lambda: list(Tag.objects.select_for_update())),
    "select_for_update skipping locked rows": _atomic(
        lambda: Tag.objects.select_for_update(skip_locked=True).first()
    ),
    "receiver of a signal": _signal_receiver,
    # The same, naming the writer.
    "using: save": lambda: Tag(name="door").save(using=DEFAULT_DB_ALIAS),
    "using: save of a row loaded there": lambda: _tag(alias=DEFAULT_DB_ALIAS).save(using=DEFAULT_DB_ALIAS),
    "using: create": lambda: Tag.objects.using(DEFAULT_DB_ALIAS).create(name="door"),
    "using: update": lambda: Product.objects.using(DEFAULT_DB_ALIAS).update(stock=0),
    "using: delete": lambda: PageView.objects.using(DEFAULT_DB_ALIAS).all().delete(),
    "using: delete of an instance": lambda: _tag().delete(using=DEFAULT_DB_ALIAS),
    "using: bulk_create": lambda: Tag.objects.using(DEFAULT_DB_ALIAS).bulk_create([Tag(name="door")]),
    "using: bulk_update": lambda: Tag.objects.using(DEFAULT_DB_ALIAS).bulk_update(
        [_changed(_tag(), name="door")], ["name"]
    ),
    "using: get_or_create": lambda: Tag.objects.using(DEFAULT_DB_ALIAS).get_or_create(name="door"),
    "using: update_or_create": lambda: Tag.objects.using(DEFAULT_DB_ALIAS).update_or_create(name="door"),
    "using: db_manager": lambda: Group.objects.db_manager(DEFAULT_DB_ALIAS).create(name="door"),
    "using: many to many": lambda: _product(DEFAULT_DB_ALIAS).tags.add(_tag("gift", DEFAULT_DB_ALIAS)),
    "using: many to many, set": lambda: _product(DEFAULT_DB_ALIAS).tags.set([]),
    "using: many to many, remove": lambda: _product(DEFAULT_DB_ALIAS).tags.remove(_tag(alias=DEFAULT_DB_ALIAS)),
    "using: many to many, clear": lambda: _clear(_product(DEFAULT_DB_ALIAS).tags),
    "using: raw": lambda: list(Tag.objects.using(DEFAULT_DB_ALIAS).raw(WRITING_CTE)),
    # Transactions.
    "atomic": _atomic(lambda: Tag.objects.create(name="door")),
    "atomic on the writer's alias": _atomic(lambda: Tag.objects.create(name="door"), using=DEFAULT_DB_ALIAS),
    "atomic, durable": _atomic(lambda: _execute(INSERT), durable=True),
    "atomic, nested": _nested_atomic,
    "atomic, after a savepoint that failed": _after_a_savepoint_that_failed,
    "on_commit": _on_commit,
    "autocommit off": _manual_transaction,
    # Cursors and SQL.
    "cursor: execute": lambda: _execute(INSERT),
    "cursor: execute on connections['default']": lambda: _execute_on_default(INSERT),
    "cursor: execute prepared": lambda: _execute("INSERT INTO shop_tag (name) VALUES (%s)", ["door"]),
    "cursor: a writing CTE": lambda: _execute(WRITING_CTE),
    "cursor: statements in one string": _statements_in_one_string,
    "cursor: executemany": _execute_many,
    "cursor: callproc": _call_procedure,
    "cursor: copy": _copy,
    "cursor: stream": _stream,
    "cursor: server-side": _server_side_cursor,
    "cursor: with DEBUG": _debug_cursor,
    "cursor: temporary_connection": _temporary_connection,
    "cursor: of a copied wrapper": _copied_wrapper,
    "raw queryset": lambda: list(Tag.objects.raw(WRITING_CTE)),
    "nextval": lambda: _execute("SELECT nextval('shop_invoice_number')"),
    "setval": lambda: _execute("SELECT setval('shop_invoice_number', 1)"),
    "TRUNCATE": lambda: _execute("TRUNCATE shop_pageview"),
    "LOCK TABLE": _atomic(lambda: _execute("LOCK TABLE shop_tag")),
    "REFRESH MATERIALIZED VIEW": refresh_category_stock,
    "DO block": lambda: _execute(f"DO $$ BEGIN {INSERT}; END $$"),
    "MERGE": lambda: _execute(
        "MERGE INTO shop_tag USING (SELECT 1) one ON false WHEN NOT MATCHED THEN INSERT (name) VALUES ('door')"
        if connection.pg_version >= 150000
        else INSERT
    ),
    "EXPLAIN ANALYZE of a write": lambda: _execute(f"EXPLAIN ANALYZE {INSERT}"),
    # Before 16 a read-only transaction allows it: a power left, which hardening removes.
    "large object": lambda: _execute("SELECT lo_create(0)" if connection.pg_version >= 160000 else INSERT),
    "CREATE TABLE": lambda: _execute("CREATE TABLE door (id int)"),
    "DROP TABLE": lambda: _execute("DROP TABLE shop_pageview"),
    "GRANT": lambda: _execute("GRANT INSERT ON shop_tag TO PUBLIC"),
    "schema editor: a table": _schema_editor,
    "schema editor: a column": _schema_editor_of_a_column,
    # The session is asked to write: the grants refuse.
    "read write transaction": _read_write_transaction(INSERT),
    "read write transaction: nextval": _read_write_transaction("SELECT nextval('shop_invoice_number')"),
    "read write transaction: FOR UPDATE": _read_write_transaction("SELECT id FROM shop_tag FOR UPDATE"),
    "read write transaction: TRUNCATE": _read_write_transaction("TRUNCATE shop_pageview"),
    "read write session": _read_write_session(INSERT),
    "read write session: COPY": _read_write_session("COPY shop_tag (name) FROM PROGRAM 'echo door'"),
    "read write session: setval": _read_write_session("SELECT setval('shop_invoice_number', 1)"),
    "read write session: DDL": _read_write_session("ALTER TABLE shop_tag ADD door int"),
    "read write session: SET ROLE": _read_write_session("SET ROLE pg_write_all_data"),
    # What Django keeps in the database.
    "session: create": lambda: SessionStore().create(),
    "session: save of a new one": lambda: _changed_session(None).save(),
    "session: flush": lambda: SessionStore(SESSION_KEY).flush(),
    "session: cycle_key": lambda: SessionStore(SESSION_KEY).cycle_key(),
    "session: clear_expired": SessionStore.clear_expired,
    "cache: delete": lambda: caches["db"].delete("fresh"),
    "cache: delete_many": lambda: caches["db"].delete_many(["fresh", "old"]),
    "cache: clear": lambda: _clear(caches["db"]),
    # Async.
    "async: acreate": lambda: _wait(Tag.objects.acreate, name="door"),
    "async: asave": lambda: _wait(Tag(name="door").asave),
    "async: adelete": lambda: _wait(_tag().adelete),
    "async: adelete of a queryset": lambda: _wait(PageView.objects.all().adelete),
    "async: aupdate": lambda: _wait(Product.objects.aupdate, stock=0),
    "async: aget_or_create of a missing row": lambda: _wait(Tag.objects.aget_or_create, name="door"),
    "async: aupdate_or_create": lambda: _wait(Tag.objects.aupdate_or_create, name="organic"),
    "async: abulk_create": lambda: _wait(Tag.objects.abulk_create, [Tag(name="door")]),
    "async: abulk_update": _abulk_update,
    "async: many to many": lambda: _wait(_product().tags.aset, []),
    "async: session": lambda: _wait(SessionStore().acreate),
    "async: create_user": lambda: _wait(get_user_model().objects.acreate_user, "door"),
}
"""Doors that lead through Django: each raises ReadOnlyError."""


def _changed_session(key: str | None) -> SessionStore:
    session = SessionStore(key)
    session["door"] = "open"
    return session


def _raw(statement: str) -> Door:
    def execute() -> None:
        connection.ensure_connection()
        connection.connection.execute(statement)

    return execute


def _raw_many() -> None:
    connection.ensure_connection()
    with connection.connection.cursor() as cursor:
        cursor.executemany("INSERT INTO shop_tag (name) VALUES (%s)", [("door",)])


def _raw_copy() -> None:
    connection.ensure_connection()
    with connection.connection.cursor() as cursor, cursor.copy("COPY shop_tag (name) FROM STDIN") as copy:
        copy.write_row(["door"])


def _raw_transaction() -> None:
    connection.ensure_connection()
    with connection.connection.transaction():
        connection.connection.execute(INSERT)


def _raw_pipeline() -> None:
    connection.ensure_connection()
    with connection.connection.pipeline():
        connection.connection.execute(INSERT)


def _new_raw_connection() -> None:
    with closing(connection.get_new_connection(connection.get_connection_params())) as raw:
        raw.execute(INSERT)


def _raw_under_the_cursor() -> None:
    with connection.cursor() as cursor:
        cursor.cursor.execute(INSERT)


RAW: dict[str, Door] = {
    "execute": _raw(INSERT),
    "executemany": _raw_many,
    "executemany of the cursor under Django's": _execute_many_returning,
    "cursor under Django's": _raw_under_the_cursor,
    "copy": _raw_copy,
    "transaction": _raw_transaction,
    "pipeline": _raw_pipeline,
    "new connection": _new_raw_connection,
    "DDL": _raw("CREATE TABLE door (id int)"),
}
"""Doors under Django's wrappers: psycopg's own error, the same refusal."""


def _cache_refuses(method: str, *arguments: Any) -> Door:
    def ask() -> None:
        assert getattr(caches["db"], method)(*arguments) in (None, False)

    return ask


QUIET: dict[str, Door] = {
    # DatabaseCache takes a refused INSERT or UPDATE for a lost race, and says so in its return value only.
    "cache: set": _cache_refuses("set", "door", 1),
    "cache: add": _cache_refuses("add", "door", 1),
    "cache: touch": _cache_refuses("touch", "fresh", 60),
    "cache: set of what is there": _cache_refuses("set", "fresh", 2),
    "cache: set_many": lambda: caches["db"].set_many({"door": 1}),
    "cache: incr": lambda: caches["db"].incr("fresh"),
    # Nothing to do is no write.
    "bulk_create of nothing": lambda: Tag.objects.bulk_create([]),
    "many to many: add of nothing": lambda: _product().tags.add(*[]),
    "many to many: set of what is there": lambda: _product().tags.set(_product().tags.all()),
}
"""Doors that are refused, or have nothing to do, without an error."""


def _read_of_what_is_there(manager: Any) -> None:
    tag, created = manager.get_or_create(name="organic")
    assert (tag.name, created) == ("organic", False)


def _iterate() -> None:
    assert len(list(Product.objects.iterator(chunk_size=3))) == Product.objects.count() > 3


def _stream_rows() -> None:
    with connection.cursor() as cursor:
        assert len(list(cursor.stream("SELECT id FROM shop_tag"))) == Tag.objects.count()


def _copy_out() -> None:
    with connection.cursor() as cursor, cursor.copy("COPY shop_tag (name) TO STDOUT") as copy:
        rows = list(copy.rows())
    assert len(rows) == Tag.objects.count()


async def _aiterate() -> None:
    names = [tag.name async for tag in Tag.objects.order_by("name")]
    assert names == sorted(names)


def _validate_related() -> None:
    Product(sku="X", name="X", slug="x", price=1, category=Category.objects.get(slug="tea")).full_clean()


def _expect(value: Any, wanted: Any = True) -> None:
    assert value == wanted


READS: dict[str, Door] = {
    "get_or_create of an existing row": lambda: _read_of_what_is_there(Tag.objects),
    "get_or_create of an existing row, using": lambda: _read_of_what_is_there(Tag.objects.using(DEFAULT_DB_ALIAS)),
    "iterator": _iterate,
    "stream": _stream_rows,
    "copy to": _copy_out,
    "atomic": _atomic(lambda: list(Tag.objects.all())),
    "explain analyze": lambda: Product.objects.filter(stock__gt=1).explain(analyze=True),
    "aggregate": lambda: _expect(Tag.objects.annotate(n=Count("products")).get(name="gift").n, 5),
    "prefetch": lambda: _expect(len(Product.objects.prefetch_related("tags").get(sku="SHOP-001").tags.all()), 2),
    "refresh_from_db": lambda: _tag().refresh_from_db(),
    "deferred field": lambda: Product.objects.defer("name").get(sku="SHOP-001").name,
    "full_clean": _validate_related,
    "view": lambda: _expect(Product.objects.filter(bestseller__sold__gt=0).exists()),
    "second schema": lambda: _expect(Daily.objects.get(day=date(2025, 3, 4)).orders, 1),
    "session": lambda: _expect(SessionStore(SESSION_KEY).load(), {}),
    "cache": lambda: _expect(caches["db"].get("fresh"), 1),
    "content type": lambda: ContentType.objects.get_for_model(Tag),
    "user": lambda: _expect(get_user_model().objects.get(username="admin").date_joined, OPENING),
    "introspection": lambda: _expect("shop_tag" in connection.introspection.table_names()),
    "async: aget": lambda: _wait(Tag.objects.aget, name="organic"),
    "async: aget_or_create of an existing row": lambda: _wait(Tag.objects.aget_or_create, name="organic"),
    "async: iteration": lambda: _wait(_aiterate),
}
"""What must go on working."""
