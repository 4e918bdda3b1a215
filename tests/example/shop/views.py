"""Pages of the shop: most only read, some write on POST, and one writes while being read."""

from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Count, F, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from .forms import PREFIX, OrderForm, TagForm
from .models import Category, CategoryStock, Daily, Order, PageView, Product, Tag
from .orders import NotInStockError, bestsellers, place_order

PAGE_SIZE = 12


@require_safe
def product_list(request: HttpRequest) -> HttpResponse:
    chosen = request.GET.get("category", "")
    products = Product.objects.select_related("category").prefetch_related("tags")
    if chosen:
        products = products.filter(category__slug=chosen)
    page = Paginator(products, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {"page": page, "categories": Category.objects.all(), "chosen": chosen}
    return render(request, "shop/product_list.html", context)


@require_safe
def product_detail(request: HttpRequest, slug: str) -> HttpResponse:
    product = get_object_or_404(Product.objects.select_related("category"), slug=slug)
    return render(request, "shop/product_detail.html", {"product": product})


@require_safe
def figures(request: HttpRequest) -> HttpResponse:
    """Show the view (through the database cache), the materialized view and the second schema."""
    context = {
        "bestsellers": bestsellers(),
        "stock": CategoryStock.objects.select_related("category"),
        "days": Daily.objects.all()[:7],
    }
    return render(request, "shop/figures.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def order_form(request: HttpRequest) -> HttpResponse:
    form = OrderForm(_posted(request), initial=_order_defaults(request))
    if request.method == "POST" and form.is_valid():
        try:
            order = place_order(form.cleaned_data["email"], form.quantities(), customer=_customer(request))
        except NotInStockError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"Thank you. Your invoice number is {order.invoice}.")
            return redirect(order)
    return render(request, "shop/order_form.html", {"form": form}, status=422 if form.errors else 200)


def _posted(request: HttpRequest) -> QueryDict | None:
    # An empty POST is an answer too: the form says what is missing.
    return request.POST if request.method == "POST" else None


def _order_defaults(request: HttpRequest) -> dict[str, Any]:
    customer = _customer(request)
    return {"email": customer.email if customer else "", PREFIX + request.GET.get("sku", ""): 1}


def _customer(request: HttpRequest) -> Any:
    return request.user if request.user.is_authenticated else None


def _orders() -> QuerySet[Order]:
    return Order.objects.prefetch_related("lines__product")


@require_safe
def order_detail(request: HttpRequest, reference: UUID) -> HttpResponse:
    order = get_object_or_404(_orders(), reference=reference)
    return render(request, "shop/order_detail.html", {"order": order})


@login_required
@require_safe
def order_list(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/order_list.html", {"orders": _orders().filter(customer=_customer(request))})


@require_safe
def visits(request: HttpRequest) -> HttpResponse:
    """Count how often this page was read: a GET that writes."""
    count_view(request.path)
    return render(request, "shop/visits.html", {"view": PageView.objects.filter(path=request.path).first()})


def count_view(path: str) -> None:
    PageView.objects.get_or_create(path=path)
    PageView.objects.filter(path=path).update(hits=F("hits") + 1)


# Django runs no async view inside ATOMIC_REQUESTS; without this it answers with a RuntimeError.
@transaction.non_atomic_requests
@require_http_methods(["GET", "HEAD", "POST"])
async def tags(request: HttpRequest) -> HttpResponse:
    """List the tags and take a new one, both through the async ORM."""
    form = TagForm(_posted(request))
    if request.method == "POST" and await sync_to_async(form.is_valid)():
        tag = await Tag.objects.acreate(name=form.cleaned_data["name"])
        await sync_to_async(messages.success)(request, f"Tag “{tag}” added.")
        return redirect("shop:tags")
    context = {"form": form, "tags": [tag async for tag in Tag.objects.annotate(used=Count("products"))]}
    # The base template asks for request.user, which is a query of the sync ORM.
    status = 422 if form.errors else 200
    return await sync_to_async(render)(request, "shop/tags.html", context, status=status)


@require_safe
def product_api(request: HttpRequest) -> JsonResponse:
    products = Product.objects.select_related("category").prefetch_related("tags")
    return JsonResponse({"products": [_as_json(product) for product in products]})


def _as_json(product: Product) -> dict[str, Any]:
    return {
        "sku": product.sku,
        "name": product.name,
        "url": product.get_absolute_url(),
        "price": str(product.price),
        "stock": product.stock,
        "category": product.category.slug,
        "tags": [tag.name for tag in product.tags.all()],
        "attributes": product.attributes,
    }
