from __future__ import annotations

import pytest

from compiler.report.text import count, duration, moment, one_line, p_value, percent, plain, points, usd


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "unknown"),
        (0, "0.00"),
        (12.5, "12.50"),
        (0.25, "0.2500"),
        (1.6e-7, "0.00000016"),
        (1e-30, "0.0000000000"),
    ],
)
def test_small_sums_are_never_written_with_an_exponent(amount: float | None, text: str) -> None:
    assert usd(amount) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "unknown"), (0.0731, "73 ms"), (4.26, "4.3 s"), (95, "1 min 35 s"), (7380, "2 h 3 min")],
)
def test_a_duration_is_as_exact_as_it_is_long(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_numbers_are_written_as_people_read_them() -> None:
    assert (count(1234567), count(4.58), count(6.0), count(None)) == ("1,234,567", "4.6", "6", "unknown")
    assert (percent(0.8167), percent(None)) == ("81.7 %", "unknown")
    assert (points(0.5667), points(-0.04)) == ("+56.7", "−4.0")
    assert (p_value(0.04321), p_value(1e-50), p_value(None)) == ("0.0432", "<\u00a00.0001", "")
    assert moment("2026-01-02T09:05:00+00:00") == "2 January 2026, 09:05 UTC" and moment(None) == ""


def test_what_cannot_be_shown_is_shown_as_a_symbol() -> None:
    assert plain("a\x00b\x1b\x7f\x85\ud800\n\tc", 100) == "a␀b␛␡\ufffd\ufffd\n\tc"
    assert plain("a\r\nb", 100) == "a\nb"


def test_a_long_text_is_cut_and_says_how_long_it_was() -> None:
    assert plain("x" * 2000, 3) == "xxx … (2,000 characters)" and plain("xxx", 3) == "xxx"


def test_a_value_that_is_no_text_is_shown_as_json() -> None:
    assert plain({"a": ["é", 1]}, 100) == '{"a": ["é", 1]}' and plain(None, 100) == ""


def test_one_line_has_single_spaces() -> None:
    assert one_line(" a\n\n b\tc ", 100) == "a b c" and one_line("one two three", 8) == "one two…"
