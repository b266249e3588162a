"""Finds the candidates with the best means on the dev examples without running all of them on all.

Exact: with N examples, a candidate that has lost L and is handicapped by H can end no better than L + N * H,
and one that has lost M with R examples left no worse than M + R + N * K. When as many others as are sought
stay surely ahead in this way, a candidate is dropped; so the winners are those that full scoring would give.
The next examples go to the candidate that is least behind, a block at a time so that the engine's prefix
cache holds its prompt; examples that others lost come first, since they tell soonest.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import dspy

from compiler.candidate import PLAIN, Candidate
from compiler.evaluation.answers import Answer
from compiler.events import CandidateScored, Event, Scored
from programs.together import together

_EXACT = 1e-9  # sums of scores that differ by less are the same


class Ground(Protocol):
    """What a race is run on; a `Bench` is one."""

    @property
    def dev(self) -> tuple[dspy.Example, ...]: ...
    @property
    def concurrency(self) -> int: ...
    @property
    def report(self) -> Callable[[Event], None]: ...
    def offer(self, candidate: Candidate, score: float | None = None) -> None: ...
    def handicap(self, candidate: Candidate) -> float: ...
    def prompt_tokens(self, candidate: Candidate) -> int | None: ...
    async def fits(self, candidate: Candidate) -> Candidate | None: ...
    async def score(self, candidate: Candidate, example: dspy.Example) -> Answer: ...


@dataclass(eq=False)
class Entrant:
    """A candidate in the race; of two that are equal the lower rank wins.

    `handicap` is what its prompt's length takes from its score, over all examples.
    """

    rank: int
    candidate: Candidate
    waiting: set[int]
    handicap: float = 0.0
    scores: dict[int, float] = field(default_factory=dict)
    lost: float = 0.0
    out: bool = False
    told: bool = False

    @property
    def behind(self) -> float:
        return self.lost + self.handicap

    @property
    def outlook(self) -> float:
        """What it will about lose of an example, one lost and one won added to what is known."""
        known = len(self.scores)
        return (self.lost + 1) / (known + 2) + self.handicap / (known + len(self.waiting))


class Race:
    """Candidates may enter while it runs; it ends when all have entered and the winner is certain.

    Those that were run on all examples are offered with their scores; when the race is ended early, the one
    that does best so far is offered without.
    """

    def __init__(self, ground: Ground, expected: int, keep: int = 1) -> None:
        """`expected` is how many candidates will enter; it only makes the progress right.

        `keep` is how many of the best are sought.
        """
        self._ground, self._expected, self._keep = ground, expected, keep
        self._examples = ground.dev
        self._entrants: list[Entrant] = []
        # How much was lost of how much, by example; half a loss in one run before anything is known.
        self._lost_of = [(0.5, 1.0)] * len(self._examples)
        self._current: Entrant | None = None
        self._block: list[int] = []
        self._closed = False
        self._news = asyncio.Event()

    async def enter(self, rank: int, candidate: Candidate) -> None:
        """One whose prompt does not fit is cut down, or stays out."""
        fitting = await self._ground.fits(candidate)
        if fitting is None:
            return
        everything = set(range(len(self._examples)))
        handicap = self._ground.handicap(fitting) * len(everything)
        self._entrants.append(Entrant(rank, fitting, everything, handicap))
        self._news.set()

    def close(self) -> None:
        """No more candidates will enter."""
        self._closed = True
        self._news.set()

    async def run(self) -> None:
        """Returns when the winner is certain."""
        try:
            await together(self._work() for _ in range(self._ground.concurrency))
        finally:
            begun = [entrant for entrant in self._entrants if entrant.scores and not entrant.out]
            if begun:
                self._ground.offer(min(begun, key=lambda e: (e.outlook, e.rank)).candidate)

    def winner(self) -> Candidate:
        return self._leader().candidate if self._entrants else PLAIN

    def best(self) -> list[tuple[Candidate, float]]:
        """The candidates that are sought, with their scores on all examples, the winner first."""
        done = [e for e in self._entrants if len(e.scores) == len(self._examples)]
        ranked = sorted(done, key=lambda e: (e.behind, e.rank))[: self._keep]
        return [(e.candidate, 1.0 - e.lost / len(self._examples)) for e in ranked]

    async def _work(self) -> None:
        while True:
            turn = self._next()
            if turn is not None:
                await self._take(*turn)
            elif self._closed:
                return
            else:
                self._news.clear()
                await self._news.wait()

    def _next(self) -> tuple[Entrant, int] | None:
        """Whose turn it is, on which example."""
        current = self._current
        if current is None or not self._block or current.out:
            ready = [entrant for entrant in self._entrants if entrant.waiting and not entrant.out]
            if not ready:
                return None
            current = self._current = min(ready, key=lambda e: (e.behind, len(e.waiting), e.rank))
            # Half of what runs at once: smaller blocks waste less on losers, larger ones fewer prefixes.
            size = max(1, self._ground.concurrency // 2)
            hardest = heapq.nsmallest(size, current.waiting, key=lambda i: (-self._hardness(i), i))
            self._block = hardest[::-1]
        example = self._block.pop()
        current.waiting.remove(example)
        return current, example

    async def _take(self, entrant: Entrant, index: int) -> None:
        answer = await self._ground.score(entrant.candidate, self._examples[index])
        entrant.scores[index] = answer.score
        entrant.lost += 1.0 - answer.score
        lost, runs = self._lost_of[index]
        self._lost_of[index] = (lost + 1.0 - answer.score, runs + 1.0)
        self._drop_hopeless()
        self._tell(entrant)

    def _hardness(self, index: int) -> float:
        """The share of its runs that lost an example."""
        lost, runs = self._lost_of[index]
        return lost / runs

    def _drop_hopeless(self) -> None:
        for entrant in self._entrants:
            better = sum(self._surely_beats(other, entrant) for other in self._entrants)
            if not entrant.out and better >= self._keep:
                entrant.out = True
                self._tell_end(entrant, dropped=len(entrant.scores) < len(self._examples))

    def _surely_beats(self, one: Entrant, other: Entrant) -> bool:
        """Whether `one` wins over `other` even if it loses all it has left and `other` nothing more."""
        most_behind = one.behind + len(self._examples) - len(one.scores)
        if one is other or most_behind > other.behind + _EXACT:
            return False
        return most_behind < other.behind - _EXACT or one.rank < other.rank

    def _tell(self, entrant: Entrant) -> None:
        total = max(self._expected, len(self._entrants)) * len(self._examples)
        spared = sum(len(e.waiting) for e in self._entrants if e.out)
        done = sum(len(e.scores) for e in self._entrants) + spared
        leader = self._leader()
        # The rows that tell most come first: until one candidate has had all, only the mean over all is fair.
        one = [leader] if len(leader.scores) == len(self._examples) else self._entrants
        mean = 1.0 - sum(e.lost for e in one) / sum(len(e.scores) for e in one)
        self._ground.report(Scored("optimise", done, total, mean, leader.candidate.name))
        if len(entrant.scores) == len(self._examples):
            self._tell_end(entrant, dropped=False)
            self._ground.offer(entrant.candidate, 1.0 - entrant.lost / len(self._examples))

    def _tell_end(self, entrant: Entrant, dropped: bool) -> None:
        if entrant.told:
            return
        entrant.told = True
        candidate, score = entrant.candidate, 1.0 - entrant.lost / len(self._examples)
        best = not dropped and self._leader() is entrant
        tokens = self._ground.prompt_tokens(candidate)
        self._ground.report(
            CandidateScored(
                candidate.name, score, len(entrant.scores), best, dropped, tokens, candidate.demo_count
            )
        )

    def _leader(self) -> Entrant:
        """The best that is done; while none is, the one that is least behind."""
        done = [e for e in self._entrants if len(e.scores) == len(self._examples)]
        return min(done or self._entrants, key=lambda e: (e.behind, e.rank))


async def score_alone(candidate: Candidate, ground: Ground) -> tuple[Candidate, float]:
    """The candidate, cut down until it fits, and its mean; PLAIN and 0 where it never fits."""
    race = Race(ground, 1)
    await race.enter(0, candidate)
    race.close()
    await race.run()
    return race.best()[0] if race.best() else (PLAIN, 0.0)
