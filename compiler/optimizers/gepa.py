"""GEPA: instructions that evolve; a proposer rewrites them knowing what was wrong with a few answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import dspy
from annotated_types import Ge
from dspy.teleprompt.gepa.instruction_proposal import InstructionProposer
from dspy.teleprompt.mipro_optimizer_v2 import AUTO_RUN_SETTINGS
from pydantic import ConfigDict

from compiler.bench import Bench
from compiler.candidate import Candidate
from compiler.errors import ArgumentInvalid
from compiler.estimate import Runs
from compiler.optimizers.dspy_bench import DspyBench
from compiler.optimizers.proposing import ProposerAdapter
from compiler.optimizers.wrapped import Step, compiled

# Shares seen in searches, about: rewritten instructions that are then scored on all dev rows, and scored
# answers that were given for the first time.
ACCEPTED, NEW = 0.1, 0.75


@dataclass(frozen=True)
class GEPA:
    """Keeps every instruction that is best on some dev row, and rewrites one of them at a time.

    The budget is `auto`, "light" where nothing is said, or `max_full_evals`, or `max_metric_calls`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    auto: Literal["light", "medium", "heavy"] | None = None
    max_full_evals: Annotated[int, Ge(1)] | None = None
    max_metric_calls: Annotated[int, Ge(1)] | None = None
    reflection_minibatch_size: Annotated[int, Ge(1)] = 3
    candidate_selection_strategy: Literal["pareto", "current_best"] = "pareto"
    component_selector: Literal["round_robin", "all"] = "round_robin"
    skip_perfect_score: bool = True
    use_merge: bool = True
    max_merge_invocations: Annotated[int, Ge(0)] = 5

    def __post_init__(self) -> None:
        budgets = (self.auto, self.max_full_evals, self.max_metric_calls)
        if sum(budget is not None for budget in budgets) > 1:
            raise ArgumentInvalid("GEPA: give one of auto, max_full_evals and max_metric_calls, not several")

    async def optimise(self, bench: Bench) -> Candidate:
        expected = self.budget(len(bench.train), len(bench.dev), len(bench.predictors()))
        return await compiled("GEPA", bench, self.step, len(bench.dev), expected)

    def step(self, bench: DspyBench) -> Step:
        optimizer = dspy.GEPA(
            metric=bench.feedback,
            max_metric_calls=self.budget(len(bench.train), len(bench.dev), len(bench.program.predictors())),
            reflection_minibatch_size=self.reflection_minibatch_size,
            candidate_selection_strategy=self.candidate_selection_strategy,
            reflection_lm=bench.proposer_lm,
            skip_perfect_score=self.skip_perfect_score,
            add_format_failure_as_feedback=True,
            instruction_proposer=InstructionProposer(adapter=ProposerAdapter()),
            component_selector=self.component_selector,
            use_merge=self.use_merge,
            max_merge_invocations=self.max_merge_invocations,
            num_threads=bench.threads,
            warn_on_score_mismatch=False,
            seed=bench.seed,
        )
        return Step(optimizer, {"trainset": bench.train, "valset": bench.dev})

    def budget(self, train: int, dev: int, predictors: int) -> int:
        """Scored answers, as DSPy counts them."""
        if self.max_metric_calls is not None:
            return self.max_metric_calls
        if self.max_full_evals is not None:
            return self.max_full_evals * (train + dev)
        candidates = int(AUTO_RUN_SETTINGS[self.auto or "light"]["n"])
        trials = int(max(4 * predictors * math.log2(candidates), 1.5 * candidates))
        whole = 1 + (trials + 1) // 5 + 1 + (1 if trials < 5 else 0)
        return dev * whole + 5 * candidates + 35 * trials

    def expected_runs(self, train: int, dev: int, pass_rate: float) -> Runs:
        budget = self.budget(train, dev, 1)
        batch = self.reflection_minibatch_size
        # A rewriting takes a batch before and one after; a batch that is all right is not rewritten, and that
        # is more and more of them.
        perfect = ((1 + 2 * pass_rate) / 3) ** batch if self.skip_perfect_score else 0.0
        rounds = max(0.0, budget - dev) / (batch + (1 - perfect) * (batch + ACCEPTED * dev))
        return Runs(scored=max(dev, round(NEW * budget)), proposed=math.ceil(rounds * (1 - perfect)))
