"""LabeledFewShot: demonstrations drawn from the training examples as they are."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import dspy
from annotated_types import Ge
from pydantic import ConfigDict

from compiler.bench import Bench
from compiler.candidate import Candidate, Demo, demo_of
from compiler.optimizers.expected import Runs


@dataclass(frozen=True)
class LabeledFewShot:
    """Shows `k` training examples; asks no model."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    k: Annotated[int, Ge(1)] = 16

    async def optimise(self, bench: Bench) -> Candidate:
        drawn = draw(bench.predictors(), bench.train, self.k, random.Random(bench.seed))
        return Candidate("labelled", labelled_demos(bench.predictors(), drawn))

    def expected_runs(self, train: int, dev: int, pass_rate: float) -> Runs:
        return Runs(demos=self.k)


Drawn = Mapping[str, Sequence[dspy.Example]]


def draw(
    predictors: Mapping[str, dspy.Predict], examples: Sequence[dspy.Example], k: int, rng: random.Random
) -> Drawn:
    """For each predictor its own `k` examples."""
    return {name: rng.sample(examples, min(k, len(examples))) for name in predictors}


def labelled_demos(predictors: Mapping[str, dspy.Predict], drawn: Drawn) -> dict[str, list[Demo]]:
    return {
        name: [demo_of(dict(example.items()), predictors[name].signature) for example in examples]
        for name, examples in drawn.items()
    }
