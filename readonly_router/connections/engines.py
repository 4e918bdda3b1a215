"""What an engine keeps on its wrapper, as django-tenants the tenant: it goes wherever the alias leads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.db import connections

from .held import held
from .translation import writer_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper as _Wrapper
else:
    _Wrapper = object


class Tenanted(_Wrapper):
    """A wrapper of an engine that keeps a tenant, as a member of a pair.

    Who entered a tenant's block before the switch moved holds the wrapper of then, and ends the block on it.
    """

    is_twin: bool
    owes_error: str
    # Of a twin that served the writer's alias: whether it was asked for by its own name since. None: it did not.
    named: bool | None = None

    def set_tenant(self, tenant: Any, *args: Any, **kwargs: Any) -> None:
        """Set the tenant, also of the connection that serves the alias by now."""
        self._set_own(tenant, *args, **kwargs)
        serving = _serving(self)
        if serving is None or (self.is_twin and self.named is None):
            return
        if not self.named:
            serving._set_own(tenant, *args, **kwargs)
            return
        # Whose block ends, the alias's or the twin's own? The next statement says that nobody knows.
        self.named = None
        serving.owes_error = (
            f"After the switch moved, '{self.alias}' was asked for by its own name and given another tenant; "
            f"which one '{serving.alias}' is to have is not known. Set it, and try again."
        )

    def _set_own(self, *args: Any, **kwargs: Any) -> None:
        super().set_tenant(*args, **kwargs)  # type: ignore[misc]  # the engine's


def _serving(wrapper: Any) -> Any:
    """Return the connection that serves a pair's alias instead of this one; None where it is this, or a copy."""
    handler = cast(Any, connections)
    if handler.own(wrapper.alias) is not wrapper:
        return None
    writer = writer_of(wrapper)
    led = held.led.get(writer, writer)
    return None if led == str(wrapper.alias) else handler.own(led)


def lead(alias: str, serving: str) -> None:
    """Let what the engine keeps follow the alias, whatever moved it."""
    before, held.led[alias] = held.led.get(alias, alias), serving
    handler = cast(Any, connections)
    left = handler.own(before)
    if before == serving or not isinstance(left, Tenanted):
        return
    hand_over(left, handler.real(serving))
    if left.is_twin:
        left.named = False
        # Or its next look-up by name is not noticed.
        held.leads.pop(before, None)


def hand_over(left: Any, serving: Any) -> None:
    """Give a connection what the engine keeps on another."""
    if isinstance(left, Tenanted) and isinstance(serving, Tenanted) and left is not serving:
        serving._set_own(left.tenant, left.include_public_schema)  # type: ignore[attr-defined]  # the engine's


def note_name(twin: str) -> None:
    """Note that a twin was asked for by its own name, which may be by who served its writer's alias before."""
    wrapper = cast(Any, connections).own(twin)
    if isinstance(wrapper, Tenanted) and wrapper.named is False:
        wrapper.named = True


def begin_request(wrapper: Any) -> None:
    """Know of no tenant's block that goes on: a request begins with none."""
    if isinstance(wrapper, Tenanted):
        wrapper.named = None


def forget_session(wrapper: Any) -> None:
    """Let the engine set the tenant again: its connection leads to another session by now."""
    if isinstance(wrapper, Tenanted):
        wrapper.search_path_set_schemas = None  # type: ignore[attr-defined]  # django-tenants'


def swallows(wrapper: Any) -> bool:
    """Tell whether the engine is at its own statement, of which it swallows the errors."""
    return bool(getattr(wrapper, "_setting_search_path", False))
