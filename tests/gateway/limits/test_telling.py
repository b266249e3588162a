"""What clients are told: times as OpenAI writes them, and the limit that matters."""

from __future__ import annotations

import pytest

from engine.settings_limits import LimitSettings
from gateway.errors import GatewayError
from gateway.limits.ceilings import Ceiling, ceilings
from gateway.limits.counting import Claim, Standing
from gateway.limits.telling import duration, refusal, standing_headers

RPM, TPM, SEATS, DAY, _ = ceilings("key", "k1", LimitSettings(60, 1000, 4, 2.5, 9.0))


def refused(*found: tuple[Ceiling, Standing]) -> tuple[Ceiling, GatewayError]:
    limits, standings = zip(*found, strict=True)
    claims = [Claim(limit.counter, limit.kind, limit.limit, 1) for limit in limits]
    return refusal(limits, claims, standings, "quiz")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0s"), (-1, "0s"), (0.0004, "1ms"), (0.008, "8ms"), (0.9996, "1s"), (1, "1s"), (1.5, "1.5s"),
        (59.9999, "1m0s"), (360, "6m0s"), (3603, "1h0m3s"), (86_400, "24h0m0s"), (61.25, "1m1.25s"),
    ],
)  # fmt: skip
def test_times_are_written_as_openai_writes_them(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_headers_say_what_is_left_and_when_all_of_it_is_back() -> None:
    headers = dict(
        standing_headers(
            [RPM, TPM, SEATS], [Standing(True, 45, 15), Standing(True, 1000, 0), Standing(True, 3, 0)]
        )
    )
    assert headers == {
        b"x-ratelimit-limit-requests": b"60",
        b"x-ratelimit-remaining-requests": b"45",
        b"x-ratelimit-reset-requests": b"15s",
        b"x-ratelimit-limit-tokens": b"1000",
        b"x-ratelimit-remaining-tokens": b"1000",
        b"x-ratelimit-reset-tokens": b"0s",
    }  # fmt: skip


def test_of_limits_that_refuse_the_one_for_longest_is_told() -> None:
    ceiling, error = refused((RPM, Standing(False, 0, 1.0)), (TPM, Standing(False, 10, 7.5)))
    assert ceiling is TPM and error.type == "tokens"
    told = dict(error.headers())
    assert (told[b"retry-after"], told[b"retry-after-ms"]) == (b"8", b"7500")
    assert told[b"x-ratelimit-remaining-requests"] == b"0"


def test_a_spent_budget_is_told_before_anything_else() -> None:
    ceiling, error = refused((RPM, Standing(False, 0, 59.0)), (DAY, Standing(False, 0, 30.0)))
    assert ceiling is DAY and error.code == "insufficient_quota"
    assert error.message == (
        "You exceeded your current quota: this key may cost 2.5 USD per day, and that is spent. The next "
        "day begins in 30s, at midnight UTC."
    )
    assert dict(error.headers()) == {b"x-should-retry": b"false", b"retry-after": b"30"}
