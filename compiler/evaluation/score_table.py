"""Scores beside each other as a table a person reads, and the words for their differences.

Fits 100 columns. Knows nothing of builds: evaluations and comparisons are shown by it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rich import box
from rich.table import Table

from compiler.evaluation.statistics import TEST_NAMES
from compiler.events import PairedTest, ScoreSummary, SecondOpinion

_COLUMNS = (
    "score", "95 % interval", "p", "unpars-\neable", "trun-\ncated", "tokens\nin/out",
    "seconds\np50/p95", "USD per\n1,000",
)  # fmt: skip
UNKNOWN = "unknown"


class Line(NamedTuple):
    """A program's scores; `p` is that of its comparison with the last line, None where there is none."""

    name: str
    summary: ScoreSummary
    p: float | None = None


def score_table(title: str, lines: Sequence[Line]) -> Table:
    """The last line is the one that the others are compared with."""
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in _COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(line.name, *_cells(line), style="bold" if line is lines[-1] else None)
    return table


def how_measured(tests: Sequence[PairedTest], concurrency: int | None) -> Iterable[str]:
    """What a reader of the table has to know of its p and its seconds."""
    if tests:
        names = " or ".join(dict.fromkeys(TEST_NAMES[test.test] for test in tests))
        corrected = f", Holm-corrected over {len(tests)} comparisons" if len(tests) > 1 else ""
        yield f"p: {names} against the last line on the same {tests[0].n} rows{corrected}."
    if concurrency is not None:
        yield f"Seconds: an answer's calls, measured with up to {concurrency} in flight."


def describe_difference(test: PairedTest) -> str:
    interval = f"{100 * test.low:+.1f} to {100 * test.high:+.1f}"
    p = "p < 0.0001" if test.p < 0.0001 else f"p = {test.p:.4f}"
    return (
        f"Gain {100 * test.difference:+.1f} points (95 % interval {interval}), "
        f"paired {p} ({TEST_NAMES[test.test]}): {test.won} better, {test.lost} worse of {test.n}."
    )


def describe_score(summary: ScoreSummary) -> str:
    return (
        f"{percent(summary.mean)} on {summary.n} rows "
        f"(95 % interval {100 * summary.low:.1f} to {100 * summary.high:.1f})"
    )


def describe_opinion(opinion: SecondOpinion) -> Iterable[str]:
    """Both verdicts beside each other, and where they part."""
    lost = f"; {opinion.unjudged} answers could not be judged" if opinion.unjudged else ""
    yield (
        f"Second opinion, {opinion.metric} by {opinion.judge!r}: zero-shot {percent(opinion.before)}, "
        f"compiled {percent(opinion.after)}{lost}. {describe_difference(opinion.difference)}"
    )
    rank = opinion.correlation
    told = "none, for they are too few or all the same by one of the two" if rank is None else f"{rank:+.2f}"
    yield f"Rank correlation of metric and second opinion over {opinion.n} compiled answers: {told}."
    for apart, how in (
        (opinion.only_metric, "score high and are judged low: the metric may be gamed there"),
        (opinion.only_opinion, "score low and are judged high: the metric may miss what is good there"),
    ):
        if apart.count:
            ids = [f"#{row.id}" for row in apart.examples]
            more = ["..."] if apart.count > len(ids) else []
            yield f"{apart.count} answers {how} ({', '.join(ids + more)})."


def percent(score: float) -> str:
    return f"{100 * score:.1f} %"


def p_value(p: float) -> str:
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def _cells(line: Line) -> tuple[str, ...]:
    summary = line.summary
    usd = summary.usd_per_answer
    return (
        percent(summary.mean),
        f"{100 * summary.low:.1f} to {100 * summary.high:.1f}",
        "" if line.p is None else p_value(line.p),
        _share(summary.unparseable, summary.n),
        _share(summary.cut, summary.n),
        _pair(summary.prompt_tokens_per_answer, summary.tokens_per_answer, _tokens),
        _pair(summary.seconds_p50, summary.seconds_p95, _seconds),
        UNKNOWN if usd is None else f"{1000 * usd:.3g}",
    )


def _share(count: int, n: int) -> str:
    return "0" if not count else percent(count / n)


def _pair(first: float | None, second: float | None, form: Callable[[float], str]) -> str:
    return UNKNOWN if first is None or second is None else f"{form(first)}/{form(second)}"


def _tokens(count: float) -> str:
    return f"{count:,.0f}" if count < 10_000 else f"{count / 1000:.1f}k"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds < 10 else f"{seconds:.1f}" if seconds < 100 else f"{seconds:.0f}"
