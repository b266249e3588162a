from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import pytest

from compiler.scripture_rows import Counts, Row, generate_rows
from compiler.scripture_teacher import read_reply, taught_rows
from engine.chat import Delta, Reply
from programs.scripture import SAMPLE, open_tables

TABLES = open_tables(SAMPLE)
ROWS = generate_rows(TABLES, Counts(30), seed=1)


def about(ref: str) -> Row:
    return {"ref": ref, "context": TABLES.passage(next(verse for verse in TABLES if verse.ref == ref))}


def reply(question: object, answer: object) -> str:
    return "Here it is: " + json.dumps({"question": question, "answer": answer})


class Scholar:
    """Asks about the verse that it is told to, and every other time names an id that it does not have."""

    def __init__(self) -> None:
        self.asked = 0

    async def complete(self, messages: Sequence[Any], params: Mapping[str, object]) -> Reply:
        self.asked += 1
        ref = messages[0]["content"].partition("as in\n")[2].partition(". The answer")[0]
        id = "H9999" if self.asked % 2 else ""
        return Reply(
            reply(f"What does {ref} say?", f"{ref} speaks of {id or 'much'}."), "", "stop", None, "x"
        )

    async def stream(self, messages: Sequence[Any], params: Mapping[str, object]) -> AsyncGenerator[Delta]:
        yield Delta((await self.complete(messages, params)).text)


async def test_what_the_tables_refute_is_dropped_and_counted() -> None:
    scholar = Scholar()
    taught = await taught_rows(scholar, TABLES, ROWS)
    kept = sum(map(len, taught.rows.values()))
    assert scholar.asked == 30 and kept == taught.dropped.total() == 15
    assert list(taught.dropped) == ["it names ids that its verses do not have, such as H9999"]


def test_a_reply_that_can_be_looked_up_becomes_a_row_with_its_terms() -> None:
    row = read_reply(
        reply("Which word is light in Genesis 1:3?", "In Genesis 1:3 it is H216 or."),
        about("Genesis 1:3"),
        TABLES,
    )
    assert isinstance(row, dict)
    assert row["references"] == ["Genesis 1:3"] and row["key_terms"] == ["or/H0216/אוֹר"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "it is no JSON object"),
        ("[1]", "it is no JSON object"),
        ("{" * 10_000, "it is no JSON object"),
        (reply(3, "a"), "its question or answer is no text"),
        (reply("q", ""), "its question or answer is no text"),
        (reply("q", "a" * 601), "its question or answer is no text"),
        (reply("What of Genesis 1:3?", "H0001"), "it names ids that its verses do not have"),
        (reply("What of Genesis 1:3?", "See Nahum 2:2"), "it names verses that the tables do not have"),
        (reply("What of it?", "light"), "it names no verse"),
    ],
)
def test_any_other_reply_says_why_it_is_dropped(said: str, why: str) -> None:
    found = read_reply(said, about("Genesis 1:3"), TABLES)
    assert isinstance(found, str) and found.startswith(why)
