from __future__ import annotations

from typing import Any

import pytest

from compiler.report.examples import MOST_CELLS, MOST_SHOWN, faults_of, groups_of


def row(number: int, program: str, score: float, **more: Any) -> dict[str, Any]:
    told = {"inputs": {"context": "c", "question": f"q{number}"} if program == "before" else None}
    answer = {"output": {"answer": f"{program} {number}"}, "expected": {"answer": "right"}}
    rest = {"id": number, "program": program, "score": score, "fault": None, "error": None, "replies": None}
    return {**told, **answer, **rest, **more}


def pairs(*scores: tuple[float, float]) -> list[dict[str, Any]]:
    return [
        row(number, program, score)
        for number, both in enumerate(scores)
        for program, score in zip(("before", "after"), both, strict=True)
    ]


def test_examples_are_told_apart_by_what_became_of_them() -> None:
    groups = groups_of(pairs((0, 1), (1, 0), (1, 1), (0, 0), (0, 1)))
    assert [(group.title, group.n) for group in groups] == [
        ("Fixed", 2),
        ("Broken", 1),
        ("Right both times", 1),
        ("Wrong both times", 1),
    ]


def test_graded_scores_are_better_or_worse() -> None:
    groups = groups_of(pairs((0.2, 0.7), (0.5, 0.4), (1, 1), (0.5, 0.5)))
    assert [group.title for group in groups] == ["Better", "Worse", "Full score both times", "As before"]
    assert [group.n for group in groups] == [1, 1, 1, 1]


def test_of_those_that_changed_the_first_are_shown_in_full() -> None:
    fixed, broken, right, wrong = groups_of(pairs(*[(0, 1)] * 40, (1, 0), (0, 0)))
    assert (fixed.n, len(fixed.shown), len(broken.shown)) == (40, MOST_SHOWN, 1)
    assert not right.shown and not wrong.shown
    one = fixed.shown[0]
    assert (one.question, one.expected, one.before, one.after) == ("q0", "right", "before 0", "after 0")
    assert one.inputs == {"context": "c", "question": "q0"} and one.scores == (0, 1)


def test_an_example_is_called_by_its_question_wherever_that_stands() -> None:
    rows = pairs((0, 1), (0, 1))
    rows[0]["inputs"] = {"query": "Why?", "subject": "art"}
    fixed, *_ = groups_of(rows, "query")
    assert [one.question for one in fixed.shown] == ["Why?", "q1"]


def test_too_many_to_draw_are_drawn_in_proportion() -> None:
    fixed, _, _, wrong = groups_of(pairs(*[(0, 1)] * 3000, *[(0, 0)] * 3000))
    assert (fixed.n, fixed.cells, wrong.cells) == (3000, MOST_CELLS // 2, MOST_CELLS // 2)


def test_an_answer_that_failed_shows_its_reason_and_reply() -> None:
    rows = pairs((1, 0))
    rows[1] |= {"fault": "unparseable", "error": "no field 'answer'", "replies": ["I think"], "output": {}}
    _, broken, _, _ = groups_of(rows)
    assert broken.shown[0].after == "[unparseable] no field 'answer' I think"


def test_other_contenders_and_unpaired_rows_are_left_aside() -> None:
    rows = [*pairs((0, 1)), row(0, "teacher", 1), row(7, "before", 1)]
    assert sum(group.n for group in groups_of(rows)) == 1


def test_lost_points_are_counted_by_their_reason_before_and_after() -> None:
    rows = pairs((0, 1), (0, 0), (0, 0), (1, 1))
    rows[3] |= {"fault": "cut", "error": "the reply was cut at 64 tokens"}
    wrong, cut = faults_of(rows)
    assert (wrong["before"], wrong["after"], wrong["reason"]) == (3, 1, "")
    assert (cut["before"], cut["after"], cut["reason"]) == (0, 1, "the reply was cut at 64 tokens")


@pytest.mark.parametrize("rows", [[], pairs((1, 1))])
def test_where_nothing_was_lost_nothing_is_listed(rows: list[dict[str, Any]]) -> None:
    assert faults_of(rows) == []
