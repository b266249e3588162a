"""A canary: what share of a program's requests one release answers in the champion's place, and what ends it.

The file `canary.json` beside the aliases says so to every gateway that serves the folder, whichever process
writes it: the operator's command, or a gateway that saw a guard broken. The canary is of one version; a
candidate that a later build writes does not take its place by itself.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from programs.errors import ReleaseInvalid, ReleaseNotFound
from programs.plain_file import read_plain_file
from programs.program_folder import alone, replace_file

FILE = "canary.json"
_LARGEST_FILE = 64 * 1024
_STRICT = ConfigDict(extra="forbid", strict=True)
_VERSION = re.compile(r"[0-9a-f]{12}")

Bound = Annotated[float, Field(ge=0, allow_inf_nan=False)]
GuardName = Literal["errors", "unparseable", "latency"]


@dataclass(frozen=True)
class CanaryGuards:
    """How bad the candidate may be. None is no limit; errors and unparseable answers are shares of requests.

    An increase is over the champion in the same `window` of seconds; of the latency that 95 % of answers keep
    to, `max_p95_increase` is a share of the champion's. Nothing is judged before `min_requests`.
    """

    __pydantic_config__ = _STRICT

    max_error_increase: Bound | None = 0.02
    max_unparseable_increase: Bound | None = 0.02
    max_p95_increase: Bound | None = 0.5
    max_errors: Bound | None = None
    max_unparseable: Bound | None = None
    max_p95_seconds: Bound | None = None
    min_requests: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    window: Annotated[float, Field(gt=0, le=86_400)] = 600.0


@dataclass(frozen=True)
class Rollback:
    """What ended a canary that had `weight`."""

    __pydantic_config__ = _STRICT

    at: str
    weight: float
    guard: GuardName
    reason: str


@dataclass(frozen=True)
class Canary:
    """`weight` is a percentage; 0 is a canary that was stopped, by `rollback` where there is one."""

    __pydantic_config__ = _STRICT

    version: str
    weight: Annotated[float, Field(ge=0, le=100)]
    started: str
    """When it last began; another weight for one that runs is no new beginning."""
    guards: CanaryGuards = field(default_factory=CanaryGuards)
    rollback: Rollback | None = None


_CANARY = TypeAdapter(Canary)


def read_canary(program_folder: Path) -> Canary | None:
    """The program's canary, also one that was stopped; None where there never was one.

    Raises:
        ReleaseInvalid: the file is damaged.
    """
    path = program_folder / FILE
    try:
        data = read_plain_file(path, _LARGEST_FILE)
    except FileNotFoundError:
        return None
    try:
        canary = _CANARY.validate_json(data)
    except ValidationError as error:
        raise ReleaseInvalid(
            f"{str(path)!r} is damaged: {error.errors(include_url=False)[0]['msg']}"
        ) from error
    if not _VERSION.fullmatch(canary.version):
        raise ReleaseInvalid(f"{str(path)!r} names {canary.version!r}, which is no version")
    return canary


def set_canary(program_folder: Path, version: str, weight: float, guards: CanaryGuards) -> Canary:
    """Starts a canary, or gives a running one another weight and other guards.

    Raises:
        ReleaseNotFound: there is no such version.
        ReleaseInvalid: a number is out of its bounds, or what is there is damaged.
        ReleaseNotWritten
    """
    if not _VERSION.fullmatch(version) or not (program_folder / version).is_dir():
        raise ReleaseNotFound(f"{program_folder.name!r} has no release {version!r}")
    with alone(program_folder / FILE):
        old = read_canary(program_folder)
        goes_on = old is not None and old.weight > 0 and old.version == version
        started = old.started if old is not None and goes_on else _now()
        return _write(program_folder, Canary(version, weight, started, guards))


def stop_canary(program_folder: Path) -> Canary | None:
    """Gives all requests back to the champion; None where no canary runs."""
    with alone(program_folder / FILE):
        old = read_canary(program_folder)
        if old is None or not old.weight:
            return None
        return _write(program_folder, replace(old, weight=0.0))


def end_canary(program_folder: Path) -> None:
    """Stops the canary because there is another champion, whose rival it never was.

    Otherwise one that was promoted would begin again when the former champion comes back, of all moments.
    """
    path = program_folder / FILE
    if not path.exists():
        return
    with alone(path):
        try:
            old = read_canary(program_folder)
        except ReleaseInvalid:
            # Nobody may be kept from moving the champion by it.
            path.unlink()
            return
        if old is not None and old.weight:
            _write(program_folder, replace(old, weight=0.0))


def roll_back_canary(program_folder: Path, seen: Canary, guard: GuardName, reason: str) -> bool:
    """Stops the canary that was `seen` running and keeps why; False where it runs no more.

    Whoever gets True is the only one, however many gateways and workers found the same.
    """
    with alone(program_folder / FILE):
        now = read_canary(program_folder)
        if now is None or not now.weight or (now.version, now.started) != (seen.version, seen.started):
            return False
        _write(program_folder, replace(now, weight=0.0, rollback=Rollback(_now(), now.weight, guard, reason)))
        return True


def _write(program_folder: Path, canary: Canary) -> Canary:
    text = json.dumps(asdict(canary), indent=2)
    try:
        _CANARY.validate_json(text)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        raise ReleaseInvalid(f"a canary's {wrong['loc'][-1]} can't be that: {wrong['msg']}") from error
    replace_file(program_folder / FILE, text)
    return canary


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
