from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from compiler.events import (
    STAGES,
    Began,
    BuildResult,
    CandidateScored,
    Estimated,
    Event,
    Log,
    PairedTest,
    Scored,
    ScoreSummary,
    Spent,
    StageStarted,
)
from compiler.terminal import TITLES, LiveBars, PlainLines, duration, open_display, show_result

SPENT = Spent(calls=1200, prompt_tokens=300_000, completion_tokens=12_000, usd=0.0213, seconds=75)
RESULT = BuildResult(
    program="order_entry",
    version="1f3a9c2b7d4e",
    build_id="b-1",
    path=Path("releases/order_entry/1f3a9c2b7d4e"),
    baseline=ScoreSummary(0.4, 300, 0.345, 0.457, 7, 1, 21.25, None),
    compiled=ScoreSummary(0.71, 300, 0.656, 0.758, 2, 0, 18.0, 0.00012),
    difference=PairedTest(0.31, 0.25, 0.37, 1e-9, 300, 100, 7, "mcnemar"),
    alias="champion",
    lowered=True,
    reason=None,
    weak=False,
    proven=True,
    seconds=75,
    spent=SPENT,
    optimizer="LabeledFewShot",
)


def lines(*events: Event, clock: Iterator[float] | None = None) -> list[str]:
    """What a log gets to see of these events."""
    console = Console(file=io.StringIO(), width=200)
    ticks = clock or iter(range(1000))
    with PlainLines(console, lambda: float(next(ticks))) as display:
        for event in events:
            display.read(event)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def shown(result: BuildResult, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    show_result(console, result)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_stage_has_a_title() -> None:
    assert set(TITLES) == set(STAGES)


def test_without_a_terminal_a_build_is_plain_lines() -> None:
    assert lines(
        Began("b-1"),
        StageStarted("baseline", 300),
        Scored("baseline", 150, 300, 0.4),
        Scored("baseline", 300, 300, 0.41),
        CandidateScored("bootstrapped 1", 0.58, 100, best=True, dropped=False),
        CandidateScored("bootstrapped 2", 0.3, 20, best=False, dropped=True),
        Log("took [these] 4 rows"),
        SPENT,
    ) == [
        "  Build b-1",
        "Score unoptimised (300 answers at most)",
        "  300/300, score 41.0 %",
        "  bootstrapped 1: 58.0 % of 100, best so far",
        "  bootstrapped 2: dropped after 20, could reach 30.0 % at most",
        "  took [these] 4 rows",
        "1,200 calls, 312,000 tokens, 0.0213 USD, 1:15 min",
    ]


def test_slow_progress_is_told_every_ten_seconds_with_the_time_left() -> None:
    clock = iter([0.0, 0.0, 4.0, 12.0, 15.0])
    told = lines(
        StageStarted("score", 100),
        Scored("score", 10, 100, 0.5),
        Scored("score", 20, 100, 0.5),
        Scored("score", 25, 100, 0.5),
        clock=clock,
    )
    assert told[1:] == ["  20/100, score 50.0 %, about 48 s left"]


def test_an_estimate_without_a_price_says_so() -> None:
    assert lines(Estimated(2000, 900_000, 50_000, 600, None)) == [
        "  About 2,000 calls, 950,000 tokens, 10:00 min, cost unknown."
    ]


def test_on_a_terminal_bars_show_stage_score_and_spending() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    display = open_display(console)
    assert isinstance(display, LiveBars)
    with display:
        for event in (StageStarted("score", 300), Scored("score", 150, 300, 0.612), SPENT, Log("[half] way")):
            display.read(event)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for part in ("Score compiled", "150/300", "61.2 %", "0.0213 USD", "[half] way"):
        assert part in text


@pytest.mark.parametrize("force", [True, False])
def test_bars_need_a_terminal(force: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=force)
    assert isinstance(open_display(console), LiveBars) is force


def test_the_result_is_a_table_before_and_after_with_the_paired_test() -> None:
    text = shown(RESULT)
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert " ".join(rows["unoptimised"]) == "40.0 % 300 34.5 to 45.7 7 1 21.2 unknown"
    assert " ".join(rows["compiled"]) == "71.0 % 300 65.6 to 75.8 2 0 18.0 0.00012"
    assert "Gain +31.0 points (95 % interval +25.0 to +37.0), paired p < 0.0001 (McNemar)" in text
    assert "100 better, 7 worse of 300." in text
    assert "Lowered to a plan" in text and "No proven gain" not in text and "Weak evidence" not in text


def test_the_table_fits_a_narrow_terminal() -> None:
    lines = shown(RESULT, width=80).splitlines()
    (row,) = (line for line in lines if line.strip().startswith("unoptimised"))
    assert len(row) <= 80 and " ".join(row.split()[1:]) == "40.0 % 300 34.5 to 45.7 7 1 21.2 unknown"


def test_a_result_says_what_speaks_against_it() -> None:
    weak = replace(
        RESULT, weak=True, proven=False, lowered=False, reason="its module is a ReAct", alias="candidate"
    )
    text = shown(weak)
    assert "No proven gain" in text and "Weak evidence: 300 test rows" in text
    assert "Not lowered, served by DSPy: its module is a ReAct." in text
    assert "compiler promote order_entry@1f3a9c2b7d4e" in text


@pytest.mark.parametrize(("seconds", "text"), [(4.2, "4 s"), (75, "1:15 min"), (3725, "1:02:05")])
def test_durations_are_told_like_a_clock(seconds: float, text: str) -> None:
    assert duration(seconds) == text
