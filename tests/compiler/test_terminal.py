from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from compiler.events import (
    STAGES,
    Analysis,
    Began,
    BuildResult,
    CandidateScored,
    Changed,
    Contender,
    Duplicated,
    Estimated,
    Event,
    Failure,
    FailureGroup,
    Log,
    Look,
    PairedTest,
    Scored,
    ScoreSummary,
    Spent,
    StageStarted,
)
from compiler.terminal import TITLES, LiveBars, PlainLines, duration, open_display, say, show_result, visible
from programs.release import Kind

BASELINE = ScoreSummary(0.4, 300, 0.345, 0.457, 7, 1, 21.25, None, 3, 1234.4)
COMPILED = ScoreSummary(
    0.71, 300, 0.656, 0.758, 0, 0, 18.0, 0.00012, 0, 2345.6, seconds_p50=0.412, seconds_p95=1.303
)
GAIN = PairedTest(0.31, 0.25, 0.37, 1e-9, 300, 100, 7, "mcnemar")
CHAMPION = replace(COMPILED, mean=0.69, low=0.636, high=0.74)
CLOSE = PairedTest(0.02, -0.01, 0.05, 0.026, 300, 12, 6, "mcnemar")
SPENT = Spent(calls=1200, prompt_tokens=300_000, completion_tokens=12_000, usd=0.0213, seconds=75)
RESULT = BuildResult(
    program="order_entry",
    version="1f3a9c2b7d4e",
    build_id="b-1",
    path=Path("releases/order_entry/1f3a9c2b7d4e"),
    baseline=BASELINE,
    compiled=COMPILED,
    difference=GAIN,
    alias="champion",
    kind="plan",
    reason=None,
    weak=False,
    proven=True,
    seconds=75,
    spent=SPENT,
    optimizer="LabeledFewShot",
    contenders=(
        Contender("zero-shot", BASELINE, GAIN, 2e-9),
        Contender("manual few-shot", replace(BASELINE, mean=1.0, low=1.0, high=1.0), GAIN, 2e-9),
        Contender("champion", CHAMPION, CLOSE, 0.052, "order_entry@0f3a9c2b7d4e"),
        Contender("compiled", COMPILED),
    ),
    concurrency=16,
)
FAILURES = Analysis(
    (
        FailureGroup("wrong", 80, (Failure(7, "Send [3] lamps", "lamps; 3 pcs", "lamps", "a part lacks"),)),
        FailureGroup("truncated", 2, (Failure(9, "x" * 300, "y" * 200, "", "the token limit cut it"),)),
    ),
    Changed(100, tuple(range(10))),
    Changed(1, (12,)),
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


def shown(result: BuildResult, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    show_result(console, result)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_stage_has_a_title() -> None:
    assert set(TITLES) == set(STAGES)


def test_without_a_terminal_a_build_is_plain_lines() -> None:
    assert lines(
        Began("b-1"),
        StageStarted("baseline", 300, "teacher"),
        Scored("baseline", 150, 300, 0.4),
        Scored("baseline", 300, 300, 0.41),
        CandidateScored("bootstrapped 1", 0.58, 100, best=True, dropped=False),
        CandidateScored("bootstrapped 2", 0.3, 20, best=False, dropped=True),
        Log("took [these] 4 rows"),
        SPENT,
    ) == [
        "  Build b-1",
        "Score teacher (300 answers at most)",
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
        for event in (
            StageStarted("score", 300, "compiled"),
            Scored("score", 150, 300, 0.612),
            SPENT,
            Log("[half] way"),
        ):
            display.read(event)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for part in ("Score compiled", "150/300", "61.2 %", "0.0213 USD", "[half] way"):
        assert part in text


@pytest.mark.parametrize("force", [True, False])
def test_bars_need_a_terminal(force: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=force)
    assert isinstance(open_display(console), LiveBars) is force


def test_the_result_is_a_table_of_all_contenders_in_100_columns() -> None:
    text = shown(RESULT)
    table = [line.rstrip() for line in text.splitlines() if line.strip()]
    assert max(map(len, table[:8])) <= 100
    assert table[4:8] == [
        " zero-shot         40.0 %    34.5 to 45.7  <0.0001    2.3 %  1.0 %  1,234/21    unknown  unknown",
        " manual few-shot  100.0 %  100.0 to 100.0  <0.0001    2.3 %  1.0 %  1,234/21    unknown  unknown",
        " champion          69.0 %    63.6 to 74.0   0.0520        0      0  2,346/18  0.41/1.30     0.12",
        " compiled          71.0 %    65.6 to 75.8                 0      0  2,346/18  0.41/1.30     0.12",
    ]
    assert (
        "p: McNemar's exact test against the last line on the same 300 rows, Holm-corrected over 3 comp"
        in text
    )
    assert "Seconds: an answer's calls, measured with up to 16 in flight." in text
    assert "Champion: order_entry@0f3a9c2b7d4e." in text


def test_the_verdict_names_the_gain_and_its_test() -> None:
    text = shown(RESULT)
    assert "Gain +31.0 points (95 % interval +25.0 to +37.0), paired p < 0.0001 (McNemar's exact" in text
    assert "100 better, 7 worse of 300." in text and "were not looked at before" in text
    assert "Lowered to a plan" in text and "No proven gain" not in text and "Weak evidence" not in text


def test_failures_are_a_short_table_after_the_result() -> None:
    text = shown(replace(RESULT, analysis=FAILURES))
    rows = [line for line in text.splitlines() if line.startswith((" wrong", " truncated"))]
    assert rows[0].split()[:5] == ["wrong", "80", "#7", "Send", "[3]"] and "lamps; 3 pcs" in rows[0]
    assert "…" not in rows[0] and "…" in rows[1] and "the token limit c" in rows[1]
    assert max(map(len, rows)) <= 100
    assert "fixed 100 (#0, #1, #2, #3, #4, #5, #6, #7, #8, #9, ...) and broke 1 (#12);" in text


def test_doubled_rows_and_earlier_looks_are_told_with_the_result() -> None:
    looks = (Look("order_entry", "b-0", "2026-01-01T10:00:00+00:00"),)
    text = shown(replace(RESULT, looks=looks, duplicated=Duplicated(3, 0.01, CHAMPION)))
    assert "looked at once before: order_entry 1 (2026-01-01)." in text
    assert (
        "3 test rows (1.0 %) nearly are training or dev rows; without: 69.0 % on 300 rows (95 % int" in text
    )
    alone = shown(replace(RESULT, duplicated=Duplicated(1, 1.0, None)))
    assert "1 test row (100.0 %) is nearly a training or dev row; no row is left without them." in alone


def test_a_result_says_what_speaks_against_it() -> None:
    weak = replace(
        RESULT, weak=True, proven=False, kind="interpreted", reason="its module is a ReAct", alias="candidate"
    )
    text = shown(weak)
    assert "No proven gain" in text and "Weak evidence: 300 test rows" in text
    assert "Not lowered, served by DSPy: its module is a ReAct." in text
    assert "compiler promote order_entry@1f3a9c2b7d4e" in text


@pytest.mark.parametrize(("seconds", "text"), [(4.2, "4 s"), (75, "1:15 min"), (3725, "1:02:05")])
def test_durations_are_told_like_a_clock(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_long_prompts_and_slow_answers_fit_the_table_too() -> None:
    slow = replace(
        COMPILED,
        prompt_tokens_per_answer=123456.0,
        tokens_per_answer=1024.0,
        seconds_p50=12.34,
        seconds_p95=120.4,
    )
    result = replace(RESULT, contenders=(Contender("manual few-shot", slow, GAIN, 1.0),))
    (row,) = (line for line in shown(result).splitlines() if line.startswith(" manual"))
    assert "123.5k/1,024" in row and "12.3/120" in row and len(row.rstrip()) <= 100


@pytest.mark.parametrize(
    ("kind", "form"),
    [("ensemble", "plans that vote"), ("neighbours", "a plan whose demonstrations each request chooses")],
)
def test_the_form_of_the_release_is_told(kind: Kind, form: str) -> None:
    assert f"Lowered to {form}: it is served without DSPy." in shown(replace(RESULT, kind=kind))


def test_what_a_terminal_would_obey_is_written_out(tmp_path: Path) -> None:
    assert visible("a\tb\nשלום 🦉") == "a\tb\nשלום 🦉"
    shown = io.StringIO()
    hostile = "\x1b[2J\x00\x9b31m \u202egnorw"
    say(Console(file=shown, width=200), hostile)
    failures = (Failure(7, hostile, hostile, "", hostile),)
    result = replace(
        RESULT, analysis=Analysis((FailureGroup("wrong", 1, failures),), Changed(0, ()), Changed(0, ()))
    )
    show_result(Console(file=shown, width=200), result)
    assert "\\x1b[2J\\x00\\x9b31m \\u202egnorw" in shown.getvalue()
    assert not set("\x1b\x00\x9b\u202e") & set(shown.getvalue())
