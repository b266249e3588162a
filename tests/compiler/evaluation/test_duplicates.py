from __future__ import annotations

import random
import time

import dspy
import pytest

from compiler.evaluation.answers import Answer
from compiler.evaluation.duplicates import MOST_SHOWN, Duplicates, find_duplicates, shingles
from compiler.split import Parts
from programs.loading import load_program
from tests.compiler.scripted import sums

LONG = (
    "My invoice of last month shows the same delivery twice, and nobody at the desk could tell me when the "
    "second charge will be given back to my account."
)


def row(text: str) -> dspy.Example:
    return dspy.Example(question=text, answer="x").with_inputs("question")


def found(train: str, test: str) -> Duplicates:
    return find_duplicates(Parts((row(train),), (), (row(test),)))


@pytest.mark.parametrize(
    "test",
    [
        LONG.upper().replace(",", " -").replace("\n", "  "),
        LONG.replace("nobody", "no-one"),
        LONG + " Thanks!",
    ],
    ids=["case and punctuation", "a word", "a word more"],
)
def test_a_row_that_is_written_a_little_differently_is_found(test: str) -> None:
    (pair,) = found(LONG, test).pairs
    assert (pair.test, pair.split, pair.row) == (0, "train", 0) and 0.75 <= pair.similarity <= 1


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (f"{LONG} Case 81.", f"{LONG} Case 82."),
        ("What is 3 + 4?", "What is 3 - 4?"),
        ("yes", "no"),
        ("我昨天买的灯坏了", "他明天卖的车好了"),
        ("", "?"),
    ],
    ids=["number", "operator", "short", "no spaces", "nothing"],
)
def test_a_row_that_asks_something_else_is_not(train: str, test: str) -> None:
    assert found(train, test).pairs == ()


def test_a_text_without_spaces_is_compared_by_its_characters() -> None:
    text = "我昨天在你们的网店里买的蓝色台灯今天早上突然坏了请问怎么退货"
    assert len(found(text, text.replace("今天", "今日")).pairs) == 1


def test_past_turns_are_part_of_what_is_asked() -> None:
    def asked(answer: str) -> dspy.Example:
        turns = dspy.History(messages=[{"question": LONG, "answer": answer}])
        return dspy.Example(history=turns, question="And then?").with_inputs("history", "question")

    words = "it will be there before the end of the week and the driver will call you first at home"
    assert shingles(asked(words)) != shingles(asked("no"))
    assert len(find_duplicates(Parts((asked(words),), (), (asked(words.upper()),))).pairs) == 1


@pytest.mark.parametrize("name", ["arithmetic", "order_entry", "passage_qa"])
def test_rows_made_from_templates_are_not_taken_for_each_other(name: str) -> None:
    program = load_program(name)
    train, dev, test = (tuple(program.examples(split)) for split in ("train", "dev", "test"))
    assert find_duplicates(Parts(train, dev, test)).pairs == ()


def test_scores_are_told_without_the_doubled_rows() -> None:
    parts = Parts((row(LONG),), (row("other words"),), (row(f"{LONG} Thanks"), *sums(3)))
    doubled = find_duplicates(parts)
    told = doubled.scored([Answer(1.0), Answer(0.0), Answer(1.0), Answer(0.0)], seed=0)
    assert told is not None and told.without is not None
    assert (told.rows, told.share, told.without.n) == (1, 0.25, 3)
    assert told.without.mean == pytest.approx(1 / 3) and len(doubled.notes) == 1
    section = doubled.as_dict(told)
    assert section["rows"] == 1 and section["threshold"] == 0.75 and section["score_without"]["n"] == 3
    assert section["pairs"][0]["test_inputs"].startswith("My invoice")


def test_without_doubled_rows_there_is_no_second_score() -> None:
    clean = find_duplicates(Parts(tuple(sums(5)), (), tuple(sums(5, first=90))))
    assert clean.scored([Answer(1.0)] * 5, 0) is None and clean.as_dict(None)["rows"] == 0 and not clean.notes


def test_a_row_that_is_there_often_is_counted_once_and_few_pairs_are_kept() -> None:
    rng = random.Random(0)
    texts = [f"{LONG} {''.join(rng.choices('abcdef', k=6))}" for _ in range(40)]
    parts = Parts(tuple(row(text) for text in texts), (), tuple(row(f"{text} now") for text in texts))
    doubled = find_duplicates(parts)
    assert {pair.row for pair in doubled.pairs} == {0}  # the first one that is alike is enough
    assert len(doubled.pairs) == 40 and len(doubled.as_dict(None)["pairs"]) == MOST_SHOWN


def test_thousands_of_rows_of_one_template_take_seconds() -> None:
    rng = random.Random(0)

    def made(index: int) -> dspy.Example:
        word = "".join(rng.choices("abcdefghij", k=8))
        return row(f"Please put the following English word {word} into French and write only it")

    rows = tuple(made(index) for index in range(3_000))
    begun = time.monotonic()
    doubled = find_duplicates(Parts(rows[:2_400], (), rows[2_400:]))
    assert doubled.pairs == () and time.monotonic() - begun < 10
