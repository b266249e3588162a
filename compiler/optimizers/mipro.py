"""MIPROv2: instructions that a proposer writes knowing data and program, and bootstrapped demonstrations."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import dspy
from annotated_types import Ge
from dspy.teleprompt.mipro_optimizer_v2 import AUTO_RUN_SETTINGS, MIN_MINIBATCH_SIZE
from pydantic import ConfigDict

from compiler.bench import Bench
from compiler.candidate import Candidate
from compiler.errors import ArgumentInvalid, UserMistake
from compiler.estimate import Runs
from compiler.events import Log
from compiler.optimizers.dspy_bench import NO_LIMIT, DspyBench
from compiler.optimizers.wrapped import Step, compiled

DEMOS_FOR_PROPOSER = 3  # bootstrapped for the proposer's eyes where the program itself gets none
OBSERVATIONS = 9  # calls at most, after the first, in which the proposer looks at training rows


class Size(NamedTuple):
    """A search: sets of demonstrations, instructions, trials, dev rows, and rows in a trial."""

    sets: int
    instructions: int
    trials: int
    dev: int
    batch: int


@dataclass(frozen=True)
class MIPROv2:
    """Searches pairs of an instruction and a set of demonstrations; both limits 0 is instructions only.

    `auto` sizes the search, "light" where nothing is said; `num_candidates` and `num_trials` do it by hand.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    auto: Literal["light", "medium", "heavy"] | None = None
    num_candidates: Annotated[int, Ge(2)] | None = None
    num_trials: Annotated[int, Ge(1)] | None = None
    max_bootstrapped_demos: Annotated[int, Ge(0)] = 4
    max_labeled_demos: Annotated[int, Ge(0)] = 4
    minibatch: bool = True
    minibatch_size: Annotated[int, Ge(1)] = 35
    minibatch_full_eval_steps: Annotated[int, Ge(1)] = 5
    view_data_batch_size: Annotated[int, Ge(1)] = 10
    init_temperature: Annotated[float, Ge(0)] = 1.0
    metric_threshold: float | None = None

    def __post_init__(self) -> None:
        if importlib.util.find_spec("optuna") is None:
            raise UserMistake(
                "MIPROv2 needs Optuna, which is not installed: pip install 'smallforge[compiler]'"
            )
        if self.auto is not None and (self.num_candidates is not None or self.num_trials is not None):
            raise ArgumentInvalid(
                "MIPROv2: auto sizes the whole search; give either auto, or num_candidates and num_trials"
            )
        if self.max_labeled_demos and not self.max_bootstrapped_demos:
            raise ArgumentInvalid(
                "MIPROv2: max_bootstrapped_demos=0 with labelled demonstrations is no search it knows; give "
                "it at least 1, or set max_labeled_demos=0 too for instructions only"
            )

    async def optimise(self, bench: Bench) -> Candidate:
        size = self.size(len(bench.dev), len(bench.predictors()))
        if self.minibatch and self.minibatch_size > len(bench.dev):
            bench.report(
                Log(
                    f"MIPROv2: {len(bench.dev)} dev rows are fewer than minibatch_size="
                    f"{self.minibatch_size}; every trial has all of them."
                )
            )
        expected = self.expected_runs(len(bench.train), len(bench.dev), 0.5).scored
        return await compiled("MIPROv2", bench, self.step, size.dev, expected)

    def step(self, bench: DspyBench) -> Step:
        by_hand = self._by_hand
        size = self.size(len(bench.dev), len(bench.program.predictors()))
        optimizer = dspy.MIPROv2(
            metric=bench.metric,
            prompt_model=bench.proposer_lm,
            task_model=bench.student_lm,
            teacher_settings=bench.teacher_settings,
            max_bootstrapped_demos=self.max_bootstrapped_demos,
            max_labeled_demos=self.max_labeled_demos,
            auto=None if by_hand else self._auto,
            num_candidates=size.sets if by_hand else None,
            num_threads=bench.threads,
            max_errors=NO_LIMIT,
            seed=bench.seed,
            init_temperature=self.init_temperature,
            track_stats=False,
            metric_threshold=self.metric_threshold,
        )
        arguments = {
            "trainset": bench.train,
            "valset": bench.dev,
            "num_trials": size.trials if by_hand else None,
            "minibatch": size.batch < size.dev,
            "minibatch_size": size.batch,
            "minibatch_full_eval_steps": self.minibatch_full_eval_steps,
            "view_data_batch_size": self.view_data_batch_size,
        }
        return Step(optimizer, arguments)

    def size(self, dev: int, predictors: int) -> Size:
        """As DSPy has it, but for minibatches larger than the dev rows, which it refuses."""
        choices = predictors if self._instructions_only else 2 * predictors
        if self._by_hand:
            sets = instructions = self.num_candidates or int(AUTO_RUN_SETTINGS["light"]["n"])
        else:
            settings = AUTO_RUN_SETTINGS[self._auto]
            sets, dev = int(settings["n"]), min(dev, int(settings["val_size"]))
            instructions = sets if self._instructions_only else sets // 2
        trials = self.num_trials or int(max(2 * choices * math.log2(sets), 1.5 * sets))
        batched = self.minibatch and (self._by_hand or dev > MIN_MINIBATCH_SIZE)
        return Size(sets, instructions, trials, dev, min(dev, self.minibatch_size) if batched else dev)

    def expected_runs(self, train: int, dev: int, pass_rate: float) -> Runs:
        size = self.size(dev, 1)
        looks = min(OBSERVATIONS, math.ceil(train / self.view_data_batch_size) - 1)
        return Runs(
            taught=self._taught(size.sets, train, pass_rate),
            scored=self._scored(size),
            demos=max(self.max_bootstrapped_demos, self.max_labeled_demos),
            proposed=1 + looks + 1 + 3 * size.instructions,
        )

    def _taught(self, sets: int, train: int, pass_rate: float) -> int:
        """Sets but the plain and the labelled one are bootstrapped, shuffled ones at half size on average."""
        if self._instructions_only:
            # Without labelled rows the teacher's prompt is always the same, and no row is asked twice.
            tries = (sets - 1) * DEMOS_FOR_PROPOSER / pass_rate
            return round(train * (1 - math.exp(-tries / train)))
        most = self.max_bootstrapped_demos
        in_order, shuffled = (min(train, size / pass_rate) for size in (most, (1 + most) / 2))
        return round(in_order + max(0, sets - 3) * shuffled)

    def _scored(self, size: Size) -> int:
        """Runs over different rows and prompts: those that the search repeats are made once."""
        pairs = size.instructions if self._instructions_only else size.instructions * size.sets
        different = pairs * (1 - (1 - 1 / pairs) ** (size.trials + 1))
        if size.batch == size.dev:
            return round(size.dev * different)
        whole = 1 + size.trials // self.minibatch_full_eval_steps
        share = 1 - math.pow(1 - size.batch / size.dev, size.trials / different)
        return round(size.dev * (whole + max(0.0, different - whole) * share))

    @property
    def _auto(self) -> Literal["light", "medium", "heavy"]:
        return self.auto or "light"

    @property
    def _by_hand(self) -> bool:
        return self.num_candidates is not None or self.num_trials is not None

    @property
    def _instructions_only(self) -> bool:
        return not self.max_bootstrapped_demos and not self.max_labeled_demos
