"""What a twin must be before a whole site reads by it: the right login of the right database, like its writer."""

from __future__ import annotations

from .. import conf, logins
from ..errors import SwitchError
from ..logins import Session
from ..place import Place, differs, refusal
from ..remedies import remedy
from ..roles.likeness import differences, limits
from ..roles.prove import audit
from ..roles.spec import Role
from .spec import Order, Target, Tell
from .targets import Hands, connect

SHOWN = 3


def refuse_unfit(hands: Hands, target: Target, order: Order, tell: Tell, *, accept_unreadable: bool) -> str:
    """Log in as the twin, as the whole site is about to do; raise SwitchError for what it would then meet.

    What it cannot read may be accepted, and is told then; that it can write never is. Return where its reads come
    from if that is a replica's data.
    """
    try:
        session = connect(_who(target), target.twin)
    except SwitchError as error:
        raise SwitchError(
            f"{error}. Without its twin the site could not even read; {remedy(str(error), target.twin)}."
        ) from None
    with session:
        place = logins.place_of(session)
        if trouble := _trouble(hands, target, session, place):
            raise SwitchError(trouble)
        _refuse_mute_replica(target, order)
        _refuse_unlike(target, session, place)
        wanted = Role(name=logins.login_of(session), writer=target.writer, database=place.database)
        unreadable, powers = audit(session, wanted, sequences=False)
        limited = tuple(limits(session, wanted))
        reads_from = _reads_from(hands, target, place)
    if powers:
        raise SwitchError(
            f"The twin '{target.twin_alias}' can write, so read-only would be a lie: "
            f"{_some([power.says for power in powers])}; run manage.py create_readonly_role first."
        )
    if gaps := _some([gap.says for gap in unreadable]):
        if not accept_unreadable:
            raise SwitchError(
                f"The twin '{target.twin_alias}' cannot read what the site reads: {gaps}; run manage.py "
                "create_readonly_role first, or give --accept-unreadable."
            )
        tell(f"note: the twin cannot read what the site reads: {gaps}")
    for line in limited:
        tell(f"note: {line}")
    return reads_from


def _some(lines: list[str]) -> str:
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return f"{'; '.join(lines[:SHOWN])}{more}"


def stands(hands: Hands, target: Target) -> tuple[str, str]:
    """Return what keeps the twin from serving, and where its reads come from if that is a replica's data."""
    try:
        session = connect(_who(target), target.twin)
    except SwitchError as error:
        return str(error), ""
    with session:
        place = logins.place_of(session)
        return _trouble(hands, target, session, place), _reads_from(hands, target, place)


def _trouble(hands: Hands, target: Target, session: Session, place: Place) -> str:
    if logins.login_of(session) == target.writer:
        return (
            f"The twin '{target.twin_alias}' logs in as the writer '{target.writer}'; give it a login of its own."
        )
    return refusal(target.alias, target.twin_alias, _writers_place(hands, target), place)


def _reads_from(hands: Hands, target: Target, place: Place) -> str:
    declared = target.twin_alias in conf.replicas()
    return str(place) if declared and differs(_writers_place(hands, target), place) else ""


def _writers_place(hands: Hands, target: Target) -> Place:
    """Return where the writer leads: the operator is there too, where the writer cannot log in."""
    return target.server or logins.place_of(hands.operator)


def _refuse_mute_replica(target: Target, order: Order) -> None:
    if order.fence == "login" and target.twin_alias in conf.replicas():
        raise SwitchError(
            f"The twin '{target.twin_alias}' is a replica (READONLY_ROUTER_REPLICAS), which knows nothing of the "
            "switch, so the site's processes learn of its end as the writer; leave out --fence login."
        )


def _refuse_unlike(target: Target, twin: Session, place: Place) -> None:
    """Raise SwitchError where queries would answer otherwise, or fail, as the twin; as `--check` compares them."""
    if target.server is None:
        return  # fenced with NOLOGIN: it cannot be compared any more
    role = Role(name=logins.login_of(twin), writer=target.writer, database=place.database)
    with logins.connect(f"the writer '{target.alias}'", target.site, role=target.assumed) as writer:
        found = tuple(differences(writer, twin, role))
    if found:
        more = f" ({len(found) - 1} more: create_readonly_role --check)" if len(found) > 1 else ""
        raise SwitchError(f"{found[0].says}, so the site would read otherwise; run {found[0].statement}{more}")


def _who(target: Target) -> str:
    return f"the twin '{target.twin_alias}'"
