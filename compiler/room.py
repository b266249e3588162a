"""Whether a candidate's prompts fit the student's window, cut down until they do, and how long they are.

A candidate has room for its longest request, over the examples it is trained and selected with, and for the
longest reply it may get. Examples that do not fit even the program as it is count for none. An input that
only an earlier predictor's reply can give is taken to be as long as a reply may be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import dspy

from compiler.candidate import Candidate, Demo, EnsembleCandidate, NeighbourCandidate
from compiler.events import Event, Log
from compiler.window import Counting, Window
from programs.adapter import ProgramAdapter
from programs.program import Program

LONGEST = 8  # of the rows that are longest in bytes, so many are counted in tokens
Messages = list[dict[str, Any]]


class Request(NamedTuple):
    """A predictor's longest request: its inputs, what of it no row tells, and its tokens without a prompt."""

    inputs: dict[str, Any]
    untold: int
    tokens: int | None


class Sizes(NamedTuple):
    """Tokens of a prompt's constant part: instructions, then each demonstration; None if nobody counts."""

    system: int | None
    demonstrations: Sequence[int | None]

    @property
    def total(self) -> int | None:
        parts = [self.system, *self.demonstrations]
        return None if None in parts else sum(part or 0 for part in parts)


class Room:
    """What fits the window of one student, for one program and its examples."""

    def __init__(
        self,
        subject: tuple[Program, dspy.Module],
        examples: Sequence[dspy.Example],
        window: Window,
        report: Callable[[Event], None],
    ) -> None:
        self._program, self._module = subject
        self._said = self._program.sampling.max_tokens
        self._examples, self._window, self._report = examples, window, report
        self._longest: dict[str, Request | None] = {}
        self._told: set[str] = set()
        self._adapter = ProgramAdapter()

    @property
    def counting(self) -> Counting:
        """How prompts are counted here."""
        return self._window.counting

    async def fits(self, candidate: Candidate) -> Candidate | None:
        """The candidate with as many demonstrations as fit, the first ones; None if not even without."""
        if self._window.tokens is None:
            self._tell("Nobody told how many tokens the student takes: whether prompts fit is not checked.")
            return candidate
        if isinstance(candidate, EnsembleCandidate):
            fitting = [member for member in [await self.fits(m) for m in candidate.members] if member]
            if len(fitting) < 2:
                return fitting[0] if fitting else None
            return candidate if fitting == candidate.members else replace(candidate, members=fitting)
        shown = candidate
        while (unfit := await self._unfit(shown)) is not None:
            shorter = _without_last(shown, unfit)
            if shorter is None:
                self._tell(
                    f"{candidate.name}: does not fit the student's window of {self._window.tokens:,} tokens, "
                    "even without demonstrations."
                )
                return None
            shown = shorter
        if shown.demo_count < candidate.demo_count:
            kept = f"only {shown.demo_count}" if shown.demo_count else "none, so it is instructions only,"
            self._tell(
                f"{candidate.name}: of {candidate.demo_count} demonstrations {kept} fit the student's window "
                f"of {self._window.tokens:,} tokens."
            )
        return shown

    async def size(self, candidate: Candidate) -> int | None:
        """Tokens of the constant part of what one answer sends, of all its prompts together."""
        members = candidate.members if isinstance(candidate, EnsembleCandidate) else [candidate]
        sizes: list[int | None] = []
        for member in members:
            for name, predictor in self._predictors(member.longest()):
                request = await self._request(name)
                whole = await self._window.count(self._messages(predictor, request))
                sizes.append(None if whole is None or request.tokens is None else whole - request.tokens)
        return None if None in sizes else sum(size or 0 for size in sizes)

    async def sizes(self, candidate: Candidate) -> Sizes:
        """The same, part by part; of an ensemble those of its longest member."""
        system: list[int | None] = []
        demonstrations: list[int | None] = []
        for name, predictor in self._predictors(candidate.longest()):
            request = await self._request(name)
            before = request.tokens
            for shown in range(len(predictor.demos) + 1):
                messages = self._messages(predictor, request, shown)
                count = await self._window.count(messages)
                part = None if count is None or before is None else count - before
                (demonstrations if shown else system).append(part)
                before = count
        whole = None if None in system else sum(part or 0 for part in system)
        return Sizes(whole, demonstrations)

    async def _unfit(self, candidate: Candidate) -> str | None:
        """The predictor whose prompt does not fit, None when all do."""
        for name, predictor in self._predictors(candidate.longest()):
            request = await self._longest_request(name)
            if request is None:
                return name
            messages = self._messages(predictor, request)
            if not await self._window.holds(messages, self._said + request.untold):
                return name
        return None

    async def _request(self, name: str) -> Request:
        """The longest that fits, else the longest."""
        found = await self._longest_request(name)
        return found or await self._measured(name, self._by_length(name)[0])

    async def _longest_request(self, name: str) -> Request | None:
        """The longest that fits the program as it is; None when no example does."""
        if name not in self._longest:
            rows = self._by_length(name)
            first = await self._first_that_fits(name, rows)
            some = [await self._measured(name, row) for row in rows[first : first + LONGEST]]
            self._longest[name] = max(some, key=lambda request: request.tokens or 0, default=None)
            if first:
                self._tell(
                    f"{first:,} of {len(rows):,} examples to train and select with are too long for the "
                    "student's window, with any prompt."
                )
        return self._longest[name]

    async def _first_that_fits(self, name: str, rows: Sequence[dict[str, Any]]) -> int:
        """How many of the longest rows do not fit; halving, since shorter ones fit when longer ones do."""
        low, high = 0, len(rows)
        plain = dict(self._module.named_predictors())[name]
        while low < high:
            middle = (low + high) // 2 if low else 0
            request = Request(rows[middle], self._untold(plain, rows[middle]), None)
            if await self._window.holds(self._messages(plain, request, 0), self._said + request.untold):
                high = middle
            else:
                low = middle + 1
        return low

    async def _measured(self, name: str, row: dict[str, Any]) -> Request:
        predictor = dict(self._module.named_predictors())[name]
        request = Request(row, self._untold(predictor, row), None)
        # What stands before the request itself is the system message.
        alone = self._messages(predictor, request, 0)[1:]
        return request._replace(tokens=await self._window.count(alone))

    def _by_length(self, name: str) -> list[dict[str, Any]]:
        """What the examples tell of the predictor's inputs, the longest in bytes first."""
        signature = dict(self._module.named_predictors())[name].signature
        known = [
            {field: example[field] for field in signature.input_fields if field in example}
            for example in self._examples
        ]
        return sorted(known, key=lambda row: -sum(len(str(value).encode()) for value in row.values()))

    def _untold(self, predictor: dspy.Predict, row: dict[str, Any]) -> int:
        defaults = {
            field for field, info in predictor.signature.input_fields.items() if not info.is_required()
        }
        return 0 if predictor.signature.input_fields.keys() <= row.keys() | defaults else self._said

    def _predictors(self, candidate: Candidate) -> Iterator[tuple[str, dspy.Predict]]:
        yield from candidate.applied_to(self._module).named_predictors()

    def _messages(self, predictor: dspy.Predict, request: Request, shown: int | None = None) -> Messages:
        """The request with all demonstrations, or the first `shown`."""
        demos = list(predictor.demos)[:shown]
        messages: Messages = self._adapter.format(predictor.signature, demos, dict(request.inputs))
        return messages

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._report(Log(text))


def _without_last(candidate: Candidate, predictor: str) -> Candidate | None:
    """One demonstration fewer; None when there is none to leave out."""
    if isinstance(candidate, NeighbourCandidate):
        if candidate.k > 1:
            return replace(candidate, k=min(candidate.k, len(candidate.pool)) - 1)
        return Candidate(candidate.name, {predictor: ()}, candidate.instructions)
    demos: Sequence[Demo] = candidate.demos.get(predictor, ())
    if not demos:
        return None
    return replace(candidate, demos={**candidate.demos, predictor: demos[:-1]})
