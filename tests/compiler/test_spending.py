from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compiler.errors import CeilingExceeded, SearchEnded
from compiler.ledger import Ledger, Made, RecordedReply, RecordedUsage
from compiler.spending import Ceiling, Reserve, Spending

REPLY = RecordedReply("said", "", "stop", "m", RecordedUsage(10, 5, None, 0.5), 0.5, 0.1)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "calls.sqlite") as ledger:
        yield ledger


def made(spending: Spending, calls: int) -> None:
    for _ in range(calls):
        with spending.call():
            spending.add(REPLY)


@pytest.mark.parametrize("ceiling", [Ceiling(usd=5.0), Ceiling(calls=10)])
def test_a_search_leaves_what_is_kept_for_measuring(ledger: Ledger, ceiling: Ceiling) -> None:
    spending = Spending(ledger, ceiling)
    spending.begin("optimise", Reserve(usd=2.0, calls=4))
    with pytest.raises(SearchEnded, match="kept for measuring"):
        made(spending, 99)
    assert spending.spent().calls == 6
    spending.begin("score")
    with pytest.raises(CeilingExceeded, match="can be resumed with a higher one"):
        made(spending, 99)
    assert spending.spent().calls == 10


def test_calls_under_way_count_too(ledger: Ledger) -> None:
    spending = Spending(ledger, Ceiling(calls=2))
    spending.begin("optimise")
    with spending.call(), spending.call(), pytest.raises(SearchEnded, match="made 2 calls"), spending.call():
        pass


def test_measuring_that_an_earlier_run_paid_is_kept_no_more(ledger: Ledger) -> None:
    for number in range(3):
        ledger.record(str(number), 0, REPLY, Made("score", "student"))
    spending = Spending(ledger, Ceiling(calls=10))
    spending.begin("optimise", Reserve(calls=4))
    with pytest.raises(SearchEnded):
        made(spending, 99)
    assert spending.spent().calls == 9


def test_where_not_even_measuring_fits_it_is_said_with_numbers(ledger: Ledger) -> None:
    spending = Spending(ledger, Ceiling(calls=10))
    spending.refuse_without_room(Reserve(calls=10))
    with pytest.raises(CeilingExceeded, match=r"ceiling is 10 calls, and measuring alone .* 11 calls"):
        spending.refuse_without_room(Reserve(calls=11))


def test_time_ends_a_search_but_nothing_else(ledger: Ledger) -> None:
    spending = Spending(ledger, Ceiling(minutes=0.001))
    spending.begin("optimise", Reserve(seconds=60))
    with pytest.raises(SearchEnded, match=r"run 0\.0 minutes, the ceiling is 0.001 minutes, 1\.0 kept"):
        made(spending, 1)
    spending.begin("score")
    made(spending, 1)


def test_what_was_spent_is_told_by_phase_and_model(ledger: Ledger) -> None:
    spending = Spending(ledger)
    made(spending, 2)
    spending.begin("optimise")
    spending.add(REPLY, "teacher")
    told = [(part.phase, part.role, part.calls, part.usd) for part in spending.spent().phases]
    assert told == [("check", "student", 2, 1.0), ("optimise", "teacher", 1, 0.5)]
