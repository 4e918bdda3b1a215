"""The receipt as a value: where the database stood when no writer was left, and what differs from that later."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from hashlib import sha256
from typing import Any

from ..errors import SwitchError
from ..escaping import shortened

VERSION = 1
# In the place of a time since which the server counts rows: it does not count them.
NOT_COUNTED = "track_counts is off"
# PostgreSQL logs a sequence this many values ahead (SEQ_LOG_VALS): a promoted standby goes on from there, and so
# does a server after a crash. https://www.postgresql.org/docs/current/sql-createsequence.html
LOGGED_AHEAD = 32


@dataclass(frozen=True, kw_only=True)
class Horizon:
    """Where a database stands.

    `next_xid` is the first 64-bit transaction id not yet completed, `running` those below it that are not over;
    `sequences` maps each name to (last_value, is_called), `steps` those that count otherwise than by 1 to their
    increment; `counters` each table that was ever written to the rows
    inserted, updated and deleted in it, as the server counts them since `counters_since`.
    https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT
    """

    system_identifier: str
    database: str
    database_oid: int
    timeline: int
    lsn: str
    next_xid: int
    running: tuple[int, ...] = ()
    sequences: Mapping[str, tuple[int, bool]] = field(default_factory=dict)
    steps: Mapping[str, int] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()
    prepared: tuple[str, ...] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    counters_since: str = ""


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What `read_only on` proved: at `proved_at` no session of `roles` could write any more, and where all stood.

    `uncovered` are other logins that hold write rights and `superusers` those whom nothing binds: neither is
    fenced. `reads_from` names the replica that a site declared to read from: what it holds is not proved.
    `ended` counts the sessions that the drain ended. Times are aware datetimes.
    """

    alias: str
    horizon: Horizon
    roles: tuple[str, ...]
    fence: str
    uncovered: tuple[str, ...]
    superusers: tuple[str, ...]
    switched_at: datetime
    proved_at: datetime
    ended: int
    event: int
    by: str
    os_user: str
    host: str
    reason: str = ""
    eta: datetime | None = None
    reads_from: str = ""
    version: int = VERSION

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the receipt as a JSON object."""
        return json.dumps(asdict(self), default=datetime.isoformat, indent=indent)

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the receipt's JSON with sorted keys and no spaces, in hexadecimal digits."""
        canonical = json.dumps(asdict(self), default=datetime.isoformat, sort_keys=True, separators=(",", ":"))
        return sha256(canonical.encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> Receipt:
        """Return the receipt a JSON object holds; raise SwitchError when it is none."""
        return cls.of(parsed(text))

    @classmethod
    def of(cls, found: Any) -> Receipt:
        """Return the receipt that a parsed JSON object holds; raise SwitchError when it is none."""
        try:
            return cls._from(found)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _no_receipt(error) from None

    @classmethod
    def _from(cls, found: dict[str, Any]) -> Receipt:
        if found["version"] != VERSION:
            raise ValueError(f"version {shortened(found['version'])}, not {VERSION}")
        horizon = Horizon(**_tuples(Horizon, found["horizon"]))
        times = {
            name: datetime.fromisoformat(found[name])
            for name in ("switched_at", "proved_at", "eta")
            if found[name] is not None
        }
        receipt = cls(**{**_tuples(cls, found), **times, "horizon": horizon})
        for value in (horizon, receipt):
            _refuse_strange(value)
        return receipt


def parsed(text: str) -> Any:
    """Return what a JSON document holds; raise SwitchError for what JSON forbids, or readers take differently."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_once)
    except (ValueError, TypeError) as error:
        raise _no_receipt(error) from None
    except RecursionError:
        raise _no_receipt("it is nested too deeply") from None


def _no_receipt(why: object) -> SwitchError:
    # Errors of datetime and of json quote what they met, however long it is.
    return SwitchError(f"This is not a receipt of read_only on ({str(why)[:200]}); name the file it wrote.")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{shortened(twice)} is there twice")
    return found


def _tuples(kind: type, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object's fields with tuples where the value has them."""
    known = {each.name for each in fields(kind)}
    if unknown := sorted(set(found) - known):
        raise ValueError(f"unknown field {shortened(unknown[0])}")
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in found.items()}
    if "sequences" in values:
        values["sequences"] = {name: tuple(value) for name, value in found["sequences"].items()}
    return values


def _is_number(value: Any) -> bool:
    # What 64 bits hold, with a sign or without: no id, count or value of PostgreSQL is larger.
    return type(value) is int and -(2**63) <= value < 2**64


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_sequence(value: Any) -> bool:
    return len(value) == 2 and _is_number(value[0]) and isinstance(value[1], bool)


def _is_time(value: Any) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None


