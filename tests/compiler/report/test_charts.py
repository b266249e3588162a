from __future__ import annotations

import re
from typing import Any

from compiler.report.charts import score_against_cost, search_progress


def tried(order: int, score: float, **more: Any) -> dict[str, Any]:
    return {"order": order, "name": f"c{order}", "score": score, "n": 20, "dropped": False,
            "prompt_tokens": 100 * order, "demos": order, "calls": 20 * order, **more}  # fmt: skip


def test_the_chosen_one_is_named_and_only_once() -> None:
    candidates = [tried(1, 0.4), tried(2, 0.9), tried(3, 0.7, name="c2")]
    for chart in (search_progress(candidates, "c2"), score_against_cost(candidates, "c2")):
        assert chart is not None and chart.count(">chosen<") == 1


def test_a_dropped_one_is_hollow() -> None:
    full = search_progress([tried(1, 0.5), tried(2, 0.5)], "")
    half = search_progress([tried(1, 0.5, dropped=True), tried(2, 0.5, dropped=True)], "")
    assert full is not None and half is not None
    assert "fill: var(--accent)" in full and "fill: var(--accent)" not in half and "fill: none" in half


def test_the_cost_is_the_prompt_in_tokens_else_its_demonstrations() -> None:
    candidates = [tried(1, 0.4), tried(2, 0.9)]
    uncounted = [one | {"prompt_tokens": None} for one in candidates]
    assert "Prompt tokens" in str(score_against_cost(candidates, ""))
    assert "Demonstrations" in str(score_against_cost(uncounted, ""))
    assert score_against_cost([one | {"demos": 0} for one in uncounted], "") is None


def test_without_two_candidates_that_were_tried_there_is_nothing_to_draw() -> None:
    untried = tried(2, 0.0, n=0, dropped=True)
    assert search_progress([tried(1, 0.5), untried], "") is None and search_progress([], "") is None
    assert score_against_cost([tried(1, 0.5), untried], "") is None


def test_progress_is_over_calls_where_they_tell_candidates_apart() -> None:
    assert "Calls of the search" in str(search_progress([tried(1, 0.4), tried(2, 0.9)], ""))
    resumed = [tried(1, 0.4, calls=90), tried(2, 0.9, calls=90), tried(3, 0.9, calls=90)]
    assert "in the order" in str(search_progress(resumed, ""))


def test_a_chart_is_the_same_each_time_and_takes_its_colours_and_font_from_the_page() -> None:
    candidates = [tried(1, 0.4), tried(2, 0.9)]
    chart = str(search_progress(candidates, "c2"))
    assert chart == search_progress(candidates, "c2")
    assert "font-family" not in chart and "<text" in chart and not re.search(r"(fill|stroke): #", chart)
