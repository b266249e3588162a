"""Looks whether the locks may be installed, as `make check` does.

Each download has its hash, no version is one that is refused, and, where the service that knows of advisories
can be reached, none has one that was not accepted.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

LOCKS = Path(__file__).parents[1] / "requirements"
REFUSED = LOCKS / "refused.toml"
WITHOUT_HASHES = {"torch.txt": "which build of PyTorch fits depends on the machine"}
ADVISORIES = ("api.osv.dev", 443)

_PIN = re.compile(r"([A-Za-z0-9][\w.-]*)==([\w.!+-]+)( ;[^\\]*)?")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


class Pin(NamedTuple):
    lock: str
    package: str
    version: str
    hashes: int


class Refused(NamedTuple):
    package: str
    versions: SpecifierSet
    reason: str


class Unreadable(Exception):
    """A line of a lock that is no pinned version."""


def pins(lock: Path) -> Iterator[Pin]:
    """Everything that a lock installs. Raises Unreadable, at a URL or a folder for one."""
    text = re.sub(r"(?m)^\s*#.*\n", "", lock.read_text()).replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        requirement, *hashes = re.split(r"\s+(?=--hash=)", line)
        found = _PIN.fullmatch(requirement.strip())
        if found is None or not all(_HASH.fullmatch(one.strip()) for one in hashes):
            raise Unreadable(f"{lock.name}: {line[:80]!r} is not one version of one package")
        yield Pin(lock.name, canonicalize_name(found[1]), found[2], len(hashes))


def refused(file: Path = REFUSED) -> list[Refused]:
    rows = tomllib.loads(file.read_text())["refused"]
    return [
        Refused(
            canonicalize_name(row["package"]), SpecifierSet(row["versions"], prereleases=True), row["reason"]
        )
        for row in rows
    ]


def accepted(file: Path = REFUSED) -> list[str]:
    """Advisories that have no remedy yet; each has its reason in the file."""
    return [row["advisory"] for row in tomllib.loads(file.read_text())["accepted"]]


def offences(locks: Sequence[Path], known: Sequence[Refused]) -> list[str]:
    """What is wrong with the locks, a sentence each."""
    found = []
    for pin in (pin for lock in locks for pin in pins(lock)):
        named = f"{pin.lock}: {pin.package} {pin.version}"
        if not pin.hashes and pin.lock not in WITHOUT_HASHES:
            found.append(f"{named} has no hash")
        wrong = [one for one in known if one.package == pin.package and pin.version in one.versions]
        found += [f"{named} is refused: it {one.reason}" for one in wrong]
    return found


def has_advisories(locks: Sequence[Path]) -> bool | None:
    """Whether the service knows of any, which pip-audit then prints; None where it can't be reached."""
    try:
        socket.create_connection(ADVISORIES, timeout=3).close()
    except OSError:
        return None
    audit = [sys.executable, "-m", "pip_audit", "-s", "osv", "--disable-pip", "--require-hashes"]
    audit += [word for advisory in accepted() for word in ("--ignore-vuln", advisory)]
    hashed = [lock for lock in locks if lock.name not in WITHOUT_HASHES]
    # One after the other: locks of different environments name different versions.
    return any([subprocess.run([*audit, "-r", lock]).returncode for lock in hashed])


def main() -> int:
    locks = sorted(LOCKS.glob("*.txt"))
    found = offences(locks, refused())
    print(*found, sep="\n", end="\n" if found else "")
    advised = has_advisories(locks)
    if advised is None:
        print(f"Not asked for advisories: {ADVISORIES[0]} can't be reached from here.")
    print(f"{len(locks)} locks audited, {len(found)} offences.")
    return 1 if found or advised else 0


if __name__ == "__main__":
    sys.exit(main())
