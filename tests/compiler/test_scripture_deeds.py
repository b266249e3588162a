from __future__ import annotations

import pytest

from compiler.scripture_deeds import Deed, read_deed


@pytest.mark.parametrize(
    ("text", "person", "clause"),
    [
        ("At the start God made the heavens.", "God", "made the heavens"),
        ("God spoke, and there was light.", "God", "spoke"),
        ("And the LORD said unto Moses, Go.", "LORD", "spoke unto Moses"),
        ("They walked, and Job answered and said, No.", "Job", "answered"),
        ("The LORD is my shepherd; I lack nothing.", "LORD", "is my shepherd"),
        ("God will wipe every tear from their eyes.", "God", "will wipe every tear from their eyes"),
    ],
)
def test_the_clause_after_a_person_is_what_can_be_asked(text: str, person: str, clause: str) -> None:
    assert read_deed(text, ["Nobody", person]) == Deed(person, clause)


@pytest.mark.parametrize(
    "text",
    [
        "The spirit of God moved over the waters.",
        "While we were sinners God died for us.",
        "God made.",
        "God the heavens.",
        "And God said, Let there be light.",
        "God told Moses: I am.",
        "And God took as Moses commanded, and ran.",
        "God gave the man who, in his house, was.",
        f"God made {'very ' * 12}much.",
        "God made the heavens and the",
        "",
        "God",
    ],
)
def test_what_would_read_badly_is_not_asked(text: str) -> None:
    assert read_deed(text, ["God"]) is None


def test_a_person_is_no_pattern() -> None:
    assert read_deed("God spoke.", ["G(d", "Go.", "God"]) == Deed("God", "spoke")
    assert read_deed("God spoke.", []) is None
