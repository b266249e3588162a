from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from compiler.calls import Books, RecordedModel
from compiler.charge import Unknown
from compiler.ledger import Ledger
from compiler.spending import Spending
from compiler.window import Window
from engine.chat import Reply, Usage
from engine.errors import ContextWindowExceeded
from tests.compiler.scripted import Adder


class Counting(Adder):
    """A token for every character; a prompt and its reply beyond `window` are refused."""

    def __init__(self, window: int = 10_000) -> None:
        super().__init__()
        self.window = window

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        self.calls += 1
        tokens, said = characters(messages), params["max_tokens"]
        assert isinstance(said, int)
        if tokens + said > self.window:
            raise ContextWindowExceeded("too long")
        return Reply("4", "", "stop", Usage(tokens, 1), "adder")


class Tokenizing(Counting):
    async def tokenize(self, messages: Sequence[object]) -> list[int] | None:
        return [0] * characters(messages)


def characters(messages: Sequence[Any]) -> int:
    return sum(len(message["content"]) for message in messages)


def ask(length: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": "x" * length}]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "calls.sqlite") as ledger:
        yield ledger


def window(ledger: Ledger, model: Adder, tokens: int | None) -> tuple[Window, RecordedModel]:
    recorded = RecordedModel(model, {}, Books(ledger, Spending(ledger), Unknown()), asyncio.Semaphore(4))
    return Window(recorded, tokens), recorded


async def test_where_the_server_tokenizes_the_last_token_counts_and_nothing_is_asked(ledger: Ledger) -> None:
    model = Tokenizing()
    room, _ = window(ledger, model, 100)
    assert await room.count(ask(40)) == 40
    assert await room.holds(ask(90), 10) and not await room.holds(ask(91), 10)
    assert model.calls == 0 and room.counting == "tokenizer"


async def test_elsewhere_prompts_are_reckoned_from_the_first_ones(ledger: Ledger) -> None:
    model = Counting()
    room, recorded = window(ledger, model, 1000)
    await recorded.complete(ask(500), {"temperature": 0, "max_tokens": 5})
    about = await room.count(ask(600))
    assert about is not None and 570 < about < 630 and room.counting == "reckoned"
    assert await room.holds(ask(300), 10) and not await room.holds(ask(2000), 10)
    assert model.calls == 1


async def test_near_the_window_one_token_is_asked_for(ledger: Ledger) -> None:
    model = Counting(1000)
    room, recorded = window(ledger, model, 1000)
    await recorded.complete(ask(500), {"temperature": 0, "max_tokens": 5})
    assert await room.holds(ask(990), 10) and not await room.holds(ask(991), 10)
    assert not await room.holds(ask(1000), 10)
    assert model.calls == 4 and sum(made.calls for made in ledger.totals().values()) == 3


async def test_where_nobody_tells_anything_everything_fits(ledger: Ledger) -> None:
    unknown, _ = window(ledger, Tokenizing(), None)
    uncounted, _ = window(ledger, Adder(), 100)
    assert await unknown.holds(ask(9999), 10) and await uncounted.holds(ask(9999), 10)
    assert await uncounted.count(ask(5)) is None
