"""Placing an order: one transaction that numbers it, writes its lines and takes the stock."""

from collections.abc import Mapping
from typing import Any

from django.core.cache import caches
from django.db import connection, transaction

from .models import Bestseller, Order, OrderLine, Product

BESTSELLERS_KEY = "bestsellers"
BESTSELLERS_SECONDS = 60


class NotInStockError(Exception):
    """The order asks for more than the shop holds."""


def next_invoice_number() -> int:
    """Draw from `shop_invoice_number`, a sequence that belongs to no table."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('shop_invoice_number')")
        return int(cursor.fetchone()[0])


def place_order(email: str, quantities: Mapping[str, int], *, customer: Any = None) -> Order:
    """Order `quantities` (pieces by SKU); all of it or nothing.

    Raises NotInStockError when a product is unknown or has too few pieces left.
    """
    with transaction.atomic():
        products = _lock_products(quantities)
        order = Order.objects.create(invoice=next_invoice_number(), email=email, customer=customer)
        OrderLine.objects.bulk_create(
            OrderLine(order=order, product=product, quantity=quantities[product.sku], price=product.price)
            for product in products
        )
        _take_stock(products, quantities)
        transaction.on_commit(forget_bestsellers)
    return order


def _lock_products(quantities: Mapping[str, int]) -> list[Product]:
    # In the order of their keys, so that two customers never wait for each other in a circle.
    products = list(Product.objects.select_for_update().filter(sku__in=quantities).order_by("pk"))
    if unknown := set(quantities) - {product.sku for product in products}:
        raise NotInStockError(f"There is no product {', '.join(sorted(unknown))}.")
    return products


def _take_stock(products: list[Product], quantities: Mapping[str, int]) -> None:
    for product in products:
        if product.stock < quantities[product.sku]:
            raise NotInStockError(f"Only {product.stock} of {product.name} left.")
        product.stock -= quantities[product.sku]
    Product.objects.bulk_update(products, ["stock"])


def bestsellers() -> list[Any]:
    """Return the five products sold most, kept for a minute in the database cache."""
    return list(caches["db"].get_or_set(BESTSELLERS_KEY, _read_bestsellers, BESTSELLERS_SECONDS) or ())


def _read_bestsellers() -> list[Any]:
    return list(Bestseller.objects.values("product__name", "product__slug", "sold", "revenue")[:5])


def forget_bestsellers() -> None:
    caches["db"].delete(BESTSELLERS_KEY)


def refresh_category_stock() -> None:
    """Bring the materialized view up to date."""
    with connection.cursor() as cursor:
        cursor.execute("REFRESH MATERIALIZED VIEW shop_category_stock")
