"""BootstrapFewShotWithRandomSearch: many sets of demonstrations, of which the dev examples choose the best.

The candidates are DSPy's: the plain program, labelled examples, a bootstrap in the given order, and
bootstraps over shuffled examples with a random number of demonstrations.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge
from pydantic import ConfigDict

from compiler.bench import Bench
from compiler.candidate import PLAIN, Candidate
from compiler.optimizers.bootstrap import BootstrapFewShot
from compiler.optimizers.expected import Runs
from compiler.optimizers.labeled import LabeledFewShot
from compiler.optimizers.race import Race
from programs.together import together

RACED = 0.35  # of all dev runs, so many were made on average before the winner was certain; see docs/log.md
SEED_STEP = 10_000  # between the candidates' seeds of one build seed and those of the next


@dataclass(frozen=True)
class BootstrapFewShotWithRandomSearch:
    """Selects among `num_candidate_programs` shuffled bootstraps and the three plain candidates."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    max_bootstrapped_demos: Annotated[int, Ge(1)] = 4
    max_labeled_demos: Annotated[int, Ge(0)] = 4
    num_candidate_programs: Annotated[int, Ge(1)] = 8
    max_rounds: Annotated[int, Ge(1)] = 1
    metric_threshold: float | None = None

    async def optimise(self, bench: Bench) -> Candidate:
        return (await self.race(bench)).winner()

    async def race(self, bench: Bench, keep: int = 1) -> Race:
        """All candidates raced until the best `keep` of them are certain."""
        expected = self.num_candidate_programs + 3
        race = Race(bench, expected, keep)
        await together([race.run(), self._enter(race, bench)])
        return race

    def expected_runs(self, train: int, dev: int, pass_rate: float) -> Runs:
        one = self._bootstrap(self.max_bootstrapped_demos).expected_runs(train, dev, pass_rate)
        sets = self.num_candidate_programs + 1
        return Runs(taught=one.taught * sets, scored=round(RACED * dev * (sets + 2)), demos=one.demos)

    async def _enter(self, race: Race, bench: Bench) -> None:
        """Bootstraps race as they get ready; the plain ones, rarely best, join when there is a leader."""
        await together(
            self._bootstrapped(seed, race, bench) for seed in range(-1, self.num_candidate_programs)
        )
        await race.enter(0, PLAIN)
        await race.enter(1, await LabeledFewShot(k=self.max_labeled_demos).optimise(bench))
        race.close()

    async def _bootstrapped(self, seed: int, race: Race, bench: Bench) -> None:
        examples, size, name = list(bench.train), self.max_bootstrapped_demos, "bootstrapped"
        if seed >= 0:
            own = seed + SEED_STEP * bench.seed
            random.Random(own).shuffle(examples)
            size = random.Random(own).randint(1, self.max_bootstrapped_demos)
            name = f"bootstrapped {seed + 1}"
        await race.enter(seed + 3, await self._bootstrap(size).bootstrap(bench, examples, name))

    def _bootstrap(self, size: int) -> BootstrapFewShot:
        return BootstrapFewShot(size, self.max_labeled_demos, self.max_rounds, self.metric_threshold)
