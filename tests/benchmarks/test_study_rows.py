from __future__ import annotations

import pytest

from benchmarks.study_cells import Cell, Measured
from benchmarks.study_rows import Verdict, compare, left_out, reason_of, verdict_of
from benchmarks.study_share import Share
from benchmarks.study_table import Study, document
from tests.benchmarks.cells import build_cell, failed, plain_cell, reference_cell

MACHINE = {"cpu": "a processor", "cores": 2, "gpus": ["a card"]}
ASKED = {"rows": None, "seed": 0, "concurrency": 16}


def cells(*more: Cell, reference: Cell | None = None, plain: Cell | None = None) -> dict[str, Cell]:
    found = [plain or plain_cell(0.5, 0.6), reference or reference_cell(0.8, 0.9), *more]
    return {cell.name: cell for cell in found}


@pytest.mark.parametrize(
    ("share", "cost", "verdict"),
    [
        (0.90, 0.0499, "pass"),
        (0.72 / 0.80, 0.0499, "pass"),
        (0.8999, 0.01, "fail"),
        (1.2, 0.05, "fail"),
        (0.5, None, "fail"),
        (None, 0.5, "fail"),
        (0.95, None, "unknown"),
        (None, 0.01, "unknown"),
    ],
)
def test_a_verdict_takes_both_halves_of_the_goal(
    share: float | None, cost: float | None, verdict: Verdict
) -> None:
    assert verdict_of(None if share is None else Share(share, 0.0, 2.0), cost) == verdict


def test_the_better_row_of_the_reference_is_the_standard() -> None:
    found = compare("sums", ["GEPA"], cells(build_cell("GEPA", 0.81, usd=0.00004)))
    assert found.standard is not None and found.standard.name == "manual few-shot"
    gepa = found.rows[-1]
    assert gepa.share is not None and round(gepa.share.value, 3) == 0.9
    assert gepa.cost_share is not None and round(gepa.cost_share, 3) == 0.02
    assert (gepa.verdict, found.judged.verdict, found.judged.best) == ("pass", "pass", gepa)


def test_of_equal_rows_of_the_reference_the_cheaper_one_is_the_standard() -> None:
    found = compare("sums", [], cells(reference=reference_cell(0.8, 0.8)))
    assert found.standard is not None and found.standard.name == "zero-shot"
    assert found.standard.usd_per_1000 == 1.0


def test_a_task_passes_by_its_best_row_that_passes() -> None:
    good, dear = build_cell("GEPA", 0.85, usd=0.00004), build_cell("Ensemble", 0.89, usd=0.001)
    found = compare("sums", ["GEPA", "Ensemble"], cells(good, dear))
    assert [row.verdict for row in found.rows[-2:]] == ["pass", "fail"]
    assert found.judged.verdict == "pass" and found.judged.best is not None
    assert found.judged.best.name == "GEPA" and reason_of(found.rows[-1]) == "cost"


def test_a_task_that_fails_is_judged_by_its_best_cheap_row() -> None:
    found = compare("sums", ["COPRO"], cells(build_cell("COPRO", 0.88, usd=0.01)))
    best = found.judged.best
    assert found.judged.verdict == "fail" and best is not None and best.name == "manual few-shot"
    assert found.judged.reason == "score"


def test_the_choice_among_rows_widens_the_interval_of_the_verdict() -> None:
    many = [build_cell("GEPA", 0.85), *(build_cell(f"other {number}", 0.5) for number in range(8))]
    judged = compare("sums", [cell.name for cell in many], cells(*many)).judged
    assert judged.among == 2 + len(many)
    assert judged.wide is not None and judged.best is not None and judged.best.share is not None
    assert judged.wide.low < judged.best.share.low and judged.wide.high > judged.best.share.high


def test_an_unknown_price_is_unknown_and_never_nothing() -> None:
    unpriced = plain_cell(0.85, 0.8, usd=None)
    found = compare("sums", ["GEPA"], cells(build_cell("GEPA", 0.5, usd=None), plain=unpriced))
    assert [row.usd_per_1000 for row in found.rows[2:]] == [None, None, None]
    assert found.judged.verdict == "unknown" and found.judged.reason == "price unknown"
    assert [row.verdict for row in found.rows[2:]] == ["unknown", "fail", "fail"]
    free = compare("sums", [], cells(reference=reference_cell(0.9, 0.8, usd=None)))
    assert {row.cost_share for row in free.rows} == {None} and free.judged.verdict == "fail"