# What a field may hold, by its annotation.
_HOLDS: dict[str, Callable[[Any], bool]] = {
    "str": _is_text,
    "int": _is_number,
    "datetime": _is_time,
    "datetime | None": lambda value: value is None or _is_time(value),
    "Horizon": lambda value: isinstance(value, Horizon),
    "tuple[str, ...]": lambda value: isinstance(value, tuple) and all(map(_is_text, value)),
    "tuple[int, ...]": lambda value: isinstance(value, tuple) and all(map(_is_number, value)),
    "Mapping[str, int]": lambda value: isinstance(value, dict) and all(map(_is_number, value.values())),
    "Mapping[str, tuple[int, bool]]": lambda value: (
        isinstance(value, dict) and all(map(_is_sequence, value.values()))
    ),
}


def _refuse_strange(value: Horizon | Receipt) -> None:
    for each in fields(value):
        if not _HOLDS[str(each.type)](getattr(value, each.name)):
            raise ValueError(f"{each.name!r} holds something else")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What moved since a receipt: `moved` proves or suggests a write, `noted` does not."""

    moved: tuple[str, ...] = ()
    noted: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        return not self.moved


def compare(then: Horizon, now: Horizon, *, unsettled: tuple[str, ...] = ()) -> Verdict:
    """Return what was written between two horizons of one database.

    Equal transaction ids, sequences and prepared transactions prove that nothing was. When ids moved, which
    autovacuum and other databases do too, the counters of rows decide; `unsettled` names what keeps them from it.
    """
    if (then.system_identifier, then.database_oid) != (now.system_identifier, now.database_oid):
        raise SwitchError(
            f"The receipt is of database '{then.database}' on server {then.system_identifier}, and this is "
            f"'{now.database}' on server {now.system_identifier}; verify it where it was written."
        )
    moved = [*_sequences(then, now), *_prepared(then, now)]
    noted = []
    if then.timeline != now.timeline:
        noted.append(f"timeline {then.timeline} -> {now.timeline}: the server was restored or failed over")
        noted += [f"{each}, which a promotion does by itself" for each in _carried_on(then, now)]
    ids_moved = (then.next_xid, then.running) != (now.next_xid, now.running)
    if ids_moved:
        noted.append(
            f"transaction ids moved: {_ids(then)} -> {_ids(now)} (autovacuum and other databases do so too)"
        )
    if ids_moved or unsettled:
        moved += _rows(then, now, unsettled)
    return Verdict(moved=tuple(moved), noted=tuple(noted))


def _ids(horizon: Horizon) -> str:
    return f"{horizon.next_xid}" + (f" with {len(horizon.running)} running" if horizon.running else "")


def _sequences(then: Horizon, now: Horizon) -> Iterator[str]:
    for name in sorted({*then.sequences, *now.sequences}):
        before, after = then.sequences.get(name), now.sequences.get(name)
        if before != after and not (then.timeline != now.timeline and _is_ahead(then, now, name)):
            hint = " (a crash takes it so far by itself)" if _is_ahead(then, now, name) else ""
            yield f"sequence {name}: {_value(before)} -> {_value(after)}{hint}"
    for name in sorted({*then.unreadable, *now.unreadable}):
        yield f"sequence {name} cannot be read by this login, so nothing is known of it; grant SELECT on it"


def _carried_on(then: Horizon, now: Horizon) -> Iterator[str]:
    for name in sorted(now.sequences):
        if _is_ahead(then, now, name):
            yield f"sequence {name}: {_value(then.sequences[name])} -> {_value(now.sequences[name])}"


def _is_ahead(then: Horizon, now: Horizon, name: str) -> bool:
    """Return whether a sequence in use is no further on than it was logged."""
    before, after = then.sequences.get(name), now.sequences.get(name)
    if before is None or after is None or not after[1]:
        return False
    return 0 < (after[0] - before[0]) / now.steps.get(name, 1) <= LOGGED_AHEAD


def _value(value: tuple[int, bool] | None) -> str:
    if value is None:
        return "not there"
    return f"{value[0]}" if value[1] else f"{value[0]} (not used)"


def _prepared(then: Horizon, now: Horizon) -> Iterator[str]:
    for name in sorted({*then.prepared} ^ {*now.prepared}):
        yield f"prepared transaction {name}: {'new' if name in now.prepared else 'ended'}"


def _rows(then: Horizon, now: Horizon, unsettled: tuple[str, ...]) -> Iterator[str]:
    if NOT_COUNTED in {then.counters_since, now.counters_since}:
        yield f"{NOT_COUNTED}, so whose transactions these were cannot be told"
        return
    gone = sorted({*then.counters} - {*now.counters})
    if (
        then.counters_since != now.counters_since
        or len(gone) == len(then.counters) > 0
        or any(now.counters.get(name, rows) < rows for name, rows in then.counters.items())
    ):
        yield "the server's counters were reset since, so whose transactions these were cannot be told"
        return
    for name in gone:
        yield f"table {name}: not there any more"
    for name in sorted(now.counters):
        rows = now.counters[name] - then.counters.get(name, 0)
        if rows:
            yield f"table {name}: {rows} rows inserted, updated or deleted"
    for name in unsettled:
        yield (
            f"{name}: may have written what is not counted yet; run verify again when it is idle or gone, or with "
            "--admin-url"
        )
