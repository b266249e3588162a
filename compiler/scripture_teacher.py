"""Richer examples for `scripture_qa`, written by a teacher and kept only where the tables bear them out."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compiler.scripture_rows import Row, key_term, share_of
from programs.execution import Model
from programs.program import SPLITS, Split
from programs.references import read_reference, read_references
from programs.scripture import Tables, Verse, read_ids

_AT_ONCE = 8
_LONGEST = 600  # characters of a question or an answer
_PARAMS: Mapping[str, object] = {"temperature": 0.0, "max_tokens": 400}
_ASK = """\
Write one question about the verses below and its answer. The question names the verse that it is about, as in
{ref}. The answer has one or two sentences, says only what the verses and their Strong's lists say, and names
original words as "H0430 elohim". Write nothing but one JSON object: {{"question": "...", "answer": "..."}}

{context}"""
_OBJECT = re.compile(r"\{.*\}", re.DOTALL)


@dataclass(frozen=True)
class Taught:
    """The teacher's rows by their split, and why others were dropped."""

    rows: Mapping[Split, list[Row]]
    dropped: Counter[str] = field(default_factory=Counter)


async def taught_rows(teacher: Model, tables: Tables, rows: Mapping[Split, Sequence[Row]]) -> Taught:
    """Asks the teacher once for each row's context; what it says of it, where that can be looked up.

    Raises:
        EngineError: the teacher can't be reached.
    """
    slots = asyncio.Semaphore(_AT_ONCE)
    taught = Taught({split: [] for split in SPLITS})

    async def ask(row: Row) -> str:
        asked = [{"role": "user", "content": _ASK.format(ref=row["ref"], context=row["context"])}]
        async with slots:
            return (await teacher.complete(asked, _PARAMS)).text

    for split, given in rows.items():
        for row, said in zip(given, await asyncio.gather(*map(ask, given)), strict=True):
            found = read_reply(said, row, tables)
            if isinstance(found, str):
                taught.dropped[found] += 1
            else:
                taught.rows[split].append(found)
    return taught


def read_reply(said: str, row: Row, tables: Tables) -> Row | str:
    """The row that a teacher's reply makes, or why it is dropped."""
    found = _OBJECT.search(said)
    try:
        values: Any = json.loads(found[0]) if found else None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        return "it is no JSON object"
    question, answer = values.get("question"), values.get("answer")
    for text in (question, answer):
        if not isinstance(text, str) or not 0 < len(text.strip()) <= _LONGEST:
            return f"its question or answer is no text of 1 to {_LONGEST} characters"
    assert isinstance(question, str) and isinstance(answer, str)
    verses = _verses_of(row, tables)
    listed = {id for verse in verses for id in verse.ids}
    if unknown := [id for id in read_ids(f"{question} {answer}") if id not in listed]:
        return f"it names ids that its verses do not have, such as {unknown[0]}"
    references = read_references(f"{question} {answer}")
    if missing := [str(one) for one in references if not tables.verses(one)]:
        return f"it names verses that the tables do not have, such as {missing[0]}"
    if not references:
        return "it names no verse"
    if any(share_of(verse.ref) != share_of(row["ref"]) for one in references for verse in tables.verses(one)):
        return "it asks about verses of another split"
    terms = [key_term(tables.words[id]) for id in read_ids(answer) if id in tables.words]
    named = [str(one) for one in read_references(answer)]
    return {
        **{key: row[key] for key in ("context", "ref")},
        "type": "taught",
        "history": [],
        "question": question.strip(),
        "answer": answer.strip(),
        "key_terms": terms,
        "references": named,
    }


def _verses_of(row: Row, tables: Tables) -> list[Verse]:
    """The verses of the row's context, which begins each with its reference."""
    found = []
    for part in str(row["context"]).split("\n\n"):
        begins = re.match(r".*?\d+:\d+", part)
        reference = read_reference(begins[0]) if begins else None
        found += tables.verses(reference) if reference else []
    return found
