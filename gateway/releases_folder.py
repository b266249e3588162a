"""What a look at the releases folder shows without opening a file: what has to be read again."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from programs.canary import FILE as CANARY_FILE
from programs.release import FILES

_log = logging.getLogger(__name__)
_VERSION = re.compile(r"[0-9a-f]{12}")

Stamp = tuple[object, ...]
"""Modification times and sizes; equal stamps mean that nothing has to be read again."""


class ProgramFolder(NamedTuple):
    """The stamps of one program's files, and of those of its versions."""

    aliases: Stamp
    canary: Stamp
    versions: Mapping[str, Stamp]


def look_at_releases(root: Path) -> Mapping[str, ProgramFolder] | None:
    """The stamps of everything under the releases folder; None while it can't be read whole."""
    if not root.is_dir():
        return {}
    try:
        programs = [entry for entry in os.scandir(root) if _is_folder(entry)]
        return {entry.name: _look_at(entry.path) for entry in programs}
    except OSError as error:
        _log.warning("the releases folder can't be read now, what was read before stays: %s", error)
        return None


def _look_at(path: str) -> ProgramFolder:
    versions = [e for e in os.scandir(path) if _is_folder(e) and _VERSION.fullmatch(e.name)]
    names = ("release.json", *FILES.values(), "evidence")
    stamps = {e.name: tuple(_stamp(os.path.join(e.path, name)) for name in names) for e in versions}
    aliases, canary = (_stamp(os.path.join(path, name)) for name in ("aliases.json", CANARY_FILE))
    return ProgramFolder(aliases, canary, stamps)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")


def _stamp(path: str) -> Stamp:
    try:
        # Of a link itself: where it leads nothing is read, and a circle of links has no stamp.
        found = os.lstat(path)
    except FileNotFoundError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino)
