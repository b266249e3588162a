from __future__ import annotations

import dspy
import pytest

from compiler.evaluation.analysis import KINDS, MOST_EXAMPLES, analyse, shortened
from compiler.evaluation.answers import Answer, Fault
from programs.execution import Step
from tests.compiler.scripted import sums

RIGHT, WRONG = Answer(1.0, {"answer": "0"}), Answer(0.0, {"reasoning": "hm", "answer": "7"})


def test_failures_are_grouped_by_kind_the_largest_group_first() -> None:
    after = [WRONG, Answer(0.0, fault="cut", error="the token limit cut the reply"), WRONG, RIGHT]
    groups = analyse(sums(4), [RIGHT] * 4, after).groups
    assert [(group.kind, group.count) for group in groups] == [("wrong", 2), ("truncated", 1)]
    first = groups[0].examples[0]
    assert (first.id, first.inputs, first.expected, first.got) == (0, "What is 0 + 0?", "0", "7")
    assert groups[1].examples[0].feedback == "the token limit cut the reply"


@pytest.mark.parametrize("fault", [fault for fault in KINDS if fault])
def test_every_fault_is_a_group_of_its_own(fault: Fault) -> None:
    (group,) = analyse(sums(1), [RIGHT], [Answer(0.0, fault=fault)]).groups
    assert group.kind == KINDS[fault]


def test_what_the_compilation_fixed_and_broke_is_counted() -> None:
    before, after = [WRONG] * 20 + [RIGHT] * 3, [RIGHT] * 20 + [WRONG] * 2 + [RIGHT]
    told = analyse(sums(23), before, after)
    assert (told.fixed.count, told.fixed.ids) == (20, tuple(range(10)))
    assert (told.broke.count, told.broke.ids) == (2, (20, 21))


def test_a_graded_answer_is_wrong_below_a_half_and_the_worst_are_shown() -> None:
    scores = [0.4, 0.5, 0.9, *[0.3] * 6, 0.1]
    (group,) = analyse(sums(10), [RIGHT] * 10, [Answer(score, {"answer": "x"}) for score in scores]).groups
    assert group.count == 8 and len(group.examples) == MOST_EXAMPLES and group.examples[0].id == 9


def test_a_reply_that_could_not_be_read_is_shown_as_it_is() -> None:
    lost = Answer(0.0, steps=(Step("no\n markers", "stop", None),), fault="unparseable", feedback="unread")
    (group,) = analyse(sums(1), [RIGHT], [lost]).groups
    assert (group.examples[0].got, group.examples[0].feedback) == ("no markers", "unread")


def test_long_values_and_several_fields_fit_a_line() -> None:
    turns = dspy.History(messages=[{"question": "a", "answer": "b"}])
    told = shortened({"history": turns, "question": "x\ny"}, 80)
    assert told == 'history: [{"question":"a","answer":"b"}]; question: x y'
    assert shortened("x" * 100, 20) == "x" * 17 + "..."


def test_without_failures_there_is_nothing_to_show() -> None:
    assert analyse(sums(2), [RIGHT] * 2, [RIGHT] * 2).groups == ()


def test_what_was_expected_is_what_is_predicted_and_nothing_else_of_a_row() -> None:
    row = dspy.Example(id="bible-1", question="?", answer="5", source="far away").with_inputs("question")
    lost = Answer(0.0, fault="unparseable")
    (group,) = analyse([row, row], [RIGHT, RIGHT], [lost, RIGHT]).groups
    assert group.examples[0].expected == "5"
    (group,) = analyse([row], [lost], [lost]).groups
    assert group.examples[0].expected == "id: bible-1; answer: 5; source: far away"
