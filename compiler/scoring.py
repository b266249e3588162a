"""Scores a program on examples: one answer each, with what it took and what went wrong.

A program that fails on one example scores 0 there and the reason is kept; an engine that is gone, a ceiling
that is reached or a metric that fails on most examples ends the build.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import dspy

from compiler.calls import RecordedModel
from compiler.errors import CompilerError, MetricFailed
from compiler.evaluation.answers import Answer, Fault
from compiler.events import Event, Scored, Stage
from compiler.ledger import RecordedReply
from engine.errors import ContextWindowExceeded, EngineError, EngineRequestRefused
from engine.lm import engine_error_behind
from programs.errors import CheckFailed, LimitExceeded, ProgramError
from programs.execution import Delta, Executor, Model, Outcome, RunFailed
from programs.measuring import Measured, measure
from programs.plain_values import plain_input
from programs.program import Metric
from programs.together import in_turn

Trace = list[tuple[Any, Mapping[str, Any], Mapping[str, Any]]]
"""Calls in their order: the predictor, its inputs, its prediction."""
_NO_PARAMS: Mapping[str, object] = {}
AT_ONCE = 256  # answers begun; how many calls of them are in flight the model bounds
_METRIC_TRIES = 10  # a metric that raises on more than half of at least so many examples is broken


class Judge:
    """The program's metric, watched: it must give numbers from 0 to 1 and may fail on few examples only.

    `model` answers a metric that asks one.
    """

    def __init__(self, metric: Metric, model: Model | None = None) -> None:
        self._metric, self._model = metric, model
        self._tried = self._failed = 0
        self._last: Exception | None = None

    async def score(
        self, example: dspy.Example, outputs: Mapping[str, Any], trace: Any = None
    ) -> tuple[Measured, str | None]:
        """The score, and the metric's own error where it has one.

        Raises:
            MetricFailed: on a value that is no score, or when the metric raises on most examples.
            EngineError, CompilerError: the model that the metric asks is gone, or may not be asked more.
        """
        self._tried += 1
        try:
            measured = await measure(self._metric, example, dspy.Prediction(**outputs), trace, self._model)
        except CompilerError:
            raise
        except Exception as error:
            # An engine's error that concerns one prompt, as one that is too long, is no failure of the model.
            if isinstance(error, EngineError) and getattr(self._model, "failure", error) is not None:
                raise
            self._failed, self._last = self._failed + 1, error
            if self._tried >= _METRIC_TRIES:
                self.check()
            return Measured(0.0), f"the metric raised {type(error).__name__}: {error}"
        value = measured.score
        if not 0.0 <= value <= 1.0 or math.isnan(value):
            raise MetricFailed(f"the metric gave {value!r}; a score is a number from 0 (wrong) to 1 (right)")
        return measured, None

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
        watch = Watch(self.model)
        run = await self.run(executor, example, params, watch)
        if isinstance(run, Answer):
            return replace(run, seconds=watch.seconds)
        measured, failure = await self.judge.score(example, run.outputs, trace_of and trace_of(run))
        return Answer(
            score=measured.score,
            outputs=run.outputs,
            steps=run.steps,
            fault="metric" if failure else None,
            error=failure,
            parts=measured.parts,
            feedback=measured.feedback,
            seconds=watch.seconds,
        )

    async def run(
        self,
        executor: Executor,
        example: dspy.Example,
        params: Mapping[str, object] = _NO_PARAMS,
        model: Model | None = None,
    ) -> Outcome | Answer:
        """What the program gave, or the answer that a run without an outcome comes to."""
        try:
            outcome = await executor.run(request_inputs(executor, example), model or self.model, params)
        except CheckFailed as error:
            return Answer(0.0, error.outputs, error.steps, "check", str(error), feedback=str(error))
        except RunFailed as error:
            return Answer(0.0, {}, error.steps, "unparseable", str(error), feedback=str(error))
        except LimitExceeded as error:
            return Answer(0.0, {}, error.steps, "program", str(error), feedback=str(error))
        except Exception as error:
            if self.model.failure is not None:
                raise self.model.failure from error
            told = engine_error_behind(error) or error  # DSPy wraps what the engine said
            return Answer(0.0, {}, (), _fault(told), _sentence(told))
        if not outcome.complete:
            cut = "the token limit cut the reply"
            return Answer(0.0, outcome.outputs, outcome.steps, "cut", cut, feedback=cut)
        return outcome


class Watch:
    """A model that adds up what the calls of one run took; None until there is one.

    Of calls that are made at the same time, as those of an ensemble, the longest counts.
    """

    def __init__(self, model: RecordedModel) -> None:
        self.seconds: float | None = None
        self._model = model
        self._under_way = 0
        self._longest = 0.0

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> RecordedReply:
        self._under_way += 1
        try:
            reply = await self._model.complete(messages, params)
            self._longest = max(self._longest, reply.seconds)
            self.seconds = self.seconds or 0.0
            return reply
        finally:
            self._under_way -= 1
            if not self._under_way and self.seconds is not None:
                self.seconds += self._longest
                self._longest = 0.0

    def stream(self, messages: Sequence[object], params: Mapping[str, object]) -> AsyncGenerator[Delta]:
        return self._model.stream(messages, params)


def _fault(error: Exception) -> Fault:
    if isinstance(error, ContextWindowExceeded):
        return "too_long"
    return "refused" if isinstance(error, EngineRequestRefused) else "program"


def _sentence(error: Exception) -> str:
    ours = isinstance(error, CompilerError | EngineError | ProgramError)
    return str(error) if ours else f"{type(error).__name__}: {error}"


def request_inputs(executor: Executor, example: dspy.Example) -> dict[str, Any]:
    """The example's inputs that the program takes, as a request carries them."""
    names = {field.name for field in executor.inputs}
    return {name: plain_input(value) for name, value in example.inputs().items() if name in names}


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

    return await in_turn((one(example) for example in examples), AT_ONCE)
