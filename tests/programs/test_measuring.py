from __future__ import annotations

import asyncio
from typing import Any

import dspy
import pytest

from programs.errors import MetricError
from programs.execution import Model
from programs.measuring import Measured, measure, metric_name
from programs.metrics import exact_match
from programs.program import Metric
from tests.programs.scripted import ScriptedModel

EXAMPLE, PREDICTION = dspy.Example(answer="12"), dspy.Prediction(answer="13")


def measured(metric: Metric) -> Measured:
    return asyncio.run(measure(metric, EXAMPLE, PREDICTION))


def test_a_plain_functions_number_is_the_score() -> None:
    def half(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        return 0.5

    assert measured(half) == Measured(0.5)


def test_a_functions_prediction_brings_its_feedback() -> None:
    def judged(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> dspy.Prediction:
        return dspy.Prediction(score=0.25, feedback=f"not {prediction.answer}")

    assert measured(judged) == Measured(0.25, {}, "not 13")


def test_an_async_function_is_awaited() -> None:
    async def later(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> bool:
        await asyncio.sleep(0)
        return True

    assert measured(later).score == 1.0


def test_a_function_that_takes_a_judge_is_handed_it() -> None:
    async def asks(
        example: dspy.Example, prediction: dspy.Prediction, trace: Any = None, judge: Model | None = None
    ) -> float:
        assert judge is not None
        reply = await judge.complete([{"role": "user", "content": prediction.answer}], {"temperature": 0.0})
        return float(reply.text)

    found = asyncio.run(measure(asks, EXAMPLE, PREDICTION, judge=(model := ScriptedModel("0.75"))))
    assert (found.score, model.asked) == (0.75, [[{"role": "user", "content": "13"}]])


def test_a_functions_own_measurement_is_kept_whole() -> None:
    def whole(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> Measured:
        return Measured(0.5, {"tone": 0.0, "facts": 1.0}, "friendlier")

    assert measured(whole) == Measured(0.5, {"tone": 0.0, "facts": 1.0}, "friendlier")


@pytest.mark.parametrize("nothing", [None, "0.5", dspy.Prediction(answer="1")])
def test_what_is_no_score_is_refused_with_the_metrics_name(nothing: object) -> None:
    def forgetful(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> object:
        return nothing

    with pytest.raises(MetricError, match=r"(?s)'forgetful' gave .* a number from 0 to 1"):
        measured(forgetful)


def test_a_metric_is_called_by_its_own_name() -> None:
    assert metric_name(exact_match("answer")) == "exact_match(answer)"
