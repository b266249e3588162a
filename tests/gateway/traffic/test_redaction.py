"""Tests for gateway/traffic/redaction.py: what is taken out, what stays, and that nothing hangs it."""

from __future__ import annotations

import pytest

from gateway.errors import StartFailed
from gateway.traffic.redaction import TOO_DEEP, TOO_LONG, Redaction

PLAIN = Redaction({})


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("write to ann.o'neil+x@mail.example.co.uk.", "write to [email]."),
        ("jörg@bücher.de", "[email]"),
        ("call +49 (0)30 1234567 or (415) 555-2671", "call [phone] or [phone]"),
        ("020 7946 0958, 01 23 45 67 89, 0030 21 0123 4567", "[phone], [phone], [phone]"),
        ("pay with 4111 1111 1111 1111", "pay with [card]"),
        ("378282246310005", "[card]"),
        ("the key sk-proj-abcdefghij1234567890 is mine", "the key [secret] is mine"),
        ("AKIAIOSFODNN7EXAMPLE", "[secret]"),
        ("Authorization: Bearer abc.def123456789", "Authorization: Bearer [secret]"),
        ("postgresql://me:hunter2@db/x", "postgresql://me:[secret]@db/x"),
        ("password = hunter22!", "password = [secret]"),
        ("d41d8cd98f00b204e9800998ecf8427e", "[secret]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc", "[secret]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "[secret]"),
    ],
)
def test_what_gives_a_person_or_an_account_away_is_taken_out(text: str, kept: str) -> None:
    assert PLAIN.of_text(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "On 2023-11-27 at 12:30 there were 1,234,567.89 of 12345678901234567890",
        "12 + 34567891234 = 34567891246",
        "4111 1111 1111 1112",  # its check digit is wrong
        "ISBN 978-3-16-148410-0",
        "192.168.100.200 and 550e8400-e29b-41d4-a716-446655440000",
        "passwords and secrets are basic internationalization",
        "Donaudampfschifffahrtsgesellschaft, isCamelCasedIdentifierWithoutNumber",
    ],
)
def test_what_merely_has_numbers_or_long_words_stays(text: str) -> None:
    assert PLAIN.of_text(text) == text


def test_the_operators_patterns_come_first_and_are_named_by_the_operator() -> None:
    redaction = Redaction({"customer": r"C-\d{6}", "case": r"case (?P<it>\d+)"})
    assert redaction.of_text("C-123456 in case 77 of a@b.org") == "[customer] in case [case] of [email]"


def test_values_keep_their_form_and_fields_their_names() -> None:
    fields = {
        "secret": "no",
        "n": 4111111111111111,
        "share": 0.5,
        "last": None,
        "turns": [{"password": "x", "a@b.org": [True, "a@b.org"]}],
    }
    assert PLAIN.of(fields) == {
        "secret": "no",
        "n": "[card]",
        "share": 0.5,
        "last": None,
        "turns": [{"password": "[secret]", "[email]": [True, "[email]"]}],
    }


def test_half_a_character_and_endless_nesting_are_not_kept() -> None:
    nested: list[object] = []
    for _ in range(200):
        nested = [nested]
    found = PLAIN.of({"text": "a\ud800b", "deep": nested})
    assert found["text"] == "a?b"
    assert TOO_DEEP in str(found["deep"])


def test_a_hostile_pattern_is_ended_by_the_clock_and_the_text_left_out() -> None:
    redaction = Redaction({"hostile": r"(?:.*x|a)"}, seconds=0.05)
    assert redaction.of_text("a" * 100_000) == TOO_LONG


def test_what_hangs_pythons_own_patterns_does_nothing_here() -> None:
    redaction = Redaction({"hostile": r"(a|aa)+$|(a+)+c|(a?){30}a{30}d"})
    assert redaction.of_text("a" * 10_000 + "b") == "a" * 10_000 + "b"


def test_a_text_made_to_be_found_everywhere_takes_no_time() -> None:
    assert PLAIN.of_text("a@" * 200_000) != TOO_LONG


def test_unusable_patterns_are_told_all_at_once() -> None:
    with pytest.raises(StartFailed) as told:
        Redaction({"behind": "(?<=x)y", "open": "(a", "nothing": "x*", "large": "(a?){900}b{900}"})
    for name in ("behind", "open", "nothing", "large"):
        assert f"gateway.traffic.patterns.{name}: " in str(told.value)
