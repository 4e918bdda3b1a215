"""Every ModelAdmin, whoever wrote it, only shows while its rows cannot be written."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.contrib.admin.options import BaseModelAdmin
from django.db import router
from django.db.models import Model
from django.http import HttpRequest

from .. import conf
from ..connections.asking import is_read_only
from ..connections.handler import any_read_only

_MARK = "_readonly_router_guarded"
_WITHHELD = "_readonly_router_withheld"
# The last one is django-import-export's, whose page of a form would be shown otherwise.
_WRITING = ("has_add_permission", "has_change_permission", "has_delete_permission", "has_import_permission")


def install() -> None:
    """Guard every ModelAdmin and inline made from now on, in whatever site. Idempotent.

    At the root of them all: inlines, nested ones too, and the admins of polymorphic children are made anew for
    each request, and in no registry.
    """
    plain = BaseModelAdmin.__init__
    if getattr(plain, _MARK, False):
        return

    @functools.wraps(plain)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        guard(self)

    setattr(guarded, _MARK, True)
    # Django has no seam here; the ignore is for assigning a method.
    BaseModelAdmin.__init__ = guarded  # type: ignore[method-assign]  # no seam for admins made by others


def guard(model_admin: Any) -> None:
    """Let a ModelAdmin or an inline refuse what would write, as long as nothing can be written.

    On the instance, and not by a subclass: `super(self.__class__, self)` is common in ModelAdmins, and would call
    itself for ever in one.
    """
    if getattr(model_admin, _MARK, False):
        return
    has_change = model_admin.has_change_permission
    for name in _WRITING:
        if hasattr(model_admin, name):
            setattr(model_admin, name, _withheld(model_admin, getattr(model_admin, name)))
    model_admin.has_view_permission = _seen(model_admin, model_admin.has_view_permission, has_change)
    if hasattr(model_admin, "get_actions"):
        model_admin.get_actions = _no_actions(model_admin, model_admin.get_actions)
    setattr(model_admin, _MARK, True)


def is_view_only(model: type[Model]) -> bool:
    """Return whether rows of a model can only be looked at: each change is logged in the primary database too."""
    if not any_read_only():
        return False
    return is_read_only(conf.primary()) or router.db_for_write(model) in conf.writers()


def was_withheld(request: HttpRequest) -> bool:
    """Return whether the mode alone kept the request's user from something."""
    return getattr(request, _WITHHELD, False)


def _withheld(model_admin: Any, allowed: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(allowed)
    def permission(request: Any, *args: Any, **kwargs: Any) -> Any:
        answer = allowed(request, *args, **kwargs)
        if not answer or not is_view_only(model_admin.model):
            return answer
        setattr(request, _WITHHELD, True)
        return False

    return permission


def _seen(model_admin: Any, may_view: Callable[..., Any], may_change: Callable[..., Any]) -> Callable[..., Any]:
    """Let those who may change rows still see them."""

    @functools.wraps(may_view)
    def permission(request: Any, *args: Any, **kwargs: Any) -> Any:
        answer = may_view(request, *args, **kwargs)
        return answer or (is_view_only(model_admin.model) and may_change(request, *args, **kwargs))

    return permission


def _no_actions(model_admin: Any, get_actions: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(get_actions)
    def actions(request: Any, *args: Any, **kwargs: Any) -> Any:
        return {} if is_view_only(model_admin.model) else get_actions(request, *args, **kwargs)

    return actions
