"""Tables of the shop, and with them a view, a materialized view, a serial column and a second schema."""

import uuid
from decimal import Decimal

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone


class Category(models.Model):
    """A shelf; its table is made in plain SQL with `serial`, so its sequence is owned but no identity."""

    id = models.AutoField(primary_key=True)
    name = models.CharField(max_length=80)
    slug = models.SlugField(max_length=80, unique=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    name = models.CharField(max_length=40, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    sku = models.CharField("SKU", max_length=20, unique=True)
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=120, unique=True)
    description = models.TextField(blank=True)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    stock = models.PositiveIntegerField(default=0)
    attributes = models.JSONField(default=dict, blank=True)
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="products")
    tags = models.ManyToManyField(Tag, blank=True, related_name="products")

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=models.Q(price__gt=0), name="shop_product_price_positive"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("shop:product", args=[self.slug])


class Order(models.Model):
    invoice = models.PositiveBigIntegerField(unique=True)
    # The address of the receipt: unlike an invoice number it cannot be guessed.
    reference = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="orders"
    )
    email = models.EmailField()
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created", "-invoice"]

    def __str__(self) -> str:
        return f"Invoice {self.invoice}"

    def get_absolute_url(self) -> str:
        return reverse("shop:order", args=[self.reference])

    @property
    def total(self) -> Decimal:
        return sum((line.total for line in self.lines.all()), Decimal("0.00"))


class OrderLine(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="order_lines")
    quantity = models.PositiveIntegerField()
    price = models.DecimalField(max_digits=8, decimal_places=2)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["order", "product"], name="shop_orderline_once_per_product"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.product}"

    @property
    def total(self) -> Decimal:
        return self.quantity * self.price


class PageView(models.Model):
    """How often a page was read: the kind of table that makes a GET write."""

    path = models.CharField(max_length=200, unique=True)
    hits = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["-hits", "path"]

    def __str__(self) -> str:
        return f"{self.path}: {self.hits}"


class Bestseller(models.Model):
    """A row of the view `shop_bestseller`: what each product sold."""

    product = models.OneToOneField(
        Product, on_delete=models.DO_NOTHING, primary_key=True, related_name="bestseller"
    )
    sold = models.BigIntegerField()
    revenue = models.DecimalField(max_digits=14, decimal_places=2)

    class Meta:
        managed = False
        db_table = "shop_bestseller"
        ordering = ["-sold", "product_id"]

    def __str__(self) -> str:
        return f"{self.product}: {self.sold}"


class CategoryStock(models.Model):
    """A row of the materialized view `shop_category_stock`: as old as its last refresh."""

    category = models.OneToOneField(Category, on_delete=models.DO_NOTHING, primary_key=True, related_name="stock")
    products = models.BigIntegerField()
    pieces = models.BigIntegerField()
    worth = models.DecimalField(max_digits=14, decimal_places=2)

    class Meta:
        managed = False
        db_table = "shop_category_stock"
        ordering = ["category_id"]
        verbose_name_plural = "category stock"

    def __str__(self) -> str:
        return f"{self.category}: {self.pieces}"


class Daily(models.Model):
    """Takings of one day, in a schema of its own that is not on the search path."""

    day = models.DateField(unique=True)
    orders = models.PositiveIntegerField()
    takings = models.DecimalField(max_digits=12, decimal_places=2)

    class Meta:
        # Django leaves a name that is quoted already alone, so this one may carry its schema.
        db_table = '"reporting"."daily"'
        ordering = ["-day"]
        verbose_name_plural = "daily"

    def __str__(self) -> str:
        return f"{self.day}: {self.takings}"
