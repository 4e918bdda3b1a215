"""Days before: the role is made, and one process rehearses read-only mode, by one variable and a restart."""

from __future__ import annotations

import json
import re

from .attempts import REFUSED
from .site import MANAGE, Answer, Browser
from .stage import build, digest
from .tale import Tale, expect, found, printed, typed

_SQLSTATE = re.compile(r"\((25006|42501): ([^)]*)\)")
RUNSERVER = "python tests/example/manage.py runserver --noreload --skip-checks 127.0.0.1:0"
PAGES = [
    "/",
    "/?page=2",
    "/?category=tea",
    "/figures/",
    "/order/",
    "/tags/",
    "/api/products/",
    "/orders/",
    "/accounts/login/",
    "/admin/",
    "/admin/shop/category/",
    "/admin/shop/tag/",
    "/admin/shop/product/",
    "/admin/shop/product/?q=tea",
    "/admin/shop/order/",
    "/admin/shop/orderline/",
    "/admin/shop/pageview/",
    "/admin/shop/daily/",
    "/admin/shop/bestseller/",
    "/admin/shop/categorystock/",
    "/admin/shop/product/1/change/",
    "/admin/shop/product/1/history/",
    "/admin/shop/order/1/change/",
    "/admin/shop/product/add/",
    "/admin/shop/product/1/delete/",
    "/admin/auth/user/",
    "/admin/auth/user/1/change/",
    "/admin/auth/group/",
    "/admin/password_change/",
]


def make_database(tale: Tale) -> None:
    """An empty database, and the login the site writes with"""
    stage = tale.stage
    build(stage)
    typed(
        f"export DATABASE_URL=postgres://{stage.writer}:***@{stage.place}/{stage.name}",
        "export DB_READONLY_PASSWORD=***",
    )
    with stage.connect() as connection:
        version = connection.info.parameter_status("server_version")
        expect(connection.info.parameter_status("is_superuser") == "off", "the writer is a superuser")
    found(f"PostgreSQL {version}; the login is no superuser")


def migrate(tale: Tale) -> None:
    """The example shop's tables and content"""
    typed("python tests/example/manage.py migrate")
    said = tale.manage("migrate", "--no-color")
    tale.manage("shell", "-c", "from tests.example.shop.content import fill; fill()")
    orders = tale.orders()
    expect(orders, "the shop holds no orders")
    found(f"{said.count('... OK')} migrations applied; {orders} orders in the shop")


def provision(tale: Tale) -> None:
    """Days before: the read-only role, made and proved"""
    typed("DATABASE_ADMIN_URL=postgres://... python tests/example/manage.py create_readonly_role")
    admin = {"DATABASE_ADMIN_URL": tale.stage.admin_url}
    said = tale.manage("create_readonly_role", "--no-color", **admin)
    lines = [line for line in said.splitlines() if tale.stage.twin in line or line.startswith("  ")]
    printed(*(line for line in lines if re.match(r"\S+ -> |  (relations|write probes|powers)", line)))
    expect("not readable: 0" in said and "writes possible: 0" in said, f"the role is not proved: {said}")
    again = tale.manage("create_readonly_role", "--no-color", **admin)
    expect("nothing to do" in again, f"the second run still found something to do: {again}")
    typed("DATABASE_ADMIN_URL=postgres://... python tests/example/manage.py create_readonly_role")
    printed(*(line for line in again.splitlines() if "nothing to do" in line))


def write(tale: Tale) -> None:
    """As every day: the site takes orders"""
    typed(RUNSERVER)
    tale.serve()
    for name in ("customer", "admin"):
        tale.visitors[name] = Browser()
        answer = tale.visitors[name].post(f"{tale.url}/accounts/login/", username=name, password=name)
        expect(answer.status == 200 and b"Sign out" in answer.body, f"{name} cannot sign in: {answer.status}")
    _order(tale, "SHOP-001")
    _order(tale, "SHOP-007")
    found(f"signed in as customer and as admin; 2 orders placed; {tale.orders()} in the shop")


def _order(tale: Tale, sku: str) -> None:
    before = tale.orders()
    answer = _post_order(tale, sku)
    expect(
        answer.status == 200 and tale.orders() == before + 1, f"the order of {sku} was not taken: {answer.status}"
    )


def _post_order(tale: Tale, sku: str) -> Answer:
    fields = {"email": "customer@example.com", f"quantity_{sku}": "1"}
    return tale.visitors["customer"].post(f"{tale.url}/order/", **fields)


def read(tale: Tale) -> None:
    """What every page shows now"""
    tale.read = _read_all(tale)
    found(f"{len(tale.read)} pages read, the shop's and the admin's")
    tale.before = digest(tale.stage)
    found(f"data digest {tale.before}")


