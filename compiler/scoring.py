"""Scores a program on examples: one answer each, with what it took and what went wrong.

A program that fails on one example scores 0 there and the reason is kept; an engine that is gone, a ceiling
that is reached or a metric that fails on most examples ends the build.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import dspy

from compiler.calls import RecordedModel
from compiler.errors import CompilerError, MetricFailed
from compiler.events import Event, Scored, ScoreSummary, Stage
from compiler.ledger import RecordedUsage
from compiler.statistics import mean_interval
from compiler.together import together
from engine.errors import EngineError
from programs.execution import Executor, Outcome, PlanExecutor, RunFailed, Step
from programs.program import Metric

_Number = TypeVar("_Number", int, float)
Trace = list[tuple[Any, Mapping[str, Any], Mapping[str, Any]]]
"""Calls in their order: the predictor, its inputs, its prediction."""
_NO_PARAMS: Mapping[str, object] = {}
Fault = Literal["unparseable", "cut", "program", "metric"]
_METRIC_TRIES = 10  # a metric that raises on more than half of at least so many examples is broken


@dataclass(frozen=True)
class Answer:
    """What the program made of one example."""

    score: float
    outputs: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    fault: Fault | None = None
    error: str | None = None

    @property
    def prompt_tokens(self) -> int | None:
        return _total(step.usage.prompt_tokens if step.usage else None for step in self.steps)

    @property
    def completion_tokens(self) -> int | None:
        return _total(step.usage.completion_tokens if step.usage else None for step in self.steps)

    @property
    def usd(self) -> float | None:
        return _total(
            step.usage.usd if isinstance(step.usage, RecordedUsage) else None for step in self.steps
        )


class Judge:
    """The program's metric, watched: it must give numbers from 0 to 1 and may fail on few examples only."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._tried = self._failed = 0
        self._last: Exception | None = None

    def score(
        self, example: dspy.Example, outputs: Mapping[str, Any], trace: Any = None
    ) -> tuple[float, str | None]:
        """The score, and the metric's own error where it has one.

        Raises:
            MetricFailed: on a value that is no score, or when the metric raises on most examples.
        """
        self._tried += 1
        try:
            value = float(self._metric(example, dspy.Prediction(**outputs), trace))
        except Exception as error:  # noqa: BLE001 - the metric is the user's code
            self._failed, self._last = self._failed + 1, error
            if self._tried >= _METRIC_TRIES:
                self.check()
            return 0.0, f"the metric raised {type(error).__name__}: {error}"
        if not 0.0 <= value <= 1.0 or math.isnan(value):
            raise MetricFailed(f"the metric gave {value!r}; a score is a number from 0 (wrong) to 1 (right)")
        return value, None

    def check(self) -> None:
        """Raises MetricFailed when the metric raised on most examples so far."""
        if self._last is not None and self._failed * 2 > self._tried:
            raise MetricFailed(
                f"the metric raised on {self._failed} of {self._tried} examples, last "
                f"{type(self._last).__name__}: {self._last}; mend it, then run the build again"
            ) from self._last


class Scorer:
    """Runs executors on examples with one model, and judges what they say."""

    def __init__(self, judge: Judge, model: RecordedModel) -> None:
        self.judge = judge
        self.model = model

    async def answer(
        self,
        executor: Executor,
        example: dspy.Example,
        params: Mapping[str, object] = _NO_PARAMS,
        trace_of: Callable[[Outcome], Trace] | None = None,
    ) -> Answer:
        """One judged answer; `trace_of` gives the metric the run's calls, as DSPy does when it bootstraps.

        Raises:
            EngineError, CompilerError: what would fail on every example.
        """
        try:
            outcome = await executor.run(request_inputs(executor, example), self.model, params)
        except RunFailed as error:
            return Answer(0.0, {}, error.steps, "unparseable", str(error))
        except (CompilerError, EngineError) as error:
            if self.model.failure is not None:
                raise self.model.failure from error
            return Answer(0.0, {}, (), "program", str(error))
        except Exception as error:
            if self.model.failure is not None:
                raise self.model.failure from error
            return Answer(0.0, {}, (), "program", f"{type(error).__name__}: {error}")
        if not outcome.complete:
            return Answer(0.0, outcome.outputs, outcome.steps, "cut", "the token limit cut the reply")
        score, failure = self.judge.score(example, outcome.outputs, trace_of and trace_of(outcome))
        return Answer(score, outcome.outputs, outcome.steps, "metric" if failure else None, failure)


def request_inputs(executor: Executor, example: dspy.Example) -> dict[str, Any]:
    """The example's inputs that the program takes, past turns as the list that a request carries."""
    names = {field.name for field in executor.inputs}
    turns_of = executor.plan.history if isinstance(executor, PlanExecutor) else executor.chat.history
    values = {}
    for name, value in example.inputs().items():
        if name in names:
            values[name] = (
                list(value.messages) if name == turns_of and isinstance(value, dspy.History) else value
            )
    return values


def summarise(answers: Sequence[Answer], seed: int = 0) -> ScoreSummary:
    interval = mean_interval([answer.score for answer in answers], seed)
    faults = [answer.fault for answer in answers]
    return ScoreSummary(
        mean=interval.mean,
        n=len(answers),
        low=interval.low,
        high=interval.high,
        unparseable=faults.count("unparseable"),
        errors=faults.count("program") + faults.count("metric"),
        tokens_per_answer=_mean(answers, lambda answer: answer.completion_tokens),
        usd_per_answer=_mean(answers, lambda answer: answer.usd),
        cut=faults.count("cut"),
        prompt_tokens_per_answer=_mean(answers, lambda answer: answer.prompt_tokens),
    )


def _mean(answers: Sequence[Answer], amount: Callable[[Answer], float | None]) -> float | None:
    """The mean over all answers that reached the model; None if one of them was not counted."""
    amounts = [amount(answer) for answer in answers if answer.steps]
    known = [value for value in amounts if value is not None]
    return sum(known) / len(known) if known and len(known) == len(amounts) else None


def _total(amounts: Iterable[_Number | None]) -> _Number | None:
    total = None
    for amount in amounts:
        if amount is None:
            return None
        total = amount if total is None else total + amount
    return total


async def score_all(
    scorer: Scorer,
    executor: Executor,
    examples: Sequence[dspy.Example],
    stage: Stage,
    report: Callable[[Event], None],
) -> list[Answer]:
    """Answers to all examples, in their order."""
    scores: list[float] = []

    async def one(example: dspy.Example) -> Answer:
        answer = await scorer.answer(executor, example)
        scores.append(answer.score)
        report(Scored(stage, len(scores), len(examples), sum(scores) / len(scores)))
        return answer

    return await together(one(example) for example in examples)
