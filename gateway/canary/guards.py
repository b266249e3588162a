"""Judges a candidate by what it and the champion answered in the same time.

A guard is broken when chance no longer explains what was seen: by intervals that hold the truth 999 times in
1,000, so that a canary of few requests is neither ended by one bad answer nor kept through twenty.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from programs.canary import CanaryGuards, GuardName
from programs.proportions import Counted, difference_bounds, share_bounds

_SURELY = 3.090  # of a standard normal distribution, 99.9 % lie below
_SLOW = 0.05  # share of answers that take longer than the 95th percentile


class Answer(NamedTuple):
    """How one request ended; `seconds` counts where it was answered."""

    at: float
    failed: bool
    unparseable: bool
    seconds: float


class Tally(NamedTuple):
    """What a release answered within the window."""

    failed: Counted
    unparseable: Counted
    seconds: Sequence[float]
    """Of those that were answered, the fastest first."""

    @classmethod
    def of(cls, answers: Iterable[Answer]) -> Tally:
        known = list(answers)
        return cls(
            Counted(sum(answer.failed for answer in known), len(known)),
            Counted(sum(answer.unparseable for answer in known), len(known)),
            sorted(answer.seconds for answer in known if not answer.failed and not answer.unparseable),
        )


class Broken(NamedTuple):
    guard: GuardName
    reason: str


def judge(guards: CanaryGuards, champion: Tally, candidate: Tally) -> Broken | None:
    """The first guard that the candidate broke."""
    if candidate.failed.n < guards.min_requests:
        return None
    # A champion that answered too little to compare with is taken to make no mistakes.
    known = champion.failed.n >= guards.min_requests
    failed = champion.failed if known else Counted(0, candidate.failed.n)
    unparseable = champion.unparseable if known else Counted(0, candidate.failed.n)
    found = [
        *_shares("errors", failed, candidate.failed, guards.max_error_increase, guards.max_errors),
        *_shares(
            "unparseable",
            unparseable,
            candidate.unparseable,
            guards.max_unparseable_increase,
            guards.max_unparseable,
        ),
        *_latency(guards, champion.seconds, candidate.seconds),
    ]
    return found[0] if found else None


def percentile_95(seconds: Sequence[float]) -> float:
    """Of sorted times."""
    return seconds[min(len(seconds) - 1, int(len(seconds) * (1 - _SLOW)))]


def _shares(
    guard: GuardName, before: Counted, after: Counted, increase: float | None, most: float | None
) -> Iterator[Broken]:
    told = f"{after.hits} of {after.n} requests ({_percent(after.share)})"
    what = "failed" if guard == "errors" else "could not be read or broke a check"
    if most is not None and share_bounds(after, _SURELY).low > most:
        yield Broken(guard, f"{told} {what}, at most {_percent(most)} may")
    if increase is not None and difference_bounds(before, after, _SURELY).low > increase:
        champion = f"against {before.hits} of {before.n} ({_percent(before.share)}) of the champion"
        yield Broken(guard, f"{told} {what}, {champion}; at most {100 * increase:.3g} points more may")


def _latency(guards: CanaryGuards, before: Sequence[float], after: Sequence[float]) -> Iterator[Broken]:
    """Too many of the candidate's answers take longer than 95 % may."""
    if guards.max_p95_seconds is not None:
        slow = _slower(after, guards.max_p95_seconds)
        if share_bounds(slow, _SURELY).low > _SLOW:
            yield _slow(slow, after, f"at most {guards.max_p95_seconds:.3g} s are allowed")
    if guards.max_p95_increase is not None and len(before) >= guards.min_requests:
        usual = percentile_95(before)
        slow = _slower(after, usual * (1 + guards.max_p95_increase))
        of_champion = Counted(round(_SLOW * len(before)), len(before))
        if difference_bounds(of_champion, slow, _SURELY).low > 0:
            allowed = f"at most {100 * guards.max_p95_increase:.3g} % more are allowed"
            yield _slow(slow, after, f"the champion's is {usual:.3g} s, and {allowed}")


def _slower(seconds: Sequence[float], limit: float) -> Counted:
    return Counted(len(seconds) - bisect_right(seconds, limit), len(seconds))


def _slow(slow: Counted, seconds: Sequence[float], allowed: str) -> Broken:
    told = f"95 % of {slow.n} answers came within {percentile_95(seconds):.3g} s; {allowed}"
    return Broken("latency", told)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
