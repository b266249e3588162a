"""What the operator decides for one program: how its failed answers are asked for again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict

TEACHER = "teacher:"
MOST_RUNGS = 8


def _split(value: object) -> object:
    # A variable of the environment can't hold a list.
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Rung(NamedTuple):
    """One way to ask again: `word` is how the file writes it, `teacher` who is asked instead."""

    word: str
    kind: Literal["constrain", "retry", "teacher"]
    teacher: str | None = None


@dataclass(frozen=True)
class ProgramSettings:
    """`escalate` is asked in order while an answer can't be read or breaks a check."""

    escalate: tuple[Rung, ...] = ()


class ProgramTable(BaseModel):
    """[programs.NAME]"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    escalate: Annotated[tuple[str, ...], BeforeValidator(_split)] = ()


def programs_from(tables: Mapping[str, ProgramTable]) -> dict[str, ProgramSettings]:
    return {name: ProgramSettings(tuple(map(_rung, table.escalate))) for name, table in tables.items()}


def programs_mistakes(tables: Mapping[str, ProgramTable], teachers: set[str]) -> Iterator[str]:
    """`teachers` are the configured students and teachers; any name with a slash is a model by itself."""
    for name, table in tables.items():
        place = f"programs.{name}.escalate"
        if "@" in name:
            yield f"programs.{name!r}: what is said here holds for all releases of a program"
        if len(table.escalate) > MOST_RUNGS:
            yield f"{place} has {len(table.escalate)} rungs; allowed are {MOST_RUNGS}"
        for word in table.escalate:
            teacher = word.removeprefix(TEACHER)
            if word in ("constrain", "retry"):
                continue
            if teacher == word:
                yield f"{place}: {word!r} is no rung; write 'constrain', 'retry' or 'teacher:NAME'"
            elif teacher not in teachers and "/" not in teacher:
                known = ", ".join(repr(known) for known in sorted(teachers)) or "none"
                yield f"{place}: there is no teacher {teacher!r}; configured: {known}"


def _rung(word: str) -> Rung:
    if word.startswith(TEACHER):
        return Rung(word, "teacher", word.removeprefix(TEACHER))
    return Rung(word, "constrain" if word == "constrain" else "retry")
