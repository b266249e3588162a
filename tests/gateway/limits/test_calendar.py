"""Days and months are UTC's, wherever the machine stands."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.limits.calendar import Calendar, Today, Window


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("now", "day", "day_ends", "month", "month_ends"),
    [
        ("2026-11-27T17:00:00", "2026-11-27", "2026-11-28", "2026-11", "2026-12-01"),
        ("2026-12-31T23:59:59.999", "2026-12-31", "2027-01-01", "2026-12", "2027-01-01"),
        ("2028-02-28T00:00:00", "2028-02-28", "2028-02-29", "2028-02", "2028-03-01"),
        ("2027-01-31T12:00:00", "2027-01-31", "2027-02-01", "2027-01", "2027-02-01"),
    ],
)
def test_a_time_lies_in_a_day_and_a_month(
    now: str, day: str, day_ends: str, month: str, month_ends: str
) -> None:
    assert Calendar().at(at(now)) == Today(Window(day, at(day_ends)), Window(month, at(month_ends)))


def test_a_day_is_over_at_midnight() -> None:
    calendar = Calendar()
    times = ("2026-11-27T23:59:59", "2026-11-28T00:00:00", "2026-11-27T23:59:59")
    assert [calendar.at(at(time)).day.name for time in times] == ["2026-11-27", "2026-11-28", "2026-11-27"]
