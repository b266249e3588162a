from __future__ import annotations

import random
from collections import Counter

from programs.tasks.lexicon import NAMES, pronoun, share_of


def test_content_alone_decides_the_share() -> None:
    assert share_of("Anna has 3 cups.") == share_of("Anna has " + "3 cups.")


def test_a_tenth_each_goes_to_test_dev_and_train_and_the_rest_to_the_corpus() -> None:
    rng = random.Random(0)
    shares = Counter(share_of(str(rng.random())) for _ in range(5000))
    assert set(shares) == {"test", "dev", "train", "corpus"}
    assert all(400 < shares[share] < 600 for share in ("test", "dev", "train"))


def test_names_are_distinct_and_each_has_its_pronoun() -> None:
    assert len(set(NAMES)) == len(NAMES) == 24
    assert (pronoun("Anna"), pronoun("Adam")) == ("she", "he")
