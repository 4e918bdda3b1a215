"""What the shop holds when it opens: the same users, products and orders every time."""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import transaction
from django.utils.text import slugify

from .models import Category, Daily, Order, Product, Tag
from .orders import place_order, refresh_category_stock

OPENING = datetime(2025, 3, 3, 9, 0, tzinfo=timezone.utc)

TAGS = ["organic", "new", "gift", "fair trade", "last pieces"]

# name, category, price, stock, tags
PRODUCTS = [
    ("Assam Breakfast", "Tea", "6.50", 120, ["organic", "fair trade"]),
    ("Darjeeling First Flush", "Tea", "14.00", 40, ["organic", "new"]),
    ("Earl Grey", "Tea", "7.25", 90, []),
    ("Genmaicha", "Tea", "9.80", 35, ["new"]),
    ("Jasmine Pearls", "Tea", "16.40", 18, ["gift"]),
    ("Rooibos Vanille", "Tea", "5.90", 75, ["fair trade"]),
    ("Espresso Nº 1", "Coffee", "11.00", 200, ["fair trade"]),
    ("Ethiopia Yirgacheffe", "Coffee", "13.50", 60, ["organic", "fair trade", "new"]),
    ("Decaf Colombia", "Coffee", "12.20", 45, ["organic"]),
    ("Cold Brew Bags", "Coffee", "8.75", 30, ["new"]),
    ("Stoneware Mug", "Cups & Pots", "15.00", 25, ["gift"]),
    ("Glass Teapot", "Cups & Pots", "34.00", 12, ["gift"]),
    ("Cast Iron Teapot", "Cups & Pots", "79.00", 4, ["gift", "last pieces"]),
    ("Café au Lait Bowl", "Cups & Pots", "18.50", 22, []),
    ("Hand Grinder", "Tools", "49.00", 15, ["gift"]),
    ("Pour-over Dripper", "Tools", "24.00", 28, []),
    ("Paper Filters, 100", "Tools", "4.20", 300, []),
    ("Bamboo Whisk", "Tools", "12.90", 9, ["organic"]),
    ("Butter Shortbread", "Biscuits", "5.40", 64, ["organic"]),
    ("Almond Cantuccini", "Biscuits", "6.10", 0, ["last pieces"]),
]

# e-mail address, pieces by number of the product above (the first is 1)
ORDERS = [
    ("customer@example.com", {1: 2, 7: 1}),
    ("ada@example.org", {7: 3, 16: 1, 17: 2}),
    ("customer@example.com", {12: 1, 5: 1}),
    ("łukasz@example.net", {19: 4}),
    ("grace@example.org", {1: 1, 2: 1, 11: 2, 19: 1}),
    ("customer@example.com", {15: 1, 8: 2}),
]


def fill() -> None:
    """Create the content in one transaction; what exists already is left as it is."""
    with transaction.atomic():
        _fill_users()
        _fill_products()
        _fill_orders()
        _fill_days()
        refresh_category_stock()


def _fill_users() -> None:
    _user("admin", is_staff=True, is_superuser=True)
    _user("customer")
    editor = _user("editor", is_staff=True)
    editor.user_permissions.set(Permission.objects.filter(content_type__app_label="shop"))


def _user(name: str, **flags: bool) -> Any:
    """Return the user `name`, whose password is the name."""
    users: Any = get_user_model()._default_manager
    found = users.filter(username=name).first()
    return found or users.create_user(name, f"{name}@example.com", name, date_joined=OPENING, **flags)


def _fill_products() -> None:
    tags = {name: Tag.objects.get_or_create(name=name)[0] for name in TAGS}
    for number, (name, shelf, price, stock, tag_names) in enumerate(PRODUCTS, start=1):
        category, _ = Category.objects.get_or_create(slug=slugify(shelf), defaults={"name": shelf})
        product, created = Product.objects.get_or_create(
            sku=_sku(number),
            defaults={
                "name": name,
                "slug": slugify(name),
                "description": f"{name}, packed in our own shop and sent within two days.",
                "price": Decimal(price),
                "stock": stock,
                "attributes": {
                    "weight_g": 50 * number,
                    "origin": {"country": "NL", "checked": number % 2 == 0},
                },
                "category": category,
            },
        )
        if created:
            product.tags.set([tags[tag_name] for tag_name in tag_names])


def _sku(number: int) -> str:
    return f"SHOP-{number:03d}"


def _fill_orders() -> None:
    customer = get_user_model()._default_manager.get(username="customer")
    for number, (email, pieces) in enumerate(ORDERS, start=1):
        reference = uuid5(NAMESPACE_URL, f"https://shop.example/orders/{number}")
        if Order.objects.filter(reference=reference).exists():
            continue
        order = place_order(
            email,
            {_sku(product): quantity for product, quantity in pieces.items()},
            customer=customer if email == customer.email else None,
        )
        order.reference = reference
        order.created = OPENING + timedelta(days=number, hours=number)
        order.save(update_fields=["reference", "created"])


def _fill_days() -> None:
    for number in range(7):
        Daily.objects.get_or_create(
            day=date(2025, 3, 3) + timedelta(days=number),
            defaults={"orders": number, "takings": Decimal("36.50") * number},
        )
