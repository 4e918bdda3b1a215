"""Receipts in files, and logs."""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import ReadOnlyRouterError, SwitchError
from ..escaping import json_text
from ..switch.receipt import Receipt, parsed


def document(receipts: Iterable[Receipt]) -> str:
    """Return a JSON array of the receipts."""
    return json_text([json.loads(receipt.to_json()) for receipt in receipts], indent=2)


class ReceiptFile:
    """A file that is to hold receipts: written beside its place, and put there in whole or not at all.

    The part is open from before anything is switched, readable by its owner alone, and no link planted in its
    place is ever followed: it is made anew, under a name of its own, and written through its descriptor.
    """

    def __init__(self, path: Path) -> None:
        # What is no file (/dev/stdout, a pipe) would be replaced by one.
        if path.exists() and not path.is_file():
            raise FileExistsError("it is no regular file")
        self.path = path
        # O_EXCL, O_NOFOLLOW and mode 0600: https://docs.python.org/3/library/tempfile.html#tempfile.mkstemp
        self.descriptor, part = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".part", dir=path.parent)
        self.part = Path(part)

    def replace(self, text: str) -> None:
        """Write the file; raise SwitchError where it cannot be written after all."""
        try:
            with os.fdopen(os.dup(self.descriptor), "w", encoding="utf-8") as part:
                part.write(f"{text}\n")
                part.flush()
                os.fsync(part.fileno())
            if not os.path.samestat(os.fstat(self.descriptor), self.part.lstat()):
                raise FileExistsError("another file was put in the place of its part")
            self.part.replace(self.path)
        except OSError as error:
            raise SwitchError(
                f"Switched and proved, but the receipt could not be written to {self.path} ({error}); it is kept "
                "with its event, where read_only verify finds it by itself and read_only on --receipt writes it "
                "anew."
            ) from None
        with suppress(OSError):  # it is in its place; some file systems, and folders one may not read, cannot
            _sync_folder(self.path.parent)

    def close(self) -> None:
        """Close the part, and remove it where it was not put in its place."""
        with suppress(OSError):
            if os.path.samestat(os.fstat(self.descriptor), self.part.lstat()):
                self.part.unlink()
        os.close(self.descriptor)


def _sync_folder(folder: Path) -> None:
    """Make a name in a folder survive a crash."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writable(name: str | None) -> Iterator[ReceiptFile | None]:
    """Open a file for receipts; raise SwitchError before anything is switched where it cannot be written."""
    if name is None:
        yield None
        return
    try:
        file = ReceiptFile(Path(name))
    except (OSError, ValueError) as error:
        raise SwitchError(
            f"The receipt cannot be written to {name} ({error}); name a file in a directory you may write to."
        ) from None
    try:
        yield file
    finally:
        file.close()


def receipts(name: str, databases: Sequence[str] | None) -> list[Receipt]:
    """Return the receipts of a file, or of standard input (`-`), for these writer aliases or for all."""
    try:
        found = parsed(sys.stdin.read() if name == "-" else _text(Path(name)))
    except (OSError, ValueError) as error:
        raise SwitchError(f"{name} holds no receipt ({error}); name the file that read_only on wrote.") from None
    every = [Receipt.of(each) for each in (found if isinstance(found, list) else [found])]
    kept = [receipt for receipt in every if databases is None or receipt.alias in databases]
    if not kept:
        raise SwitchError(f"{name} holds no receipt of {', '.join(databases or ['any database'])}.")
    return kept


def _text(path: Path) -> str:
    # Opening a pipe waits until somebody writes into it.
    if path.exists() and not path.is_file():
        raise FileExistsError("it is no regular file; give - to read standard input")
    return path.read_text(encoding="utf-8")


def log(name: str) -> Iterator[str]:
    """Return the lines of a log, or of standard input (`-`)."""
    if name == "-":
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")
        yield from sys.stdin
        return
    try:
        with Path(name).open(errors="replace") as lines:
            yield from lines
    except OSError as error:
        says = f"{name} cannot be read ({error.strerror}); name a log file of the site."
        raise ReadOnlyRouterError(says) from None
