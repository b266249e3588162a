from __future__ import annotations

import pytest
import torch

from deploy.student import tokenizer as pieces
from deploy.student.corpus import Corpus
from deploy.student.rows import Rows


@pytest.fixture(scope="module")
def rows() -> Rows:
    return Rows(pieces.build(Corpus().sample(0, 100)), seed=0, row=1024)


def test_a_row_is_full_and_the_same_each_time(rows: Rows) -> None:
    first, second = rows.at(9_000_000), rows.at(9_000_000)
    assert sum(first.lengths) == len(first.ids) == 1024
    assert torch.equal(first.ids, second.ids) and torch.equal(first.learned, second.learned)


def test_what_is_learned_are_the_assistants_words_and_their_end(rows: Rows) -> None:
    row = rows.at(9_000_000)
    text = rows.tokenizer.decode(row.ids[row.learned])
    assert "<|end|>" in text and "[[ ## completed ## ]]" in text
    assert not any(mark in text for mark in ("<|user|>", "<|system|>", "<|assistant|>", "Respond with"))
