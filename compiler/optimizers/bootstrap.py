"""BootstrapFewShot: demonstrations that the teacher worked out itself and the metric passed.

Gives what DSPy's optimiser of the same name gives, but asks for several examples at a time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import dspy
from annotated_types import Ge
from pydantic import ConfigDict

from compiler.bench import Bench, Shown
from compiler.candidate import Candidate, Demo
from compiler.optimizers.expected import Runs
from compiler.optimizers.labeled import Drawn, draw, labelled_demos
from programs.data import content_key
from programs.together import together

RETRY_TEMPERATURE = 1.0  # a second round at temperature 0 would say the same again


@dataclass(frozen=True)
class BootstrapFewShot:
    """Up to `max_bootstrapped_demos` worked examples, filled up to `max_labeled_demos` with plain ones."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    max_bootstrapped_demos: Annotated[int, Ge(0)] = 4
    max_labeled_demos: Annotated[int, Ge(0)] = 16
    max_rounds: Annotated[int, Ge(1)] = 1
    metric_threshold: float | None = None

    async def optimise(self, bench: Bench) -> Candidate:
        return await self.bootstrap(bench, bench.train, "bootstrapped")

    def expected_runs(self, train: int, dev: int, pass_rate: float) -> Runs:
        tries = min(train, self.max_bootstrapped_demos / pass_rate) * self.max_rounds
        return Runs(taught=round(tries), demos=max(self.max_bootstrapped_demos, self.max_labeled_demos))

    async def bootstrap(self, bench: Bench, examples: Sequence[dspy.Example], name: str) -> Candidate:
        """Demonstrations from the first examples that are passed, filled up with plain ones."""

        def made_of(shown: Mapping[int, Shown]) -> Candidate:
            rest = [example for index, example in enumerate(examples) if index not in shown]
            return Candidate(name, self._demos(bench, list(shown.values()), rest))

        shown = await self.work_through(bench, examples, lambda found: bench.offer(made_of(found)))
        return made_of(shown)

    async def work_through(
        self,
        bench: Bench,
        examples: Sequence[dspy.Example],
        tell: Callable[[Mapping[int, Shown]], None] | None = None,
    ) -> dict[int, Shown]:
        """What the teacher shows of the examples, in their order, until enough of them are passed.

        `tell` is given what there is so far, as often as there is more.
        """
        predictors = bench.predictors()
        drawn = draw(predictors, examples, self.max_labeled_demos, random.Random(bench.seed))
        teacher = Candidate("teacher", labelled_demos(predictors, drawn))
        shown: dict[int, Shown] = {}
        begun = 0
        while len(shown) < self.max_bootstrapped_demos and begun < len(examples):
            # As many at a time as are still missing: never one more than going one by one would take.
            batch = range(begun, min(begun + self.max_bootstrapped_demos - len(shown), len(examples)))
            runs = await together(
                self._show(bench, _without(examples[index], predictors, drawn, teacher), examples[index])
                for index in batch
            )
            shown |= {index: run for index, run in zip(batch, runs, strict=True) if run is not None}
            begun = batch.stop
            if tell is not None:
                tell(shown)
        return shown

    async def _show(self, bench: Bench, teacher: Candidate, example: dspy.Example) -> Shown | None:
        for attempt in range(self.max_rounds):
            temperature = RETRY_TEMPERATURE if attempt else None
            shown = await bench.show(teacher, example, self.metric_threshold, temperature)
            if shown is not None:
                return shown
        return None

    def _demos(self, bench: Bench, shown: Sequence[Shown], rest: list[dspy.Example]) -> dict[str, list[Demo]]:
        """Each predictor's worked demonstrations, then plain ones while there is room."""
        random.Random(bench.seed).shuffle(rest)
        rng = random.Random(bench.seed)
        demos: dict[str, list[Demo]] = {}
        for name, predictor in bench.predictors().items():
            worked = [run[name] for run in shown if name in run]
            room = max(0, min(self.max_labeled_demos - len(worked), len(rest)))
            plain = labelled_demos({name: predictor}, {name: rng.sample(rest, room)})
            demos[name] = [*worked, *plain[name]]
        return demos


def _without(
    example: dspy.Example, predictors: Mapping[str, dspy.Predict], drawn: Drawn, teacher: Candidate
) -> Candidate:
    """The teacher that is not shown the example it has to solve."""
    key = content_key(example)
    others = {name: [e for e in picked if content_key(e) != key] for name, picked in drawn.items()}
    if all(len(others[name]) == len(picked) for name, picked in drawn.items()):
        return teacher
    return Candidate(teacher.name, labelled_demos(predictors, others))
