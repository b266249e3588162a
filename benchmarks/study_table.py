"""A study as text: one table of all that was measured, a verdict for each task, published numbers apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.study_published import Published, published_table
from benchmarks.study_rows import GOAL, LEAST_SHARE, Row, TaskRows, reason_of
from benchmarks.study_share import Share
from compiler.evaluation.score_table import p_value
from compiler.events import PairedTest
from compiler.report.text import usd

COLUMNS = (
    "Task", "Who", "Score, % (95 %)", "Share of the reference's score, % (95 %)", "Against it, points (95 %)",
    "p", "USD per 1,000", "Share of its cost, %", "Seconds p50/p95", "Tokens in/out", "Goal",
)  # fmt: skip
UNKNOWN = "unknown"
LEAST = 100 * LEAST_SHARE


@dataclass(frozen=True)
class Study:
    """All that a study came to; `refused` has tasks that could not be measured at all, with the reason."""

    at: str
    asked: Mapping[str, Any]
    machine: Mapping[str, Any]
    tasks: Sequence[TaskRows]
    refused: Mapping[str, str]
    loads: Sequence[float] = ()
    """Load averages of the machine when cells were done."""

    def as_dict(self) -> dict[str, Any]:
        """The result file: of every row its measurement and comparison, without the scores row by row."""
        return {
            "at": self.at,
            "goal": GOAL,
            "machine": dict(self.machine),
            "asked": dict(self.asked),
            "loads": list(self.loads),
            "tasks": {
                it.task: {
                    "test_rows": it.n,
                    "verdict": it.judged.verdict,
                    "verdict_by": it.judged.best and it.judged.best.name,
                    "verdict_reason": it.judged.reason,
                    "share_allowing_for_choice": it.judged.wide and it.judged.wide._asdict(),
                    "standard": it.standard and it.standard.name,
                    "rows": [_row_as_dict(row) for row in it.rows],
                }
                for it in self.tasks
            },
            "not_measured": dict(self.refused),
        }


def document(study: Study, published: Sequence[Published], picture: str) -> str:
    """What the study found, as a section of a page; `picture` is where its plot lies from there."""
    names = [it.task for it in study.tasks]
    lines = [
        *_heading(study),
        "",
        f"![Score against USD per 1,000 answers, a panel for each task]({picture})",
        "",
        "### Measured",
        "",
        *_table(study),
        "",
        *_notes(study),
        "",
        "### Verdicts",
        "",
        f"The goal is {GOAL}.",
        "",
        *map(_verdict, study.tasks),
        *(f"- `{name}`: **not measured**. {_line(why)}" for name, why in study.refused.items()),
        "",
        *published_table(published, names),
    ]
    return "\n".join(lines) + "\n"


def _heading(study: Study) -> Iterator[str]:
    asked, machine = study.asked, study.machine
    yield f"Measured until {study.at} on {machine['cpu']}, {machine['cores']} cores{_gpus(machine)}."
    yield ""
    for role in ("student", "reference", "teacher", "proposer"):
        model = asked.get(role)
        if model is not None:
            price = f", {_price(asked[f'{role}_price'])}" if f"{role}_price" in asked else ""
            yield f"- {role.capitalize()}: `{model['model']}`{price}."
    rows = (
        "all rows"
        if asked["rows"] is None
        else f"at most {asked['rows']} rows each to train, select and test"
    )
    yield f"- Asked with {rows}, seed {asked['seed']}, up to {asked['concurrency']} requests in flight."
    if study.loads:
        yield f"- The machine's load average was {min(study.loads):.1f} to {max(study.loads):.1f}."


def _gpus(machine: Mapping[str, Any]) -> str:
    gpus = machine.get("gpus") or []
    return f", {', '.join(gpus)}" if gpus else ""


def _price(price: Mapping[str, Any] | None) -> str:
    if price is None:
        return "at an unknown price"
    if price["usd_per_hour"] is not None:
        return f"at {price['usd_per_hour']:g} USD per hour"
    tokens = f"{price['usd_per_million_input']:g} and {price['usd_per_million_output']:g}"
    return f"at {tokens} USD per million tokens in and out"


def _table(study: Study) -> Iterator[str]:
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|" + "---|" * len(COLUMNS)
    for found in study.tasks:
        task = f"`{found.task}`" + (f", {found.n} rows" if found.n else "")
        for row in found.rows:
            cells = [task, *_cells(row, row is found.standard)]
            yield "| " + " | ".join(cells) + " |"
            task = ""


def _cells(row: Row, is_standard: bool) -> list[str]:
    if row.measured is None:
        return [row.who, _line(row.reason or ""), *[""] * (len(COLUMNS) - 3)]
    summary = row.measured.summary
    goal = "100 %" if is_standard else ""
    if row.verdict is not None:
        why = reason_of(row)
        goal = f"{row.verdict}: {why}" if why else f"**{row.verdict}**"
    cost = UNKNOWN if row.cost_share is None else f"{100 * row.cost_share:.3g}"
    return [
        f"{row.who}*" if row.built is not None and row.built.stopped is not None else row.who,
        _interval(100 * summary.mean, 100 * summary.low, 100 * summary.high),
        "" if row.side == "reference" else _share(row.share),
        "" if row.against is None else _difference(row.against),
        "" if row.corrected_p is None else p_value(row.corrected_p),
        usd(row.usd_per_1000),
        "" if row.side == "reference" else cost,
        _pair(summary.seconds_p50, summary.seconds_p95, lambda value: f"{value:.2f}"),
        _pair(summary.prompt_tokens_per_answer, summary.tokens_per_answer, lambda value: f"{value:,.0f}"),
        goal,
    ]


def _notes(study: Study) -> Iterator[str]:
    yield (
        "The reference's score is the better of its rows; the student's are compared with it on the same "
        "test rows. p is that of the paired test, Holm-corrected over the student's rows of the task. USD "
        "are what the answers took while they were measured, at the prices above; a price that nobody told "
        "is unknown. Seconds are an answer's calls, with as many requests in flight as told above."
    )
    stopped = [
        f"{row.name} on `{found.task}`: {_line(row.built.stopped)}"
        for found in study.tasks
        for row in found.rows
        if row.built is not None and row.built.stopped is not None
    ]
    if stopped:
        yield ""
        yield f"\\* The search did not run to its end. {'; '.join(stopped)}."


def _verdict(found: TaskRows) -> str:
    judged = found.judged
    head = f"- `{found.task}`: **{judged.verdict}**"
    best = judged.best
    if best is None or best.share is None:
        return f"{head}. {_sentence(judged.reason or 'nothing was measured')}."
    cost = "an unknown share" if best.cost_share is None else f"{100 * best.cost_share:.3g} %"
    choice = ""
    if judged.wide is not None and judged.among > 1:
        choice = f"; {_bounds(judged.wide)} when the choice among {judged.among} rows is allowed for"
    why = f" ({judged.reason})" if judged.reason else ""
    settled = "" if judged.settled else f" More rows could change that: the interval holds {LEAST:g} %."
    return (
        f"{head}{why}. {_sentence(best.name)} reaches {100 * best.share.value:.1f} % of the reference's "
        f"score (95 % interval {_bounds(best.share)}{choice}) at {cost} of its cost.{settled}"
    )


def _difference(test: PairedTest) -> str:
    return _interval(100 * test.difference, 100 * test.low, 100 * test.high, "+")


def _interval(value: float, low: float, high: float, sign: str = "") -> str:
    return f"{value:{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})"


def _share(share: Share | None) -> str:
    return UNKNOWN if share is None else f"{100 * share.value:.1f} ({_bounds(share)})"


def _bounds(share: Share) -> str:
    if math.isinf(share.high):
        return f"{100 * share.low:.1f} and more"
    return f"{100 * share.low:.1f} to {100 * share.high:.1f}"


def _pair(first: float | None, second: float | None, form: Callable[[float], str]) -> str:
    return UNKNOWN if first is None or second is None else f"{form(first)}/{form(second)}"


def _line(text: str) -> str:
    """A text of anyone's as part of one line of Markdown."""
    return " ".join(text.split()).replace("|", "\\|")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _row_as_dict(row: Row) -> dict[str, Any]:
    told = asdict(row)
    if row.measured is not None:
        told["measured"] = {"what": row.measured.what, "summary": asdict(row.measured.summary)}
    told["share"] = row.share and row.share._asdict()
    told["usd_per_1000"] = row.usd_per_1000
    return told
