"""What a build says beforehand that it will take, against what it then took, on the real engine."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import House

TOLERANCE = 0.3


@pytest.mark.parametrize("program", ["arithmetic", "order_entry", "passage_qa"])
def test_calls_and_tokens_are_foreseen_within_30_percent(house: House, program: str) -> None:
    shown = house.run("compiler", "build", program, "--mlflow-uri", "off", "--releases", "foreseen")
    assert "Estimated and taken: " in shown
    (evidence,) = (house.folder / "foreseen" / program).glob("*/evidence/*/build.json")
    build = json.loads(evidence.read_text())
    foreseen, taken = build["estimated"], build["spent"]
    ratios = {kind: foreseen[kind] / taken[kind] for kind in ("calls", "prompt_tokens", "completion_tokens")}
    assert all(1 - TOLERANCE <= ratio <= 1 + TOLERANCE for ratio in ratios.values()), ratios
    assert build["prompt"]["after"]["counting"] == "tokenizer"
