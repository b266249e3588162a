from __future__ import annotations

import asyncio
from typing import Any

import dspy
import pytest

from programs.call_metrics import calls_match
from programs.measuring import measure

RED, BLUE = (
    {"name": "paint", "args": {"colour": "red", "coats": 2}},
    {"name": "paint", "args": {"colour": "blue"}},
)
OPENAI = {"id": "c1", "type": "function", "function": {"name": "paint", "arguments": '{"colour": "blue"}'}}
METRIC = calls_match("calls")


def score(label: Any, said: Any) -> float:
    return METRIC(dspy.Example(calls=label), dspy.Prediction(calls=said))


@pytest.mark.parametrize(
    ("label", "said", "expected"),
    [
        ([RED, BLUE], {"tool_calls": [BLUE, RED]}, 1.0),
        ([OPENAI], {"tool_calls": [BLUE]}, 1.0),
        ([{"name": "paint", "args": {"colour": "red", "coats": 2.0}}], [RED], 1.0),
        ([RED], [RED, RED], 0.0),
        ([RED, RED], [RED], 0.0),
        ([RED], [BLUE], 0.0),
        ([], [], 1.0),
        ([], [RED], 0.0),
        ([[RED], [BLUE]], [BLUE], 1.0),
        (dspy.ToolCalls.from_dict_list([RED]), dspy.ToolCalls.from_dict_list([RED]), 1.0),
    ],
)
def test_calls_match_by_name_and_arguments_in_any_order(label: Any, said: Any, expected: float) -> None:
    assert score(label, said) == expected


def test_what_was_expected_is_told_in_words() -> None:
    example, prediction = dspy.Example(calls=[RED]), dspy.Prediction(calls=[])
    found = asyncio.run(measure(METRIC, example, prediction))
    assert (
        found.feedback.startswith("calls: expected [\"paint({'colour': 'red'")
        and "no calls" in found.feedback
    )
