"""The folder of one build: what it was asked, its ledger, and the models that write into it.

.smallforge/builds/<id>/build.json     what was asked; a resumed build must be asked the same
                        calls.sqlite   every call that was answered
                        lock           held by the process that runs the build
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from compiler.calls import OUTAGE, Books, RecordedModel
from compiler.charge import Charge, Charges, charge_by
from compiler.errors import BuildMismatch, StateNotWritten
from compiler.events import Role
from compiler.ledger import Ledger
from compiler.request import BoundModel, BuildRequest, Cast
from compiler.spending import Spending
from engine.prices import Price, price_of

_BUILD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Workshop:
    """An open build: its models record every call."""

    ledger: Ledger
    spending: Spending
    student: RecordedModel
    teacher: RecordedModel
    proposer: RecordedModel
    charges: Charges
    prices: Mapping[Role, Price | None]
    """By the role that pays them."""


@contextmanager
def open_workshop(
    request: BuildRequest, build_id: str, asked: Mapping[str, Any], cast: Cast
) -> Iterator[Workshop]:
    """`asked` is what makes two builds the same; it is kept, and compared when the build is resumed.

    Raises:
        BuildMismatch: the id is none, or the build was asked for something else.
        StateNotWritten: the disk is full or refuses.
    """
    if not _BUILD_ID.fullmatch(build_id):
        raise BuildMismatch(f"{build_id!r} is no build id: letters, digits, '-', '_' and '.' only")
    folder = _folder(request.state, build_id)
    _keep(folder, asked)
    with _alone(folder), Ledger(folder / "calls.sqlite") as ledger:
        spending = Spending(ledger, request.ceiling)
        models: dict[int, RecordedModel] = {}
        prices: dict[Role, Price | None] = {}
        charges: dict[Role, Charge] = {}
        for role, bound in cast.roles():
            prices[role] = price_of(bound.engine)
            charges[role] = charge_by(prices[role])
            # One that plays several roles is one model, which need not be asked again in another role.
            if id(bound) not in models:
                books = Books(ledger, spending, charges[role], role)
                slots = asyncio.Semaphore(request.concurrency)
                models[id(bound)] = RecordedModel(
                    bound.client, identity_of(bound), books, slots, outage=OUTAGE
                )
        student, teacher, proposer = (models[id(bound)] for _, bound in cast.roles())
        known = Charges(charges["student"], charges["teacher"], charges["proposer"])
        yield Workshop(ledger, spending, student, teacher, proposer, known, prices)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While no other process runs the build."""
    with ExitStack() as holding:
        try:
            holding.enter_context(FileLock(folder / "lock", mode=0o600, blocking=False))
        except Timeout as error:
            raise BuildMismatch(f"build {folder.name!r} is being run by another process") from error
        except OSError as error:
            raise StateNotWritten(f"can't keep the build in {str(folder)!r}: {error}") from error
        yield


def identity_of(model: BoundModel) -> dict[str, Any]:
    """Which model it is, as far as anybody can tell."""
    return {"name": model.name, "model": model.engine.model, **model.fingerprint.as_dict()}


def new_build_id() -> str:
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def is_begun(state: Path, build_id: str) -> bool:
    """Whether there is a build of that id to resume."""
    return (_folder(state, build_id) / "build.json").is_file()


def _folder(state: Path, build_id: str) -> Path:
    return state / "builds" / build_id


def _keep(folder: Path, asked: Mapping[str, Any]) -> None:
    """Writes what was asked, or compares it with what is there."""
    path = folder / "build.json"
    now = json.loads(json.dumps(asked))
    try:
        if path.exists():
            _compare(folder.name, json.loads(path.read_text()), now)
            return
        folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(now, indent=2, ensure_ascii=False))
        os.replace(draft, path)
    except (OSError, ValueError) as error:
        raise StateNotWritten(f"can't keep the build in {str(folder)!r}: {error}") from error


def _compare(build_id: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    differing = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
    if differing:
        name = differing[0]
        raise BuildMismatch(
            f"build {build_id!r} was begun with {name} {then.get(name)!r}, not {now.get(name)!r}; "
            "resume it with what it was begun with, or leave the build id away to begin another"
        )
