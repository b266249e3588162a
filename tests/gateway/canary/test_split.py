"""Tests for gateway/canary/split.py: who is sent to the canary."""

from __future__ import annotations

import pytest

from gateway.access.caller import Caller
from gateway.canary.split import place_of, who_asks
from gateway.errors import Header
from gateway.visit import Visit

VERSION, OTHER = "0123456789ab", "ba9876543210"
CALLERS = [f"key-{number}".encode() for number in range(4_000)]


def visit(session: bytes | None = None, caller: str | None = None) -> Visit:
    headers: list[Header] = [] if session is None else [(b"x-smallforge-session", session)]
    return Visit("/", headers, 0.0, own=headers, caller=None if caller is None else Caller(caller, "a name"))


@pytest.mark.parametrize("weight", [0.01, 0.1, 0.5, 0.99])
def test_a_weight_is_the_share_of_callers(weight: float) -> None:
    share = sum(place_of(VERSION, who) < weight for who in CALLERS) / len(CALLERS)
    assert share == pytest.approx(weight, abs=0.02)


def test_every_place_is_below_one() -> None:
    assert max(place_of(VERSION, who) for who in CALLERS) < 1


def test_another_version_tries_other_callers() -> None:
    first, second = ({who for who in CALLERS if place_of(version, who) < 0.1} for version in (VERSION, OTHER))
    assert len(first & second) < len(first) / 2


def test_a_caller_is_its_key_and_its_session() -> None:
    assert who_asks(visit(caller="k1")) == who_asks(visit(caller="k1")) != who_asks(visit(caller="k2"))
    assert who_asks(visit(b"s", "k1")) not in (who_asks(visit(caller="k1")), who_asks(visit(b"s", "k2")))
    assert who_asks(visit(b"s")) == who_asks(visit(b"s")) != who_asks(visit(b"t"))


def test_who_is_not_known_is_someone_else_each_time() -> None:
    assert who_asks(visit()) != who_asks(visit())
