"""Search, as Wagtail's project template has it, its counting of searches switched on."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from wagtail.contrib.search_promotions.models import Query
from wagtail.models import Page


def search(request: HttpRequest) -> HttpResponse:
    query = request.GET.get("query", "")
    found = Page.objects.live().search(query) if query else Page.objects.none()
    if "count" in request.GET:
        Query.get(query).add_hit()
    return render(request, "home/search.html", {"query": query, "found": found})
