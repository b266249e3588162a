"""Tests for gateway/fleet/choice.py: releases keep their engines, and none has much more than its share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import pytest

from engine.local import Student, open_student
from engine.settings import Settings
from engine.settings_fleet import FleetSettings
from gateway.fleet.choice import chosen, ranked
from gateway.fleet.gauges import FleetMetrics, Series
from gateway.fleet.member import Member
from gateway.metrics import Metrics
from gateway.place import Place

KEYS = [f"{number:012x}" for number in range(600)]


def never_opened() -> AbstractAsyncContextManager[Student]:
    return open_student(Settings())


@pytest.fixture
def five() -> list[Member]:
    """Engines of which none is better than the others."""
    series = Series(FleetMetrics(Metrics()), "lab")
    labels = [f"10.0.0.{number}:8000" for number in range(5)]
    places = [Place(label, never_opened, lambda _: None, lambda: None, 60.0) for label in labels]
    return [
        Member(place, place.name, FleetSettings(), series.of_member(place.name), lambda: 0.0)
        for place in places
    ]


def enter(ranking: Sequence[Member], settings: FleetSettings, calls: int) -> list[Member | None]:
    """Who gets so many calls at once."""
    asked = []
    for _ in range(calls):
        member = chosen(ranking, (), settings)
        asked.append(member)
        if member is not None:
            member.enter()
    return asked


def test_releases_are_spread_over_the_engines(five: list[Member]) -> None:
    first = Counter(ranked(key, five)[0].label for key in KEYS)
    assert len(first) == 5 and min(first.values()) > 600 / 5 / 2


def test_an_engine_that_goes_leaves_the_other_releases_where_they_are(five: list[Member]) -> None:
    gone = five[2]
    left = [member for member in five if member is not gone]
    for key in KEYS:
        assert ranked(key, left) == tuple(member for member in ranked(key, five) if member is not gone)


def test_a_release_with_few_calls_stays_where_it_is(five: list[Member]) -> None:
    ranking = ranked("quiz", five)
    assert enter(ranking, FleetSettings(together=8), 8) == [ranking[0]] * 8


def test_a_hot_release_spreads_and_no_engine_has_more_than_its_share(five: list[Member]) -> None:
    ranking = ranked("quiz", five)
    asked = enter(ranking, FleetSettings(together=4), 100)
    assert asked[:6] == [ranking[0]] * 4 + [ranking[1]] * 2, "the next in its order comes second"
    assert max(member.in_flight for member in five) <= 1.25 * 100 / 5 + 1
    assert sum(member.in_flight > 0 for member in five) >= 4


def test_a_full_fleet_has_nobody_to_ask(five: list[Member]) -> None:
    ranking, settings = ranked("quiz", five), FleetSettings(max_in_flight=2, together=1)
    asked = enter(ranking, settings, 11)
    assert None not in asked[:10] and asked[10] is None
    five[3].leave(None, was_trial=False)
    assert chosen(ranking, (), settings) is five[3]


def test_who_was_tried_is_not_tried_again(five: list[Member]) -> None:
    ranking, settings = ranked("quiz", five), FleetSettings()
    assert chosen(ranking, ranking[:2], settings) is ranking[2]
    assert chosen(ranking, ranking, settings) is None
