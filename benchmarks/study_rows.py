"""What the cells of a task come to: everyone against the reference, and whether the goal is reached.

The goal: at least 90 % of the reference's score at under 5 % of its cost. Asks nothing and reads no files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from benchmarks.study_cells import PLAIN, REFERENCE, Built, Cell, Measured
from benchmarks.study_share import CONFIDENCE, Share, share_of
from compiler.evaluation.statistics import holm, paired_test
from compiler.events import PairedTest

LEAST_SHARE, BELOW_COST = 0.90, 0.05
_EXACT = 1e-9  # shares that differ by less are the same
GOAL = "at least 90 % of the reference's score at under 5 % of its cost"
PLAIN_NAMES = ("zero-shot", "manual few-shot")
COMPILED = "compiled"
Side = Literal["reference", "student"]
Verdict = Literal["pass", "fail", "unknown"]


@dataclass(frozen=True)
class Row:
    """A program on one side; of one that was not measured `reason` says why.

    Everything but the measurement compares it with the reference's better program, on the same rows.
    """

    side: Side
    name: str
    measured: Measured | None = None
    reason: str | None = None
    built: Built | None = None
    share: Share | None = None
    against: PairedTest | None = None
    corrected_p: float | None = None
    """After Holm's correction over the student's rows of the task."""
    cost_share: float | None = None
    verdict: Verdict | None = None

    @property
    def who(self) -> str:
        """Its name apart from those of the other side."""
        return f"reference, {self.name}" if self.side == "reference" else self.name

    @property
    def usd_per_1000(self) -> float | None:
        usd = None if self.measured is None else self.measured.summary.usd_per_answer
        return None if usd is None else 1000 * usd


class Judged(NamedTuple):
    """What a task comes to, by its best row; `wide` is that row's share with the choice allowed for."""

    verdict: Verdict
    best: Row | None
    among: int
    """Rows that the best one was chosen from, by the same test scores."""
    wide: Share | None
    reason: str | None = None

    @property
    def settled(self) -> bool:
        """Whether the whole interval lies on one side of the goal, or the cost alone decides."""
        if self.wide is None or self.reason not in (None, "score"):
            return True
        return not self.wide.low < LEAST_SHARE <= self.wide.high


@dataclass(frozen=True)
class TaskRows:
    """A task's rows, the reference's first; `standard` is the one of them that the others are held to."""

    task: str
    rows: tuple[Row, ...]
    standard: Row | None
    judged: Judged
    n: int | None = None
    """Test rows."""


def compare(task: str, optimizers: Sequence[str], cells: Mapping[str, Cell]) -> TaskRows:
    """All rows of a task from its cells by their names, also of those that failed or are not there yet."""
    rows = _plain_rows("reference", cells.get(REFERENCE))
    standard = _standard(rows)
    student = _plain_rows("student", cells.get(PLAIN))
    student += [_compiled_row(name, cells.get(name)) for name in optimizers]
    compared = _corrected([_against(row, standard) for row in student])
    told = next((row.measured.summary.n for row in (*rows, *student) if row.measured), None)
    return TaskRows(task, (*rows, *compared), standard, judge(compared, standard), told)


def left_out(found: TaskRows, names: Mapping[str, str]) -> TaskRows:
    """With a row for each optimiser that the study does without, and its reason."""
    more = tuple(Row("student", name, reason=reason) for name, reason in names.items())
    return replace(found, rows=(*found.rows, *more))


def judge(rows: Sequence[Row], standard: Row | None) -> Judged:
    """By the best row of all that pass; where none does, of those whose price is unknown; else of all."""
    if standard is None or standard.measured is None:
        return Judged("unknown", None, 0, None, "the reference was not measured")
    known = [row for row in rows if row.measured is not None and row.share is not None]
    if not known:
        why = "the student was not measured" if standard.measured.summary.mean else "the reference scores 0"
        return Judged("unknown", None, 0, None, why)
    verdict: Verdict = next((it for it in ("pass", "unknown") if any(r.verdict == it for r in known)), "fail")
    cheap = [row for row in known if row.cost_share is not None and row.cost_share < BELOW_COST]
    choice = [row for row in known if row.verdict == verdict] if verdict != "fail" else cheap or known
    best = max(choice, key=_score)
    assert best.measured is not None
    # The best of many owes some of its score to chance: its interval is that of so many comparisons.
    confidence = 1 - (1 - CONFIDENCE) / len(known)
    wide = share_of(best.measured.scores, standard.measured.scores, confidence)
    return Judged(verdict, best, len(known), wide, reason_of(best))


def verdict_of(share: Share | None, cost_share: float | None) -> Verdict:
    """What is not known can't pass; what misses one half of the goal fails, whatever the other half is."""
    if share is not None and _too_little(share):
        return "fail"
    if cost_share is not None and cost_share >= BELOW_COST:
        return "fail"
    return "unknown" if share is None or cost_share is None else "pass"


def reason_of(row: Row) -> str | None:
    """Which half of the goal is missed or unknown; None for a pass."""
    told: list[str] = []
    if row.share is None:
        told.append("score unknown")
    elif _too_little(row.share):
        told.append("score")
    if row.cost_share is None:
        told.append("price unknown")
    elif row.cost_share >= BELOW_COST:
        told.append("cost")
    return ", ".join(told) or None


def _too_little(share: Share) -> bool:
    return share.value < LEAST_SHARE - _EXACT


def _plain_rows(side: Side, cell: Cell | None) -> list[Row]:
    """Zero-shot, and manual few-shot where the program has hand-picked examples."""
    if cell is None or cell.status != "done":
        return [Row(side, PLAIN_NAMES[0], reason=_reason(cell))]
    return [Row(side, one.name, one) for one in cell.measured if one.name in PLAIN_NAMES]


def _compiled_row(name: str, cell: Cell | None) -> Row:
    if cell is None or cell.status != "done":
        return Row("student", name, reason=_reason(cell))
    found = next(one for one in cell.measured if one.name == COMPILED)
    return Row("student", name, found, built=cell.built)


def _reason(cell: Cell | None) -> str:
    return "not measured yet" if cell is None else f"{cell.status}: {cell.reason}"


def _standard(rows: Sequence[Row]) -> Row | None:
    """The better of the reference's programs, of equals the cheaper one."""
    measured = [row for row in rows if row.measured is not None]
    return max(measured, key=_score) if measured else None


def _score(row: Row) -> tuple[float, float]:
    """By the score; of equals the cheaper one."""
    assert row.measured is not None
    usd = row.usd_per_1000
    return row.measured.summary.mean, float("-inf") if usd is None else -usd


def _against(row: Row, standard: Row | None) -> Row:
    if row.measured is None or standard is None or standard.measured is None:
        return row
    mine, theirs = row.measured, standard.measured
    share = share_of(mine.scores, theirs.scores)
    cost, reference_cost = row.usd_per_1000, standard.usd_per_1000
    cost_share = None if cost is None or not reference_cost else cost / reference_cost
    return replace(
        row,
        share=share,
        against=paired_test(theirs.scores, mine.scores),
        cost_share=cost_share,
        verdict=verdict_of(share, cost_share),
    )


def _corrected(rows: Sequence[Row]) -> list[Row]:
    """With p values that allow for how many rows are compared."""
    known = [row.against.p for row in rows if row.against is not None]
    corrected = iter(holm(known))
    return [row if row.against is None else replace(row, corrected_p=next(corrected)) for row in rows]
