"""How far a build has come, folded from the events that it wrote down."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from pydantic import TypeAdapter, ValidationError

from compiler.event_file import RunBegan, RunEnded
from compiler.events import (
    STAGES,
    Began,
    BuildResult,
    CandidateScored,
    Described,
    Estimated,
    Event,
    Finished,
    Log,
    Scored,
    Spent,
    StageStarted,
)
from compiler.terminal import lines_of, title_of

_KINDS: dict[str, TypeAdapter[Any]] = {
    kind.__name__: TypeAdapter(kind)
    for kind in (
        Began, CandidateScored, Described, Estimated, Finished, Log, RunBegan, RunEnded, Scored, Spent,
        StageStarted,
    )
}  # fmt: skip
_ALMOST = 0.99
_SEARCH = STAGES.index("optimise")
_SEARCHED = 0.8  # when the search is over
_MOST_LINES = 2_000


class Told(NamedTuple):
    """One line of an event file, read."""

    at: str
    event: Event | RunBegan | RunEnded


class Candidate(NamedTuple):
    """A candidate of the search, after how many calls of the build it was done with."""

    scored: CandidateScored
    calls: int


@dataclass(frozen=True)
class Progress:
    """All that the events so far have told. `began` and `ended` are those of the newest run."""

    began: str | None = None
    ended_at: str | None = None
    ended: RunEnded | None = None
    ends: int = 0
    """How many runs told that they ended."""
    stage: str = "Waiting"
    stage_number: int = 0
    scored: Scored | None = None
    spent: Spent | None = None
    estimated: Estimated | None = None
    candidates: tuple[Candidate, ...] = ()
    result: BuildResult | None = None
    log: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """From 0 to 1: of a search by its calls, where it was foreseen how many there are; else by stages.

        A search often ends long before all calls that it might make, so what follows it begins further on.
        """
        if self.result is not None:
            return 1.0
        within = self.scored.done / max(1, self.scored.total) if self.scored is not None else 0.0
        after = self.stage_number - _SEARCH
        if after > 0:
            return min(
                _ALMOST, _SEARCHED + (1 - _SEARCHED) * (after - 1 + within) / (len(STAGES) - _SEARCH - 1)
            )
        if self.estimated is not None and self.estimated.calls and self.spent is not None:
            return min(_SEARCHED, self.spent.calls / self.estimated.calls)
        return (self.stage_number + within) / len(STAGES)


@dataclass
class EventReader:
    """Reads an event file on from where it was left."""

    path: Path
    progress: Progress = field(default_factory=Progress)
    offset: int = 0

    def read_on(self) -> Progress:
        for line in self._new_lines():
            told = read_line(line)
            if told is not None:
                self.progress = _after(self.progress, told)
        return self.progress

    def _new_lines(self) -> list[bytes]:
        """Whole lines only: of the last one the rest may still be on its way."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                whole = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return []
        self.offset += len(whole[0]) + len(whole[1])
        return whole[0].splitlines()


def read_line(line: bytes) -> Told | None:
    """None for a line that was cut off, or that another version wrote."""
    try:
        content = orjson.loads(line)
        return Told(content["at"], _KINDS[content["event"]].validate_python(content["said"]))
    except (ValueError, KeyError, TypeError, ValidationError):
        return None


def _after(before: Progress, told: Told) -> Progress:
    event = told.event
    match event:
        case RunBegan():
            now = Progress(began=told.at, stage="Starting", candidates=(), estimated=before.estimated)
            return replace(now, ends=before.ends, spent=before.spent, log=before.log)
        case RunEnded():
            now = replace(before, ended=event, ended_at=told.at, ends=before.ends + 1)
            return replace(now, log=_longer(before, *event.sentences))
        case StageStarted():
            title = title_of(event)
            stage = replace(before, stage=title, stage_number=STAGES.index(event.stage), scored=None)
            return replace(stage, log=_longer(before, title))
        case Scored():
            return replace(before, scored=event)
        case Spent():
            return replace(before, spent=event)
        case Finished():
            return replace(before, result=event.result)
        case Described():
            return before
    indent = "" if isinstance(event, Began) else "  "
    log = _longer(before, *(f"{indent}{line}" for line in lines_of(event)))
    if isinstance(event, CandidateScored):
        calls = 0 if before.spent is None else before.spent.calls
        return replace(before, candidates=(*before.candidates, Candidate(event, calls)), log=log)
    return (
        replace(before, estimated=event, log=log)
        if isinstance(event, Estimated)
        else replace(before, log=log)
    )


def _longer(before: Progress, *lines: str) -> tuple[str, ...]:
    return (*before.log, *lines)[-_MOST_LINES:]
