"""Runs an optimiser of DSPy's beside the event loop; what it finds is never worse than the plain program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError, LMError

from compiler.bench import Bench
from compiler.candidate import PLAIN, Candidate
from compiler.errors import ModelUnusable, SearchEnded
from compiler.events import CandidateScored, Event, Log
from compiler.optimizers.crossing import Crossing, aside
from compiler.optimizers.dspy_bench import DspyBench
from compiler.optimizers.race import Race
from compiler.optimizers.tally import Tally, state_of


@dataclass(frozen=True)
class Step:
    """One of DSPy's optimisers, ready to compile with these arguments."""

    optimizer: Any
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def compile(self, module: dspy.Module) -> dspy.Module:
        best: dspy.Module = self.optimizer.compile(module, **self.arguments)
        return best


async def compiled(
    name: str, bench: Bench, prepare: Callable[[DspyBench], Step], enough: int, expected: int
) -> Candidate:
    """What DSPy's optimiser makes of the program, or the best it came by if that is better.

    `enough` dev rows are all that it gives a candidate; it makes about `expected` runs.

    Raises:
        SearchEnded: a ceiling or the target; or the proposer can't go on after something was found.
        ModelUnusable: the proposer can't go on and nothing was found yet.
    """
    bench.report(Log(told_of(bench)))
    tally = Tally(name, bench, enough, expected)

    def work(crossing: Crossing) -> dspy.Module:
        side = DspyBench(bench, crossing, tally)
        with dspy.context(**side.settings()):
            return prepare(side).compile(side.program)

    try:
        found = await aside(work)
    except (LMError, AdapterParseError) as error:
        _, best = bench.best
        why = f"{name} can't go on with what the proposer {bench.proposer.name} says: {_first_line(error)}"
        if best is None:
            raise ModelUnusable(f"{why}; name another with --proposer") from error
        raise SearchEnded(f"the search was ended: {why}") from error
    return await _best(bench, tally.candidate(state_of(found)), tally.told)


def told_of(bench: Bench) -> str:
    """Who writes the instructions."""
    if bench.proposer is not bench.student.model:
        return f"Instructions proposed by {bench.proposer.name}."
    return (
        f"Instructions proposed by {bench.proposer.name}, the student itself; a model too small to write "
        "good ones gains nothing. --proposer names another."
    )


async def _best(bench: Bench, found: Candidate, told: Set[str]) -> Candidate:
    """The best on the dev rows of what was found, what else was tried, and the plain program.

    Runs that were made before are not made again.
    """
    fitting = await bench.fits(found)
    entrants = list(dict.fromkeys([fitting or PLAIN, bench.best[0], PLAIN]))
    race = Race(_Again(bench, told), len(entrants))
    for rank, candidate in enumerate(entrants):
        await race.enter(rank, candidate)
    race.close()
    await race.run()
    winner = race.winner()
    if winner is not fitting:
        bench.report(Log(f"{found.name!r} is not the best on the dev examples; {winner.name!r} is taken."))
    return winner


class _Again:
    """A bench at whose end candidates are compared that were mostly scored, and told of, before."""

    def __init__(self, bench: Bench, told: Set[str]) -> None:
        self.dev, self.concurrency = bench.dev, bench.concurrency
        self.handicap, self.prompt_tokens = bench.handicap, bench.prompt_tokens
        self.fits, self.score = bench.fits, bench.score
        self._bench, self._told = bench, told

    def report(self, event: Event, /) -> None:
        if isinstance(event, CandidateScored) and event.name not in self._told:
            self._bench.report(event)

    def offer(self, candidate: Candidate, score: float | None = None) -> None:
        if score is not None and candidate is not self._bench.best[0]:
            self._bench.offer(candidate, score)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
