from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from compiler.calls import Books, RecordedModel
from compiler.charge import Unknown
from compiler.errors import CeilingExceeded, SearchEnded
from compiler.ledger import Ledger, total
from compiler.spending import Ceiling, Reserve, Spending
from engine.chat import Delta, Reply
from engine.errors import (
    ContextWindowExceeded,
    EngineRateLimited,
    EngineRequestRefused,
    EngineServerError,
    EngineUnreachable,
)
from programs.together import together
from tests.compiler.scripted import Adder

GREEDY: Mapping[str, object] = {"temperature": 0.0, "max_tokens": 9}
SAMPLED: Mapping[str, object] = {"temperature": 1.0, "max_tokens": 9}


def ask(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


class Failing(Adder):
    """Raises the given errors first, one per call, then answers."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        if self.errors:
            raise self.errors.pop(0)
        return await super().complete(messages, params)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "calls.sqlite") as ledger:
        yield ledger


def recorded(model: Any, ledger: Ledger, slots: int = 16, **spending: Any) -> RecordedModel:
    books = Books(
        ledger, Spending(ledger, Ceiling(spending.get("max_usd"))), spending.get("charge", Unknown())
    )
    return RecordedModel(model, {"name": "adder"}, books, asyncio.Semaphore(slots), pauses=(0.0, 0.0))


async def test_a_greedy_call_is_made_once_however_often_it_is_asked(ledger: Ledger) -> None:
    adder = Adder()
    model = recorded(adder, ledger)
    replies = [await model.complete(ask("1 + 2"), GREEDY) for _ in range(3)]
    assert adder.calls == 1 and len({reply.text for reply in replies}) == 1


async def test_the_same_greedy_call_under_way_is_joined(ledger: Ledger) -> None:
    adder = Adder(pause=0.01)
    model = recorded(adder, ledger)
    await asyncio.gather(*(model.complete(ask("1 + 2"), GREEDY) for _ in range(5)))
    assert adder.calls == 1


async def test_one_waiter_may_leave_without_ending_the_call_of_another(ledger: Ledger) -> None:
    model = recorded(Adder(pause=0.01), ledger)
    leaving, staying = (asyncio.ensure_future(model.complete(ask("1 + 2"), GREEDY)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert "4" in (await staying).text


async def test_a_call_that_nobody_waits_for_is_given_up(ledger: Ledger) -> None:
    adder = Adder(pause=5)
    waiting = asyncio.ensure_future(recorded(adder, ledger).complete(ask("1 + 2"), GREEDY))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.sleep(0.01)
    assert adder.at_once == 0 and total(ledger.totals().values()).calls == 0


async def test_sampled_repeats_stay_distinct_and_are_replayed_in_order(ledger: Ledger) -> None:
    adder = Adder()
    first = recorded(adder, ledger)
    await first.complete(ask("1 + 2"), SAMPLED)
    await first.complete(ask("1 + 2"), SAMPLED)
    resumed = recorded(adder, ledger)
    for _ in range(3):
        await resumed.complete(ask("1 + 2"), SAMPLED)
    assert adder.calls == 3 and total(ledger.totals().values()).calls == 3


async def test_another_model_is_never_answered_from_this_ones_calls(ledger: Ledger) -> None:
    adder = Adder()
    await recorded(adder, ledger).complete(ask("1 + 2"), GREEDY)
    books = Books(ledger, Spending(ledger), Unknown())
    other = RecordedModel(adder, {"name": "other"}, books, asyncio.Semaphore(1))
    await other.complete(ask("1 + 2"), GREEDY)
    assert adder.calls == 2


async def test_no_more_calls_run_at_once_than_allowed(ledger: Ledger) -> None:
    adder = Adder(pause=0.005)
    model = recorded(adder, ledger, slots=3)
    await asyncio.gather(*(model.complete(ask(f"{n} + 2"), GREEDY) for n in range(12)))
    assert adder.most_at_once == 3


async def test_what_may_succeed_later_is_tried_again(ledger: Ledger) -> None:
    model = recorded(Failing(EngineServerError("busy"), EngineRateLimited("slower", retry_after=0.0)), ledger)
    assert "4" in (await model.complete(ask("1 + 2"), GREEDY)).text
    assert model.failure is None


async def test_what_stops_the_build_is_kept(ledger: Ledger) -> None:
    model = recorded(Failing(*[EngineServerError("out of memory")] * 3), ledger)
    with pytest.raises(EngineServerError):
        await model.complete(ask("1 + 2"), GREEDY)
    assert isinstance(model.failure, EngineServerError)


async def test_an_engine_that_never_answered_is_not_waited_for(ledger: Ledger) -> None:
    failing = Failing(*[EngineUnreachable("no engine at http://127.0.0.1:9")] * 2)
    with pytest.raises(EngineUnreachable):
        await recorded(failing, ledger).complete(ask("1 + 2"), GREEDY)
    assert failing.calls == 0


async def test_a_connection_that_has_gone_stale_is_opened_once_more(ledger: Ledger) -> None:
    model = recorded(Failing(EngineUnreachable("Server disconnected")), ledger)
    assert "4" in (await model.complete(ask("1 + 2"), GREEDY)).text


async def test_an_engine_that_is_away_is_waited_for_longer_than_one_that_fails(ledger: Ledger) -> None:
    failing = Failing()
    books = Books(ledger, Spending(ledger), Unknown())
    model = RecordedModel(failing, {}, books, asyncio.Semaphore(1), (0.0,), outage=(0.0, 0.0, 0.0))
    await model.complete(ask("1 + 2"), GREEDY)
    failing.errors += [EngineUnreachable("restarting"), EngineServerError("starting", status=503)] * 2
    assert "6" in (await model.complete(ask("2 + 3"), GREEDY)).text
    failing.errors += [EngineServerError("out of memory")] * 2
    with pytest.raises(EngineServerError):
        await model.complete(ask("3 + 3"), GREEDY)


async def test_who_asks_to_be_left_alone_for_an_hour_is_not_waited_for(ledger: Ledger) -> None:
    model = recorded(Failing(EngineRateLimited("slower", retry_after=3600.0)), ledger)
    with pytest.raises(EngineRateLimited):
        await model.complete(ask("1 + 2"), GREEDY)


async def test_an_engine_that_answered_before_is_tried_again(ledger: Ledger) -> None:
    failing = Failing()
    model = recorded(failing, ledger)
    await model.complete(ask("1 + 2"), GREEDY)
    failing.errors.append(EngineUnreachable("restarting"))
    assert "6" in (await model.complete(ask("2 + 3"), GREEDY)).text


async def test_a_prompt_that_is_too_long_stops_only_itself(ledger: Ledger) -> None:
    model = recorded(Failing(ContextWindowExceeded("too long")), ledger)
    with pytest.raises(ContextWindowExceeded):
        await model.complete(ask("1 + 2"), GREEDY)
    assert model.failure is None


async def test_a_refusal_by_a_model_that_never_answered_stops_the_build(ledger: Ledger) -> None:
    failing = Failing(EngineRequestRefused("no such model"))
    model = recorded(failing, ledger)
    with pytest.raises(EngineRequestRefused):
        await model.complete(ask("1 + 2"), GREEDY)
    assert model.failure is not None


async def test_a_refusal_of_one_prompt_stops_only_itself(ledger: Ledger) -> None:
    failing = Failing()
    model = recorded(failing, ledger)
    await model.complete(ask("1 + 2"), GREEDY)
    failing.errors.append(EngineRequestRefused("against the rules"))
    with pytest.raises(EngineRequestRefused):
        await model.complete(ask("2 + 3"), GREEDY)
    assert model.failure is None


class OneCent:
    """Every call costs a cent."""

    def open(self) -> OneCent:
        return self

    def close(self) -> None:
        pass

    def usd(self, usage: object) -> float:
        return 0.01

    def foresee(self, prompt_tokens: int, completion_tokens: int, seconds: float) -> float:
        return 0.01


async def test_no_call_is_made_above_the_ceiling_and_earlier_runs_count(ledger: Ledger) -> None:
    adder = Adder()
    before = recorded(adder, ledger, charge=OneCent())
    await before.complete(ask("1 + 2"), GREEDY)
    model = recorded(adder, ledger, charge=OneCent(), max_usd=0.02)
    await model.complete(ask("2 + 2"), GREEDY)
    with pytest.raises(CeilingExceeded, match=r"cost 0.0200 USD, the ceiling is 0.02 USD"):
        await model.complete(ask("3 + 2"), GREEDY)
    assert adder.calls == 2


async def test_the_calls_of_a_search_stop_at_the_ceiling_and_those_on_their_way_are_kept(
    ledger: Ledger,
) -> None:
    adder = Adder(pause=0.05)
    books = Books(ledger, Spending(ledger, Ceiling(calls=6)), Unknown())
    books.spending.begin("optimise", Reserve(calls=2))
    model = RecordedModel(adder, {}, books, asyncio.Semaphore(8))
    with pytest.raises(SearchEnded, match="made 4 calls, the ceiling is 6 calls, 2 kept for measuring"):
        await together(model.complete(ask(f"{n} + 2"), GREEDY) for n in range(8))
    await model.settle()
    assert adder.calls == total(ledger.totals().values()).calls == 4 and model.failure is None


async def test_who_stops_a_search_that_is_over_stops_the_calls_it_left_too(ledger: Ledger) -> None:
    adder = Adder(pause=5)
    books = Books(ledger, Spending(ledger), Unknown())
    books.spending.begin("optimise")
    model = RecordedModel(adder, {}, books, asyncio.Semaphore(8))
    asking = asyncio.ensure_future(model.complete(ask("1 + 2"), GREEDY))
    await asyncio.sleep(0.01)
    books.spending.search_over = True
    asking.cancel()
    settling = asyncio.ensure_future(model.settle())
    await asyncio.sleep(0.01)
    assert adder.at_once == 1
    settling.cancel()
    await asyncio.sleep(0.01)
    assert adder.at_once == 0 and len(asyncio.all_tasks()) == 1


class Tokenizing(Adder):
    """Counts a token for every character, as a server with vLLM's /tokenize would."""

    async def tokenize(self, messages: Sequence[object]) -> list[int] | None:
        return [0] * len(str(messages))


async def test_a_prompt_is_counted_without_a_call_where_the_server_can(ledger: Ledger) -> None:
    adder = Tokenizing()
    assert await recorded(adder, ledger).count(ask("1 + 2")) == len(str(ask("1 + 2")))
    assert await recorded(Adder(), ledger).count(ask("1 + 2")) is None
    assert adder.calls == 0 and total(ledger.totals().values()).calls == 0


async def test_a_stream_is_the_recorded_reply_in_one_piece(ledger: Ledger) -> None:
    model = recorded(Adder(), ledger)
    deltas: AsyncGenerator[Any, None] = model.stream(ask("1 + 2"), GREEDY)
    pieces = [delta async for delta in deltas]
    assert len(pieces) == 1 and isinstance(pieces[0].text, str) and not isinstance(pieces[0], Delta)
