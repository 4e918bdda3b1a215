"""Receipts in files, and logs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..errors import ReadOnlyRouterError, SwitchError
from ..switch.receipt import Receipt


def document(receipts: Iterable[Receipt]) -> str:
    """Return a JSON array of the receipts."""
    return json.dumps([json.loads(receipt.to_json()) for receipt in receipts], indent=2, ensure_ascii=False)


def writable(name: str | None) -> Path | None:
    """Return the path of a file that can be written; raise SwitchError before anything is switched."""
    if name is None:
        return None
    path = Path(name)
    try:
        # What is no file (/dev/stdout, a pipe) would be replaced by one.
        if path.exists() and not path.is_file():
            raise FileExistsError("it is no regular file")
        _part(path).touch()
        _part(path).unlink()
    except (OSError, ValueError) as error:
        raise SwitchError(
            f"The receipt cannot be written to {name} ({error}); name a file in a directory you may write to."
        ) from None
    return path


def replace(path: Path, text: str) -> None:
    """Write a file in whole or not at all."""
    try:
        _part(path).write_text(text + "\n")
        _part(path).replace(path)
    except OSError as error:
        raise SwitchError(
            f"Switched and proved, but the receipt could not be written to {path} ({error}); it is kept with its "
            "event, where read_only verify finds it by itself and read_only on --receipt writes it anew."
        ) from None


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def receipts(name: str, databases: Sequence[str] | None) -> list[Receipt]:
    """Return the receipts of a file, or of standard input (`-`), for these writer aliases or for all."""
    try:
        found = json.loads(sys.stdin.read() if name == "-" else Path(name).read_text())
    except (OSError, ValueError) as error:
        raise SwitchError(f"{name} holds no receipt ({error}); name the file that read_only on wrote.") from None
    every = [Receipt.from_json(json.dumps(each)) for each in (found if isinstance(found, list) else [found])]
    kept = [receipt for receipt in every if databases is None or receipt.alias in databases]
    if not kept:
        raise SwitchError(f"{name} holds no receipt of {', '.join(databases or ['any database'])}.")
    return kept


def log(name: str) -> Iterator[str]:
    """Return the lines of a log, or of standard input (`-`)."""
    if name == "-":
        yield from sys.stdin
        return
    try:
        with Path(name).open(errors="replace") as lines:
            yield from lines
    except OSError as error:
        says = f"{name} cannot be read ({error.strerror}); name a log file of the site."
        raise ReadOnlyRouterError(says) from None
