"""Finds the candidates with the best means on the dev examples without running all of them on all.

Exact: a candidate is dropped only when the examples it has left cannot lift it above the certain scores of
as many others as are sought, so the winners are those that full scoring would give. The next examples go to
the candidate that has lost least, a block at a time so that the engine's prefix cache holds its prompt;
examples that others lost come first, since they tell soonest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import dspy

from compiler.answers import Answer
from compiler.candidate import Candidate
from compiler.events import CandidateScored, Event, Scored
from compiler.together import together

_EXACT = 1e-9  # sums of scores that differ by less are the same
Score = Callable[[Candidate, dspy.Example], Awaitable[Answer]]


@dataclass(eq=False)
class Entrant:
    """A candidate in the race; of two with the same score the lower rank wins."""

    rank: int
    candidate: Candidate
    waiting: set[int]
    scores: dict[int, float] = field(default_factory=dict)
    lost: float = 0.0
    out: bool = False
    told: bool = False


class Race:
    """Candidates may enter while it runs; it ends when all have entered and the winner is certain."""

    def __init__(
        self,
        examples: tuple[dspy.Example, ...],
        score: Score,
        concurrency: int,
        expected: int,
        report: Callable[[Event], None],
        keep: int = 1,
    ) -> None:
        """`expected` is how many candidates will enter; it only makes the progress right.

        `keep` is how many of the best are sought.
        """
        self._examples, self._score, self._report = examples, score, report
        self._concurrency, self._expected, self._keep = concurrency, expected, keep
        self._entrants: list[Entrant] = []
        # How much was lost of how much, by example; half a loss in one run before anything is known.
        self._lost_of = [(0.5, 1.0)] * len(examples)
        self._current: Entrant | None = None
        self._left_in_block = 0
        self._closed = False
        self._news = asyncio.Event()

    def enter(self, rank: int, candidate: Candidate) -> None:
        self._entrants.append(Entrant(rank, candidate, set(range(len(self._examples)))))
        self._news.set()

    def close(self) -> None:
        """No more candidates will enter."""
        self._closed = True
        self._news.set()

    async def run(self) -> None:
        """Returns when the winner is certain."""
        await together(self._work() for _ in range(self._concurrency))

    def winner(self) -> Candidate:
        return self._leader().candidate

    def best(self) -> list[tuple[Candidate, float]]:
        """The candidates that are sought, with their scores on all examples, the winner first."""
        done = [e for e in self._entrants if len(e.scores) == len(self._examples)]
        ranked = sorted(done, key=lambda e: (e.lost, e.rank))[: self._keep]
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
        if current is None or not self._left_in_block or current.out or not current.waiting:
            ready = [entrant for entrant in self._entrants if entrant.waiting and not entrant.out]
            if not ready:
                return None
            current = self._current = min(ready, key=lambda e: (e.lost, len(e.waiting), e.rank))
            # Half of what runs at once: smaller blocks waste less on losers, larger ones fewer prefixes.
            self._left_in_block = max(1, self._concurrency // 2)
        self._left_in_block -= 1
        example = max(current.waiting, key=lambda index: (self._hardness(index), -index))
        current.waiting.remove(example)
        return current, example

    async def _take(self, entrant: Entrant, index: int) -> None:
        answer = await self._score(entrant.candidate, self._examples[index])
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
        most_lost = one.lost + len(self._examples) - len(one.scores)
        if one is other or most_lost > other.lost + _EXACT:
            return False
        return most_lost < other.lost - _EXACT or one.rank < other.rank

    def _tell(self, entrant: Entrant) -> None:
        total = max(self._expected, len(self._entrants)) * len(self._examples)
        spared = sum(len(e.waiting) for e in self._entrants if e.out)
        done = sum(len(e.scores) for e in self._entrants) + spared
        leader = self._leader()
        # The rows that tell most come first: until one candidate has had all, only the mean over all is fair.
        one = [leader] if len(leader.scores) == len(self._examples) else self._entrants
        mean = 1.0 - sum(e.lost for e in one) / sum(len(e.scores) for e in one)
        self._report(Scored("optimise", done, total, mean, leader.candidate.name))
        if len(entrant.scores) == len(self._examples):
            self._tell_end(entrant, dropped=False)

    def _tell_end(self, entrant: Entrant, dropped: bool) -> None:
        if entrant.told:
            return
        entrant.told = True
        score = 1.0 - entrant.lost / len(self._examples)
        best = not dropped and self._leader() is entrant
        self._report(CandidateScored(entrant.candidate.name, score, len(entrant.scores), best, dropped))

    def _leader(self) -> Entrant:
        """The best that is done; while none is, the one with the least lost."""
        done = [e for e in self._entrants if len(e.scores) == len(self._examples)]
        return min(done or self._entrants, key=lambda e: (e.lost, e.rank))


async def score_alone(
    candidate: Candidate,
    examples: tuple[dspy.Example, ...],
    score: Score,
    concurrency: int,
    report: Callable[[Event], None],
) -> float:
    """The mean of a candidate that races against none."""
    race = Race(examples, score, concurrency, 1, report)
    race.enter(0, candidate)
    race.close()
    await race.run()
    ((_, mean),) = race.best()
    return mean
