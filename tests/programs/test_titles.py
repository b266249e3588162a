from __future__ import annotations

import asyncio
from typing import Any

import dspy
import pytest

from programs.measuring import measure
from programs.titles import joined, parted, title_recall

METRIC = title_recall("titles")


def recall(label: Any, said: Any) -> float:
    return METRIC(dspy.Example(titles=label), dspy.Prediction(titles=said))


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ("Steins;Gate | Kingston", 1.0),
        (["kingston ", "STEINS;GATE", "Another"], 1.0),
        ('["Kingston"]\n- Steins;Gate', 1.0),
        ("Kingston upon Hull | Steins;Gate", 0.5),
        ("Kingston", 0.5),
        ("", 0.0),
        ([], 0.0),
        (None, 0.0),
    ],
)
def test_a_title_counts_where_it_is_named_whole(said: Any, score: float) -> None:
    assert recall("Steins;Gate | Kingston", said) == recall(["Steins;Gate", "Kingston"], said) == score


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("A\nB", "Ollen | A B"),
        ("\u202eنهر", "Ollen | \u202eنهر"),
    ],
)
def test_a_title_is_named_as_the_prompt_shows_it(title: str, said: str) -> None:
    assert recall(joined([title, "Ollen"]), said) == recall([title, "Ollen"], said) == 1.0


def test_a_label_without_titles_has_none_to_miss() -> None:
    assert recall("", "anything") == recall([], "anything") == 1.0


def test_what_is_missing_is_told() -> None:
    example = dspy.Example(titles="Ollen | Varrow")
    found = asyncio.run(measure(METRIC, example, dspy.Prediction(titles="Ollen")))
    assert found.feedback == "titles: missing 1 of 2 titles: 'Varrow'"


def test_titles_come_back_from_one_text() -> None:
    titles = ["Blue (song)", "Osk & Daughters", "שיר", "AC/DC"]
    assert parted(joined(titles)) == titles
