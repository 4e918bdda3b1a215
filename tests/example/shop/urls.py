"""Addresses of the shop."""

from django.urls import path

from . import views

app_name = "shop"
urlpatterns = [
    path("", views.product_list, name="products"),
    path("products/<slug:slug>/", views.product_detail, name="product"),
    path("figures/", views.figures, name="figures"),
    path("order/", views.order_form, name="order-form"),
    path("orders/", views.order_list, name="orders"),
    path("orders/<uuid:reference>/", views.order_detail, name="order"),
    path("visits/", views.visits, name="visits"),
    path("tags/", views.tags, name="tags"),
    path("api/products/", views.product_api, name="product-api"),
]