def test_without_the_reference_nothing_is_judged() -> None:
    found = compare("sums", ["GEPA"], cells(build_cell("GEPA", 0.5), reference=failed("reference", "no key")))
    assert found.rows[0].reason == "failed: no key" and found.standard is None
    assert found.judged.verdict == "unknown" and found.judged.reason == "the reference was not measured"
    zero = compare("sums", [], cells(reference=reference_cell(0.0, 0.0)))
    assert zero.judged.verdict == "unknown" and zero.judged.reason == "the reference scores 0"


def test_p_values_allow_for_how_many_rows_are_compared() -> None:
    found = compare("sums", ["GEPA"], cells(build_cell("GEPA", 0.7)))
    student = [row for row in found.rows if row.side == "student"]
    for row in student:
        assert row.against is not None and row.corrected_p is not None
        assert row.against.p <= row.corrected_p <= 1.0
    assert student[0].against is not None and student[0].against.difference == pytest.approx(-0.4)


def test_every_row_is_in_the_table_also_those_that_were_not_measured() -> None:
    failing = failed("GEPA", "the engine\nsaid | no")
    found = left_out(compare("sums", ["GEPA", "SIMBA"], cells(failing)), {"COPRO": "left out: no proposer"})
    text = document(Study("2026-01-02", ASKED, MACHINE, [found], {"gsm8k": "no rows"}), [], "plot.png")
    assert "| GEPA | failed: the engine said \\| no |" in text and "| SIMBA | not measured yet |" in text
    assert "| COPRO | left out: no proposer |" in text and "- `gsm8k`: **not measured**. no rows" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def test_a_verdict_tells_its_interval_and_whether_more_rows_could_change_it() -> None:
    near, sure = build_cell("GEPA", 0.82), build_cell("GEPA", 0.9)
    told = {}
    for name, cell in (("near", near), ("sure", sure)):
        found = compare("sums", ["GEPA"], cells(cell))
        text = document(Study("2026-01-02", ASKED, MACHINE, [found], {}), [], "plot.png")
        told[name] = next(line for line in text.splitlines() if line.startswith("- `sums`"))
    assert "**pass**. GEPA reaches 91.1 % of the reference's score (95 % interval " in told["near"]
    assert "when the choice among 3 rows is allowed for" in told["near"]
    assert "More rows could change that: the interval holds 90 %." in told["near"]
    assert "More rows" not in told["sure"]


def test_the_heading_tells_who_was_asked_where_and_at_which_load() -> None:
    student = {"student": {"model": "small"}, "student_price": None}
    hourly = {"usd_per_hour": 2.5, "usd_per_million_input": None, "usd_per_million_output": None}
    asked = {**ASKED, **student, "reference": {"model": "large"}, "reference_price": hourly}
    text = document(Study("2026-01-02", asked, MACHINE, [], {}, [0.5, 3.0]), [], "plot.png")
    assert "on a processor, 2 cores, a card." in text and "load average was 0.5 to 3.0" in text
    assert "- Student: `small`, at an unknown price." in text
    assert "- Reference: `large`, at 2.5 USD per hour." in text
    assert "Asked with all rows, seed 0, up to 16 requests in flight." in text


def test_a_search_that_was_ended_is_marked() -> None:
    cell = build_cell("GEPA", 0.82, stopped="the build has made 50 calls")
    found = compare("sums", ["GEPA"], cells(cell))
    text = document(Study("2026-01-02", ASKED, MACHINE, [found], {}), [], "plot.png")
    assert "| GEPA* | 82.0" in text
    assert "\\* The search did not run to its end. GEPA on `sums`: the build has made 50 calls." in text


def test_a_program_without_handpicked_examples_has_no_such_row() -> None:
    alone: tuple[Measured, ...] = reference_cell(0.9, 0.9).measured[:1]
    only = Cell("sums", "reference", "done", "2026-01-01", 1.0, {}, alone)
    found = compare("sums", [], cells(reference=only))
    assert [row.name for row in found.rows if row.side == "reference"] == ["zero-shot"]
