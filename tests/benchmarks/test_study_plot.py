from __future__ import annotations

from pathlib import Path

from benchmarks.study_plot import drawn, goal_of, plot, unplaced
from benchmarks.study_rows import compare
from tests.benchmarks.cells import build_cell, failed, plain_cell, reference_cell

PRICED = compare(
    "sums",
    ["GEPA", "COPRO"],
    {
        "none": plain_cell(0.5, 0.6),
        "reference": reference_cell(0.8, 0.9),
        "GEPA": build_cell("GEPA", 0.85),
        "COPRO": failed("COPRO", "no"),
    },
)
UNPRICED = compare(
    "steps",
    ["GEPA"],
    {
        "none": plain_cell(0.5, 0.6, usd=None),
        "reference": reference_cell(0.8, 0.9),
        "GEPA": build_cell("GEPA", 0.85, usd=None),
    },
)


def test_what_was_measured_at_a_known_price_has_a_place() -> None:
    assert {it.name: it.place for it in drawn(PRICED)} == {
        "reference, zero-shot": (1.0, 80.0),
        "reference, manual few-shot": (2.0, 90.0),
        "zero-shot": (0.01, 50.0),
        "manual few-shot": (0.01, 60.0),
        "GEPA": (0.02, 85.0),
    }


def test_an_unknown_price_has_no_place_and_is_named() -> None:
    assert [it.name for it in drawn(UNPRICED)] == ["reference, zero-shot", "reference, manual few-shot"]
    assert unplaced(UNPRICED) == ["zero-shot", "manual few-shot", "GEPA"] and unplaced(PRICED) == []


def test_the_goal_has_a_corner_where_the_reference_scores_and_has_a_price() -> None:
    assert goal_of(PRICED) == (0.1, 81.0)
    for reference in (reference_cell(0.0, 0.0), reference_cell(0.8, 0.9, usd=None)):
        assert goal_of(compare("sums", [], {"reference": reference})) is None
    assert goal_of(compare("sums", [], {})) is None


def test_the_picture_has_a_panel_for_each_task_in_every_format(tmp_path: Path) -> None:
    plot([PRICED, UNPRICED], tmp_path / "a.svg", tmp_path / "a.png")
    plot([PRICED, UNPRICED], tmp_path / "b.svg")
    drawing = (tmp_path / "a.svg").read_text()
    assert "<!-- sums -->" in drawing and "<!-- steps -->" in drawing and "Pareto front" in drawing
    assert "price unknown: zero-shot, manual few-shot, GEPA" in drawing
    assert drawing == (tmp_path / "b.svg").read_text()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_study_without_anything_measured_is_drawn_too(tmp_path: Path) -> None:
    plot([compare("sums", [], {})], tmp_path / "a.svg")
    assert "nothing measured" in (tmp_path / "a.svg").read_text()
