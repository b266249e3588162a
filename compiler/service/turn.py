"""One turn of a conversation with both sides: the program as it was written, and a release of it.

Both answer at the same time. What one of them can't do is its own problem: the other one goes on.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

from compiler.service.asking import Form, Said, answering, inputs_of
from compiler.service.errors import ServiceError
from compiler.service.students import Students
from engine.errors import EngineError
from programs.errors import ProgramError
from programs.interleaving import interleaved
from programs.reader import FieldDelta

_log = logging.getLogger(__name__)
Place = Literal["plain", "compiled"]
TITLES: Mapping[Place, str] = {"plain": "Unoptimised", "compiled": "Compiled"}


@dataclass(frozen=True)
class Pair:
    """A release, and its program without it; `plain` is None where the program is not installed."""

    compiled: Form
    plain: Form | None
    why_no_plain: str = ""

    def forms(self) -> dict[Place, Form]:
        """Those that can be asked, in the order in which they are shown."""
        return (
            {"compiled": self.compiled}
            if self.plain is None
            else {"plain": self.plain, "compiled": self.compiled}
        )


@dataclass(frozen=True)
class Side:
    """What one side is asked."""

    place: Place
    form: Form
    inputs: Mapping[str, Any]

    @property
    def title(self) -> str:
        return TITLES[self.place]

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs whose texts are shown as they are made."""
        return [one.name for one in self.form.executor.outputs]


@dataclass(frozen=True)
class Ended:
    """How a side ended: what it said, or why it did not say more than the texts."""

    side: Side
    said: Said | None = None
    problem: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)


def sides_of(
    pair: Pair, given: Mapping[str, str], earlier: Mapping[Place, Sequence[Mapping[str, Any]]]
) -> list[Side]:
    """Each side with its own earlier turns, where its program takes any.

    Raises:
        RequestInvalid: an input is missing or is no value of its kind.
    """
    return [
        Side(place, form, inputs_of(form, given, earlier[place] if form.executor.chat.history else ()))
        for place, form in pair.forms().items()
    ]


async def answers(
    sides: Sequence[Side], students: Students, student: str | None
) -> AsyncGenerator[tuple[Side, FieldDelta | Ended]]:
    """The texts of both as they come, and how each ended."""
    async with aclosing(interleaved([_answer(side, students, student) for side in sides])) as pieces:
        async for number, piece in pieces:
            yield sides[number], piece


async def _answer(side: Side, students: Students, student: str | None) -> AsyncGenerator[FieldDelta | Ended]:
    texts: dict[str, str] = {}
    try:
        async with aclosing(answering(side.form, side.inputs, students, student)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Said):
                    yield Ended(side, piece)
                else:
                    texts[piece.field] = texts.get(piece.field, "") + piece.text
                    yield piece
    except (ServiceError, EngineError, ProgramError) as error:
        yield Ended(side, problem=str(error), texts=texts)
    except Exception as error:  # noqa: BLE001 -- the code of a program can raise anything
        _log.error("the code of %s failed", side.form.name, exc_info=error)
        failed = f"The program's own code failed ({type(error).__name__}); the server's log says where."
        yield Ended(side, problem=failed, texts=texts)
