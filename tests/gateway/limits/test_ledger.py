"""What was spent outlives the process that counted it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.limits.counting import Change
from gateway.limits.in_process import InProcess
from gateway.limits.ledger import Ledger
from gateway.stores.database import Database
from tests.engine.clock import Clock
from tests.gateway.access.issuing import where_keys_are
from tests.gateway.limits.places import Place, usd
from tests.gateway.limits.stampede import stampede
from tests.gateway.limits.test_allowance import BY_TOKEN
from tests.gateway.serving import fingerprint_of, make_plan, put_release, running_gateway, settings_for
from tests.gateway.upstream import Upstream

TODAY = "1970-01-01"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(str(tmp_path / "gateway.db"))
    yield database
    await database.close()


async def opened(database: Database) -> Place:
    counting = InProcess(Clock(), Ledger(database))
    await counting.open([TODAY])
    return Place(counting, Clock())


async def spend(place: Place, estimate: float, truth: float) -> None:
    id, reserved = await place.ask(usd(estimate))
    await place.settle(id, Change(usd(estimate), truth - estimate, reserved.at))


async def test_a_budget_goes_on_where_the_process_before_left_it(database: Database) -> None:
    first = await opened(database)
    await spend(first, estimate=0.5, truth=0.25)
    await spend(first, estimate=0.5, truth=0.5)
    await first.ask(usd(0.1))  # what still runs is not spent yet
    await first.counting.close()
    second = await opened(database)
    assert (await second.ask(usd(0.0)))[1].standings[0].left == pytest.approx(0.25)


async def test_what_two_processes_spent_adds_up(database: Database) -> None:
    """As for a moment, when one takes over from the other."""
    old, new = await opened(database), await opened(database)
    await spend(old, estimate=0.5, truth=0.25)
    await spend(new, estimate=0.5, truth=0.5)
    await old.counting.close()
    await new.counting.close()
    third = await opened(database)
    assert (await third.ask(usd(0.0)))[1].standings[0].left == pytest.approx(0.25)


async def test_yesterdays_spending_is_not_todays(database: Database) -> None:
    first = await opened(database)
    await spend(first, estimate=1.0, truth=1.0)
    await first.counting.close()
    counting = InProcess(Clock(), Ledger(database))
    await counting.open(["1970-01-02"])
    assert await Place(counting, Clock()).granted(usd(0.1, day=1))


def test_a_gateway_that_is_started_again_still_knows_what_was_spent(
    tmp_path: Path, upstream: Upstream
) -> None:
    put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
    lines = f'{where_keys_are(tmp_path)}\n[limits."*"]\nusd_per_month = 0.2'
    settings = settings_for(tmp_path, upstream.url, price=BY_TOKEN, gateway=lines)
    with running_gateway(settings) as gateway:
        assert [dict(stampede(1, [gateway.url]).statuses) for _ in range(2)] == [{200: 1}, {200: 1}]
    with running_gateway(settings) as gateway:
        assert stampede(1, [gateway.url]).codes == {"insufficient_quota": 1}