def _read_all(tale: Tale) -> dict[tuple[str, str], Answer]:
    with tale.stage.connect() as connection:
        slugs = connection.execute("SELECT '/products/' || slug || '/' FROM shop_product").fetchall()
        orders = connection.execute("SELECT '/orders/' || reference || '/' FROM shop_order").fetchall()
    pages = [*PAGES, *(path for (path,) in (*slugs, *orders))]
    read = {
        (name, path): browser.get(f"{tale.url}{path}")
        for name, browser in tale.visitors.items()
        for path in pages
        if name == "admin" or not path.startswith("/admin/")
    }
    broken = [f"{path} ({answer.status})" for (_, path), answer in read.items() if answer.status != 200]
    expect(not broken, f"pages that cannot be read: {', '.join(broken)}")
    return read


def switch(tale: Tale) -> None:
    """The rehearsal: one variable, and this one process starts again"""
    typed("export DB_READ_ONLY=1", RUNSERVER)
    said = tale.serve(DB_READ_ONLY="1")
    expect("This process is read-only" in said, f"the process does not say that it is read-only: {said}")


def read_again(tale: Tale) -> None:
    """Readers notice nothing but a banner"""
    now = _read_all(tale)
    changed = [path for (name, path), answer in now.items() if tale.read.get((name, path)) != answer]
    expect(now.keys() == tale.read.keys() and not changed, f"pages that changed: {', '.join(changed)}")
    found(f"{len(now)} pages read, each the same as before below the banner, nobody signed out")


def refuse_writes(tale: Tale) -> None:
    """Each kind of write in the site's code, and what PostgreSQL answers"""
    status, said = tale.run("-m", "tests.demo.attempts", DB_READ_ONLY="1", DEMO_WRITER=tale.stage.writer)
    expect(status == 0, f"the attempts ended with {status}: {said.strip()[-600:]}")
    _judge(json.loads(said.splitlines()[-1]))


def _judge(refusals: list[dict[str, str]]) -> None:
    for one in refusals:
        found(f"{one['says']:<35} {one['sqlstate'] or '-----'}  {one['error']}")
    wrong = [one["says"] for one in refusals if one["sqlstate"] != one["expected"]]
    expect(not wrong, f"not refused as told: {', '.join(wrong)}")


def refuse_commands(tale: Tale) -> None:
    """Each management command that writes: it says so and exits with 1"""
    fixture = tale.stage.folder / "tags.json"
    fixture.write_text('[{"model": "shop.tag", "pk": 1, "fields": {"name": "new tag"}}]')
    commands = {
        "createsuperuser --noinput --username=new --email=new@example.com": (
            *("createsuperuser", "--noinput", "--username=new", "--email=new@example.com"),
        ),
        "loaddata tags.json": ("loaddata", str(fixture)),
        "migrate shop zero": ("migrate", "shop", "zero"),
        "flush --noinput": ("flush", "--noinput"),
        "clearsessions": ("clearsessions",),
    }
    for says, arguments in commands.items():
        _refuse_command(tale, says, *arguments)


def _refuse_command(tale: Tale, says: str, *arguments: str) -> None:
    """Run a command that must be refused, and show its last line."""
    typed(f"python tests/example/manage.py {says}")
    environ = {"DB_READ_ONLY": "1", "DJANGO_SUPERUSER_PASSWORD": "new"}
    status, said = tale.run(str(MANAGE), *arguments, "--no-color", **environ)
    printed(*said.replace(f"{tale.stage.folder}/", "").strip().splitlines()[-1:])
    found(f"exit status {status}")
    refused = _SQLSTATE.search(said)
    expect(
        status == 1 and refused and refused[1] == REFUSED, f"not refused as told: {says}: {said.strip()[-300:]}"
    )


def refuse_visitors(tale: Tale) -> None:
    """What the site's own forms come to, and a page that counts its readers"""
    customer, admin = tale.visitors["customer"], tale.visitors["admin"]
    answers = {
        "POST /order/": _post_order(tale, "SHOP-001"),
        "POST /tags/": customer.post(f"{tale.url}/tags/", name="new tag"),
        "POST /admin/shop/tag/add/": admin.post(f"{tale.url}/admin/shop/tag/add/", name="new tag"),
        "GET  /visits/": customer.get(f"{tale.url}/visits/"),
    }
    for says, answer in answers.items():
        found(f"{says:<35} HTTP {answer.status}")
    done = [says for says, answer in answers.items() if answer.status < 400]
    expect(not done, f"answered as if it had been done: {', '.join(done)}")


def compare(tale: Tale) -> None:
    """Nothing was written"""
    after = digest(tale.stage)
    expect(after == tale.before, f"the data changed: digest {tale.before} before, {after} after")
    found(f"data digest {after}, as before")


def switch_back(tale: Tale) -> None:
    """Back to normal"""
    typed("unset DB_READ_ONLY", RUNSERVER)
    tale.serve()
    _order(tale, "SHOP-002")
    expect(digest(tale.stage) != tale.before, "an order was taken and the digest is still the same")
    status = tale.visitors["customer"].get(f"{tale.url}/visits/").status
    expect(status == 200, f"GET /visits/ answers {status}")
    found(f"order taken, {tale.orders()} in the shop; the same people are still signed in")
