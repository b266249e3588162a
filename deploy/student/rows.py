"""Rows of training text: chats as tokens, end to end, prepared while the last row trains.

A row depends on the seed and the tokens before it alone, so a resumed run sees what an unbroken one would.
"""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from deploy.student import tokenizer as pieces
from deploy.student.corpus import Corpus, Level


@dataclass(frozen=True)
class Row:
    """Chats end to end, and the positions whose tokens are learned."""

    ids: Tensor
    lengths: list[int]
    learned: Tensor


class Rows:
    """A row depends on the seed and the tokens before it alone: resumed runs see what unbroken ones do."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, seed: int, row: int) -> None:
        self.corpus, self.tokenizer, self.seed, self.row = Corpus(), tokenizer, seed, row
        self.roles = {role: tokenizer.convert_tokens_to_ids(mark) for role, mark in pieces.ROLES.items()}
        self.end = tokenizer.convert_tokens_to_ids(pieces.END)

    def at(self, seen: int) -> Row:
        rng = random.Random(f"{self.seed} {seen}")
        level = Level.at(seen)
        ids: list[int] = []
        learned: list[bool] = []
        lengths: list[int] = []
        misses = 0
        while misses < 8 and len(ids) < self.row - 64:
            chat, marks = self._copies(rng) if rng.random() < level.copies else self._chat(rng, level)
            if len(ids) + len(chat) > self.row:
                misses += 1
                continue
            ids += chat
            learned += marks
            lengths.append(len(chat))
        if len(ids) < self.row:
            lengths.append(self.row - len(ids))
            learned += [False] * lengths[-1]
            ids += [self.end] * lengths[-1]
        return Row(torch.tensor(ids), lengths, torch.tensor(learned).nonzero()[:, 0])

    def _chat(self, rng: random.Random, level: Level) -> tuple[list[int], list[bool]]:
        turns = self.corpus.chat(rng, level)
        text = "".join(f"{pieces.ROLES[t.role]}{t.content}{pieces.END}" for t in turns)
        ids = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        learned, replies, on = [], iter([t.learned for t in turns if t.role == "assistant"]), False
        for token in ids:
            learned.append(on)
            if token == self.roles["assistant"]:
                on = next(replies)
            elif token == self.end:
                on = False
        return ids, learned

    def _copies(self, rng: random.Random) -> tuple[list[int], list[bool]]:
        """A random passage said again, to keep copying from the context."""
        size = len(self.tokenizer)
        passage = [rng.randrange(5, size) for _ in range(rng.randint(8, 40))]
        again = rng.randint(1, 3)
        return passage * (1 + again), [False] * (len(passage) + 1) + [True] * (len(passage) * again - 1)


def ahead(rows: Rows, first: int, stride: int) -> Iterator[Row]:
    """Rows from the one after `first` tokens on, prepared on a thread while the last one trains."""
    ready: queue.Queue[Row] = queue.Queue(maxsize=8)

    def fill() -> None:
        seen = first
        while True:
            ready.put(rows.at(seen))
            seen += stride

    threading.Thread(target=fill, daemon=True).start()
    while True:
        yield ready.get()
