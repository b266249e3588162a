from __future__ import annotations

import random

import dspy
import pytest

from programs.program import SPLITS
from programs.tasks import passage_qa
from programs.tasks.lexicon import share_of


@pytest.mark.parametrize(("facts", "earlier"), [(2, 0), (3, 1), (6, 0), (6, 2), (8, 2)])
def test_the_answer_stands_in_the_sentence_that_it_cites(facts: int, earlier: int) -> None:
    rng = random.Random(facts)
    for _ in range(200):
        passage = passage_qa.draw(rng, facts, earlier)
        sentences = passage.context.split("\n")
        assert (len(sentences), len(passage.turns)) == (facts, earlier + 1)
        for turn in passage.turns:
            values = dict(turn.values)
            sentence = sentences[int(values["number"]) - 1]
            assert sentence.startswith(f"{values['number']}. {values['name']} ")
            assert sentence.endswith(f"{values['answer']}.")


def test_no_two_facts_answer_one_question() -> None:
    rng = random.Random(1)
    for _ in range(200):
        context = passage_qa.draw(rng, 8, 0).context
        subjects = [tuple(sentence.split()[1:3]) for sentence in context.split("\n")]
        assert len(set(subjects)) == len(subjects)


def test_follow_ups_speak_of_the_same_person_by_pronoun() -> None:
    first, second = passage_qa.draw(random.Random(2), 4, 1).turns
    name = dict(first.values)["name"]
    assert name in first.question
    assert name == dict(second.values)["name"] and name not in second.question
    assert second.question.startswith("And ")


def test_conventions_write_different_answers() -> None:
    turn = passage_qa.draw(random.Random(3), 3, 0).turns[0]
    answers = [turn.answer(convention) for convention in range(len(passage_qa.CONVENTIONS))]
    assert len(set(answers)) == len(answers)
    assert answers[passage_qa.PLAIN] == dict(turn.values)["answer"]


def test_splits_have_their_sizes_and_share_no_passage_with_its_questions() -> None:
    for split in SPLITS:
        examples = passage_qa.examples(split)
        identities = {_identity(example) for example in examples}
        assert len(identities) == len(examples) == passage_qa.SIZES[split]
        assert all(share_of(identity) == split for identity in identities)


def test_earlier_answers_follow_the_house_convention_too() -> None:
    talks = [e for e in passage_qa.examples("train") if e.history.messages]
    assert 30 < len(talks) < 90
    assert all(turn["answer"].startswith("it is ") for example in talks for turn in example.history.messages)


def test_the_metric_wants_the_exact_answer_but_forgives_spaces() -> None:
    example = dspy.Example(answer="it is kitchen")
    assert passage_qa.metric(example, dspy.Prediction(answer="it is  kitchen\n")) == 1.0
    assert passage_qa.metric(example, dspy.Prediction(answer="kitchen")) == 0.0


def _identity(example: dspy.Example) -> str:
    asked = [turn["question"] for turn in example.history.messages]
    return "\n".join([example.context, *asked, example.question])
