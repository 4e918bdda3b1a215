"""Receipts in files: owned by one, written through no link, whole or not there; and the digest that tells one."""

from __future__ import annotations

import json
import os
import signal
import stat
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from readonly_router.switch.receipt import Receipt
from tests.database import Scratch
from tests.harness.pairs import wait_for
from tests.switch.switching import default_of, events, process, read_only, running, state, switched, transaction
from tests.switch.test_receipt import RECEIPT


def parts(folder: Path) -> list[Path]:
    return list(folder.glob("receipt.json.*.part"))


def test_a_receipt_is_readable_by_its_owner_alone(pair: Scratch, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    before = os.umask(0)
    try:
        switched(pair, "--receipt", str(file))
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_receipt_takes_the_place_of_an_earlier_one_and_its_mode(pair: Scratch, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    file.write_text("earlier")
    file.chmod(0o644)
    receipt = switched(pair, "--receipt", str(file))
    kept = Receipt.from_json(json.dumps(json.loads(file.read_text())[0]))
    assert (kept, stat.S_IMODE(file.stat().st_mode)) == (receipt, 0o600)


def test_a_link_in_the_place_of_the_receipt_is_replaced_and_not_followed(pair: Scratch, tmp_path: Path) -> None:
    victim, file = tmp_path / "victim", tmp_path / "receipt.json"
    victim.write_text("precious")
    file.symlink_to(victim)
    switched(pair, "--receipt", str(file))
    assert (victim.read_text(), file.is_symlink()) == ("precious", False)


def test_no_link_planted_during_the_drain_is_followed(pair: Scratch, tmp_path: Path) -> None:
    place, victim = tmp_path / "place", tmp_path / "victim"
    place.mkdir()
    victim.write_text("precious")
    arguments = ("on", "--receipt", str(place / "receipt.json"))
    with transaction(pair) as held, running(pair, tmp_path, *arguments) as command:
        command.wait_for_line("begin read-only")
        (part,) = parts(place)
        for planted in (part, place / "receipt.json.part"):
            planted.unlink(missing_ok=True)
            planted.symlink_to(victim)
        held.close()
        outcome = command.end()
    assert (outcome.status, "could not be written" in outcome.err) == (1, True), outcome.err
    assert (victim.read_text(), state(pair).proved) == ("precious", True)


def test_the_file_is_open_before_anything_is_switched(pair: Scratch, tmp_path: Path) -> None:
    arguments = ("on", "--grace", "1h", "--receipt", str(tmp_path / "receipt.json"))
    with pair.superuser() as superuser, running(pair, tmp_path / "run", *arguments) as command:
        # Nothing can be switched while its lock is taken away.
        superuser.execute("BEGIN")
        superuser.execute("LOCK TABLE readonly_router_event")
        wait_for(lambda: bool(parts(tmp_path)) or command.process.poll() is not None)
        (part,) = parts(tmp_path)
        assert (stat.S_IMODE(part.stat().st_mode), part.is_symlink(), default_of(pair)) == (0o600, False, "off")
        command.end(signal.SIGTERM)
        superuser.execute("ROLLBACK")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_by_a_command_that_was_interrupted(pair: Scratch, tmp_path: Path, number: int) -> None:
    arguments = ("on", "--receipt", str(tmp_path / "receipt.json"))
    with transaction(pair), running(pair, tmp_path / "run", *arguments) as command:
        command.wait_for_line("begin read-only")
        assert len(parts(tmp_path)) == 1
        assert command.end(number).status == 130
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_nothing_is_left_by_a_command_that_failed(pair: Scratch, tmp_path: Path) -> None:
    with transaction(pair):
        outcome = read_only(pair, "on", "--deadline", "100ms", "--receipt", str(tmp_path / "receipt.json"))
    assert (outcome.status, list(tmp_path.iterdir())) == (3, [])


def test_the_same_line_again_after_a_kill_writes_the_receipt(pair: Scratch, tmp_path: Path) -> None:
    arguments = ("on", "--receipt", str(tmp_path / "receipt.json"))
    with transaction(pair), running(pair, tmp_path / "run", *arguments) as command:
        command.wait_for_line("begin read-only")
        command.end(signal.SIGKILL)
    assert read_only(pair, *arguments).status == 0
    assert read_only(pair, "verify", str(tmp_path / "receipt.json")).status == 0


# -- the digest


def test_the_digest_is_of_the_canonical_json() -> None:
    canonical = json.dumps(json.loads(RECEIPT.to_json()), sort_keys=True, separators=(",", ":"))
    assert RECEIPT.digest == sha256(canonical.encode()).hexdigest()


def test_the_digest_survives_json_and_tells_each_change() -> None:
    assert Receipt.from_json(RECEIPT.to_json(indent=3)).digest == RECEIPT.digest
    horizon = replace(RECEIPT.horizon, counters={"public.note": 11})
    for other in (replace(RECEIPT, reason="x"), replace(RECEIPT, horizon=horizon), replace(RECEIPT, eta=None)):
        assert other.digest != RECEIPT.digest


def test_on_and_status_and_verify_print_one_digest(pair: Scratch, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    words = read_only(pair, "on", "--receipt", str(file)).out
    found = Receipt.from_json(json.dumps(json.loads(file.read_text())[0])).digest
    assert f"receipt sha256 {found}" in words
    for arguments in (("on",), ("status",), ("verify",), ("verify", str(file))):
        assert f"sha256 {found}" in read_only(pair, *arguments).out
    as_json = {verb: json.loads(read_only(pair, verb, "--json").out)[pair.alias] for verb in ("status", "verify")}
    assert {verb: each["digest"] for verb, each in as_json.items()} == {"status": found, "verify": found}
    again = read_only(pair, "on", "--json")
    assert f"{pair.alias}: receipt sha256 {found}" in again.err
    assert Receipt.from_json(json.dumps(json.loads(again.out)[0])).digest == found


def test_a_receipt_that_was_edited_in_the_database_has_another_digest(pair: Scratch, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    printed = switched(pair, "--receipt", str(file)).digest
    with pair.superuser() as superuser:
        superuser.execute(
            "UPDATE readonly_router_event SET receipt = jsonb_set(receipt, '{horizon,next_xid}', '9')"
        )
    for verb in ("status", "verify"):
        assert printed not in read_only(pair, verb).out
    assert f"sha256 {printed}" in read_only(pair, "verify", str(file)).out


def test_status_tells_no_digest_of_what_is_no_receipt(pair: Scratch) -> None:
    switched(pair)
    with pair.superuser() as superuser:
        superuser.execute("UPDATE readonly_router_event SET receipt = '[1]' || receipt")
    outcome = read_only(pair, "status")
    assert "sha256" not in outcome.out
    assert "Traceback" not in outcome.err


# -- what is no receipt

DEEP = "[" * 100_000 + "]" * 100_000
WRONG = {
    "deep": DEEP.encode(),
    "deep in a receipt": RECEIPT.to_json().replace('"ann"', DEEP, 1).encode(),
    "infinite": RECEIPT.to_json().replace("100", "Infinity").encode(),
    "no number": RECEIPT.to_json().replace("100", "NaN").encode(),
    "too large for a float": RECEIPT.to_json().replace("100", "1e400").encode(),
    "400 digits": RECEIPT.to_json().replace("100", "1" + "0" * 400).encode(),
    "5000 digits": RECEIPT.to_json().replace("100", "1" + "0" * 5000).encode(),
    "400 digits in a sequence": RECEIPT.to_json().replace("[5, true]", f"[{'9' * 400}, true]").encode(),
    "a key twice": RECEIPT.to_json().replace('{"alias"', '{"alias": "default", "alias"').encode(),
    "a list of lists": b"[[[]]]",
    "a text": b'"receipt"',
    "a number": b"7",
    "nothing": b"null",
    "empty": b"",
    "not UTF-8": b'{"version": 1, "by": "\xff"}',
    "UTF-16": RECEIPT.to_json().encode("utf-16"),
    "NUL": b"\x00" * 100,
    "a control character in a name": b'[{"version": 1, "\\u001b[31m\\n": 1, "horizon": {}}]',
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
def test_a_file_that_is_no_receipt_is_told_in_one_line(pair: Scratch, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "receipt.json"
    file.write_bytes(content)
    outcome = read_only(pair, "verify", str(file))
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert "receipt" in outcome.err
    assert len(outcome.err) < 500
    assert outcome.err.removesuffix("\n").isprintable()


@pytest.mark.parametrize("name", ["folder", "pipe", "missing", "x" * 300, "/dev/zero"])
def test_what_is_no_file_is_told_in_one_line_and_not_waited_for(pair: Scratch, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    outcome = read_only(pair, "verify", str(tmp_path / name))
    assert (outcome.status, outcome.err.count("\n"), "holds no receipt" in outcome.err) == (1, 1, True)


def test_bytes_on_standard_input_are_told_in_one_line(pair: Scratch, tmp_path: Path) -> None:
    outcome = process(pair, tmp_path, "verify", "-", stdin=DEEP)
    assert (outcome.status, outcome.err.count("\n"), "not a receipt" in outcome.err) == (1, 1, True)


# -- the events' own rows

BY_HAND = {
    "inserted": "INSERT INTO readonly_router_event (at, kind, alias, roles, reason, by, os_user, host, details)"
    " SELECT at, 'exec', alias, roles, reason, by, os_user, host, '{}' FROM readonly_router_event LIMIT 1",
    "updated": "UPDATE readonly_router_event SET reason = 'another'",
    "deleted": "DELETE FROM readonly_router_event WHERE kind <> 'on'",
}


@pytest.mark.parametrize("text", BY_HAND.values(), ids=BY_HAND)
def test_an_event_written_by_hand_is_told_by_verify(pair: Scratch, tmp_path: Path, text: str) -> None:
    file = tmp_path / "receipt.json"
    read_only(pair, "on")
    read_only(pair, "off")
    switched(pair, "--receipt", str(file))
    with pair.superuser() as superuser:
        assert superuser.execute(text.encode()).rowcount > 0
    outcome = read_only(pair, "verify", "--admin-url", pair.admin_url, str(file))
    assert (outcome.status, "readonly_router_event" in outcome.out) == (1, True), outcome.out


def test_what_our_own_commands_write_is_not_told(pair: Scratch, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    switched(pair, "--receipt", str(file))
    for arguments in (("exec", "--", "check"), ("status",), ("history",)):
        assert read_only(pair, *arguments).status == 0
    outcome = read_only(pair, "verify", "--admin-url", pair.admin_url, str(file))
    assert outcome.status == 0, outcome.out
    assert events(pair) == ["on", "exec"]
