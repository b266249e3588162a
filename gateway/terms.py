"""What a client sets for its own request by header: when it must be over, and what it may cost.

The ceiling is looked at before each step: a step that began is paid for, and none begins once those before it
have reached the ceiling.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from gateway.errors import DeadlinePassed, Header, RequestInvalid
from gateway.visit import DEADLINE, MAX_USD

if TYPE_CHECKING:
    from gateway.accounting.cost import MeteredStudent

T = TypeVar("T")
_DEADLINE, _MAX_USD = DEADLINE.decode(), MAX_USD.decode()
_MILLISECONDS = re.compile(rb"[1-9]\d{0,8}")
_USD = re.compile(rb"\d{1,6}(\.\d{1,12})?")


@dataclass(frozen=True)
class Terms:
    """`seconds` are counted from the request's coming, `usd` by its student; None is no bound."""

    seconds: float | None
    usd: float | None
    student: MeteredStudent

    async def keep(self, work: Awaitable[T], started: float) -> T:
        """What the work gives, if that keeps the terms.

        Raises:
            DeadlinePassed: it was not done in time; what it had asked of engines is cancelled.
            CostCeilingReached: a step was not begun, whatever the program made of that.
        """
        student = self.student
        student.max_usd = self.usd
        left = None if self.seconds is None else self.seconds - (perf_counter() - started)
        limit = asyncio.timeout(left)
        try:
            async with limit:
                result = await work
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                raise DeadlinePassed(
                    f"The request's own deadline, {_DEADLINE}, passed before its answer was complete."
                ) from error
            if student.stopped is not None and student.stopped is not error:
                raise student.stopped from error
            raise
        if student.stopped is not None:
            raise student.stopped
        return result


def read_terms(headers: Sequence[Header], student: MeteredStudent) -> Terms | None:
    """The terms in a request's headers, the first of each name; None where there are none.

    Raises RequestInvalid for those that can't be read, and for a ceiling where no price is known.
    """
    said = dict(reversed(headers))
    deadline, max_usd = said.get(DEADLINE), said.get(MAX_USD)
    if deadline is None and max_usd is None:
        return None
    if deadline is not None and not _MILLISECONDS.fullmatch(deadline):
        raise RequestInvalid(f"{_DEADLINE} must be a whole number of milliseconds, as 2000.", param=_DEADLINE)
    if max_usd is not None and not _USD.fullmatch(max_usd):
        raise RequestInvalid(f"{_MAX_USD} must be a number of US dollars, as 0.002.", param=_MAX_USD)
    if max_usd is not None and not student.priced:
        raise RequestInvalid(
            f"{_MAX_USD} can't be kept: what this model's engine costs is not known here.",
            param=_MAX_USD,
            code="price_unknown",
        )
    seconds = None if deadline is None else int(deadline) / 1000
    return Terms(seconds, None if max_usd is None else float(max_usd), student)
