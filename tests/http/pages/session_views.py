"""Pages that read and change sessions, as sites do."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import alogout, get_user_model, login, logout
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import engines


def touch_session(request: HttpRequest) -> HttpResponse:
    request.session["seen"] = request.session.get("seen", 0) + 1
    return HttpResponse(str(request.session["seen"]))


def show_session(request: HttpRequest) -> JsonResponse:
    user = request.user.get_username() if request.user.is_authenticated else ""
    return JsonResponse({"user": user, "seen": request.session.get("seen", 0)})


async def ashow_session(request: HttpRequest) -> JsonResponse:
    user = await request.auser()  # type: ignore[attr-defined]  # the middleware's
    await request.session.aset("seen", await request.session.aget("seen", 0) + 1)
    return JsonResponse({"user": user.get_username(), "seen": await request.session.aget("seen")})


def fill_session(request: HttpRequest) -> HttpResponse:
    # Nothing that compresses well.
    text = "".join(f"{number * 7919 % 99991:x}" for number in range(int(request.GET["size"])))
    request.session["much"] = text
    return HttpResponse(str(len(text)))


def link_in(request: HttpRequest) -> HttpResponse:
    # As links sent by mail do, and the way back from another site.
    login(request, get_user_model().objects.get(username="customer"))
    return fill_session(request)


def say(request: HttpRequest) -> HttpResponse:
    messages.info(request, "said")
    return HttpResponse("said")


def hear(request: HttpRequest) -> HttpResponse:
    return HttpResponse(",".join(str(message) for message in messages.get_messages(request)))


def leave(request: HttpRequest) -> HttpResponse:
    """Sign out on GET, and leave a message behind, as sites do."""
    logout(request)
    messages.info(request, "goodbye")
    return HttpResponse("left")


async def aleave(request: HttpRequest) -> HttpResponse:
    await alogout(request)
    await request.session.aset("seen", 7)
    return HttpResponse("left")


def new_key(request: HttpRequest) -> HttpResponse:
    request.session.cycle_key()
    return HttpResponse("changed")


def expiring(request: HttpRequest) -> HttpResponse:
    request.session.set_expiry(int(request.GET["seconds"]))
    return HttpResponse("set")


def token(request: HttpRequest) -> HttpResponse:
    template = engines["django"].from_string("{% csrf_token %}")
    return HttpResponse(template.render({}, request))
