"""Which release of a program answers to `champion` and `candidate`, and how that moved."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from programs.canary import end_canary
from programs.errors import ReleaseInvalid, ReleaseNotFound
from programs.plain_file import read_plain_file
from programs.program_folder import alone, replace_file

Alias = Literal["champion", "candidate"]
_VERSION = re.compile(r"[0-9a-f]{12}")
_LARGEST_FILE = 8 * 1024 * 1024  # bytes; a move takes about 150


@dataclass(frozen=True)
class Move:
    """One change of an alias; `previous` is None the first time."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    alias: Alias
    version: str
    previous: str | None
    at: str
    reason: str


@dataclass(frozen=True)
class Aliases:
    __pydantic_config__ = ConfigDict(extra="forbid")

    champion: str | None = None
    candidate: str | None = None
    moves: tuple[Move, ...] = ()


_ALIASES = TypeAdapter(Aliases)


def read_aliases(program_folder: Path) -> Aliases:
    """The aliases of a program; all unset where no file is.

    Raises:
        ReleaseInvalid: the file is damaged or names something that is no version.
    """
    path = program_folder / "aliases.json"
    try:
        aliases = _ALIASES.validate_json(read_plain_file(path, _LARGEST_FILE))
    except FileNotFoundError:
        return Aliases()
    except ValidationError as error:
        raise ReleaseInvalid(
            f"{str(path)!r} is damaged: {error.errors(include_url=False)[0]['msg']}"
        ) from error
    for version in (aliases.champion, aliases.candidate):
        if version is not None and not _VERSION.fullmatch(version):
            raise ReleaseInvalid(f"{str(path)!r} names {version!r}, which is no version")
    return aliases


def move_alias(program_folder: Path, alias: Alias, version: str, reason: str) -> Aliases:
    """Points an alias at a version that is there; does nothing when it already is.

    A canary ends when the champion moves.
    """
    if not _VERSION.fullmatch(version) or not (program_folder / version).is_dir():
        raise ReleaseNotFound(f"{program_folder.name!r} has no release {version!r}")
    path = program_folder / "aliases.json"
    with alone(path):
        old = read_aliases(program_folder)
        previous = getattr(old, alias)
        if previous == version:
            return old
        if alias == "champion":
            end_canary(program_folder)
        move = Move(alias, version, previous, datetime.now(UTC).isoformat(timespec="seconds"), reason)
        new = Aliases(**{**asdict(old), alias: version, "moves": (*old.moves, move)})
        replace_file(path, json.dumps(asdict(new), indent=2))
    return new


def previous_champion(program_folder: Path) -> str:
    """The champion before the present one, where `rollback` goes.

    Raises:
        ReleaseNotFound: there was none.
    """
    aliases = read_aliases(program_folder)
    for move in reversed(aliases.moves):
        if move.alias == "champion" and move.version == aliases.champion and move.previous:
            return move.previous
    raise ReleaseNotFound(f"{program_folder.name!r} has no earlier champion to go back to")
