from __future__ import annotations

import io

import pytest
from rich.console import Console

from compiler.evaluation.score_table import Line, how_measured, score_table
from compiler.events import PairedTest, ScoreSummary

SUMMARY = ScoreSummary(
    0.5, 40, 0.352, 0.648, 2, 0, 20.4, 0.00001234, 1, 99.6, seconds_p50=0.5, seconds_p95=1.25
)


def shown(lines: list[Line]) -> list[str]:
    console = Console(file=io.StringIO(), width=100)
    console.print(score_table("title", lines))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_line_has_score_interval_shares_tokens_seconds_and_cost() -> None:
    (row,) = (line for line in shown([Line("A", SUMMARY, 0.04)]) if line.startswith(" A"))
    assert row.split() == [
        "A", "50.0", "%", "35.2", "to", "64.8", "0.0400", "5.0", "%", "2.5", "%",
        "100/20", "0.50/1.25", "0.0123",
    ]  # fmt: skip


@pytest.mark.parametrize(("p", "text"), [(0.00001, "<0.0001"), (0.5, "0.5000")])
def test_a_tiny_p_is_told_by_its_bound(p: float, text: str) -> None:
    assert any(text in line for line in shown([Line("A", SUMMARY, p)]))


def test_the_tests_are_named_and_several_are_corrected() -> None:
    one = PairedTest(0.1, 0.0, 0.2, 0.04, 40, 5, 1, "mcnemar")
    graded = PairedTest(0.1, 0.0, 0.2, 0.04, 40, 5, 1, "sign-flip")
    assert list(how_measured([one], None)) == [
        "p: McNemar's exact test against the last line on the same 40 rows."
    ]
    told = list(how_measured([one, graded], 8))
    assert "exact test or sign-flip permutation test" in told[0] and "corrected over 2 comp" in told[0]
    assert told[1] == "Seconds: an answer's calls, measured with up to 8 in flight."
    assert list(how_measured([], None)) == []
