from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from programs.embedding import HashedNgrams, read_embedder
from programs.errors import ReleaseInvalid

TEXTS = [
    "I was charged twice this month.",
    "The app crashes when I open a photo.",
    "Do you have a plan for schools?",
    "My card was charged for the wrong plan.",
]
LEARNT = HashedNgrams.learn(TEXTS)


def embed(*texts: str) -> list[list[float]]:
    return asyncio.run(LEARNT.embed(texts))


def cosine(one: str, other: str) -> float:
    a, b = embed(one, other)
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_texts_that_share_rare_words_or_their_parts_are_nearer() -> None:
    assert cosine("charged again", TEXTS[0]) > cosine("charged again", TEXTS[1])
    assert cosine("photos", TEXTS[1]) > cosine("photos", TEXTS[2])


def test_vectors_are_of_one_width_and_length_one_with_few_numbers() -> None:
    for vector in embed(*TEXTS, " ".join(TEXTS) * 9):
        assert len(vector) == LEARNT.width and math.isclose(sum(x * x for x in vector), 1.0)
        assert sum(map(bool, vector)) <= HashedNgrams.STRONGEST


def test_case_and_order_of_words_do_not_matter() -> None:
    assert embed("Crashes the APP") == embed("app the crashes")


@pytest.mark.parametrize("text", ["", "?!", "zzzz qqqq", "\ud800"])
def test_a_text_without_known_features_is_all_zeros(text: str) -> None:
    assert not any(embed(text)[0])


def test_what_lies_beyond_the_characters_that_count_changes_nothing() -> None:
    text = "photo " * 1_000
    assert embed(text) == embed(text + TEXTS[0])


def test_another_process_finds_the_same_vector() -> None:
    script = (
        "import asyncio, sys; from programs.embedding import HashedNgrams as H;"
        f"print(asyncio.run(H.learn({TEXTS!r}).embed(['charged photo'])))"
    )
    root = Path(__file__).parents[2]
    shown = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, check=True)
    assert json.loads(shown.stdout) == embed("charged photo")


def test_a_description_gives_the_same_embedder_back() -> None:
    assert read_embedder(json.loads(json.dumps(LEARNT.as_dict()))) == LEARNT


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "word2vec"}, "embedder 'word2vec' is unknown here: known are hashed-ngrams"),
        ({"name": ["x"]}, "is unknown here"),
        ({"path": "somewhere"}, "path"),
        ({"rarity": [1.0]}, "at least 2048"),
        ({"rarity": [math.nan] * 2048}, "rarity.0: Input should be"),
        ({"rarity": [math.inf] * 2048}, "rarity.0: Input should be"),
        ({"rarity": [[]] * 2048}, "rarity.0"),
    ],
)
def test_a_forged_description_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ReleaseInvalid, match=reason):
        read_embedder(LEARNT.as_dict() | change)
