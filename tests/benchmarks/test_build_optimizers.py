from __future__ import annotations

import json

import pytest

from benchmarks.build import BenchmarkFailed, Side
from benchmarks.build_optimizers import ROWS, Run, chosen, count_answered, summarise, table
from benchmarks.rivals.proposer import Proposer
from benchmarks.rivals.stock_optimizer import OPTIMIZERS
from compiler.optimizers.table import make_optimizer

METRICS = """
# TYPE vllm:request_success_total counter
vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"} 120.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="m"} 3.0
vllm:request_success_created{engine="0",finished_reason="stop",model_name="m"} 1.7e+09
"""


def one(side: Side, seconds: float, calls: int, name: str = "COPRO") -> Run:
    return Run(name, side, 0, seconds, calls, seconds + 5, 4, 0.2, 0.8)


def test_every_row_is_one_that_both_sides_know() -> None:
    for name, row in ROWS.items():
        assert name in OPTIMIZERS
        make_optimizer(name, row.arguments)


def test_rows_are_chosen_by_name() -> None:
    assert chosen(None) == list(ROWS) and chosen("GEPA, COPRO") == ["GEPA", "COPRO"]
    with pytest.raises(BenchmarkFailed, match="no row 'COPR': there are LabeledFewShot"):
        chosen("COPR")


def test_calls_are_those_that_the_engine_counts() -> None:
    assert count_answered(METRICS) == 123
    with pytest.raises(BenchmarkFailed, match="needs vLLM"):
        count_answered("")


@pytest.mark.parametrize(
    ("seconds", "calls", "reached"), [(10.4, 100, True), (10.6, 90, False), (5.0, 101, False)]
)
def test_a_wrapped_optimiser_may_take_no_more_time_and_no_more_calls(
    seconds: float, calls: int, reached: bool
) -> None:
    row = summarise("COPRO", [one("ours", seconds, calls), one("stock", 10.0, 100)])
    assert row["reached"] is reached
    assert ("reached" if reached else "missed") in table({"COPRO": row})


def test_one_that_asks_nothing_has_no_time_to_compare() -> None:
    name = "LabeledFewShot"
    row = summarise(name, [one("ours", 0.2, 0, name), one("stock", 0.1, 0, name)])
    assert row["reached"] and "asks no model" in table({name: row})


@pytest.mark.parametrize("form", ["a JSON object in the order `rule`.", "`[[ ## rule ## ]]`, then more."])
def test_the_proposer_answers_in_the_form_it_is_asked_for(form: str) -> None:
    said = Proposer().answer(f"Earlier: `other`. Respond with {form}")
    idea = "Solve the word problem step by step"
    if "JSON" in form:
        assert json.loads(said)["rule"].startswith(idea)
    else:
        assert said.startswith(f"[[ ## rule ## ]]\n{idea}")
