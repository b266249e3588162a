"""Our own sample rows in the forms in which the public data of the named tasks is published.

GSM8K: a solution whose last line is `####` and the number. HotpotQA: `_id`, paragraphs as a title and its
sentences, supporting facts as a title and a sentence's number. MathDial: a conversation in one text.
Scripture: verses as objects, earlier turns as chat messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from programs.data import read_rows
from programs.program import SPLITS, Split
from programs.scripture import SAMPLE as VERSES
from programs.tasks.gsm8k_rows import SAMPLE as PROBLEMS
from programs.tasks.hotpotqa_rows import sample_questions
from programs.tasks.teaching import LESSONS

Row = dict[str, Any]
SIZES: Mapping[Split, int] = {"train": 14, "dev": 4, "test": 12}
_SENTENCE = re.compile(r"[^.]*\.|[^.]+$")


def gsm8k(split: Split) -> list[Row]:
    return [dict(row.values) for row in read_rows(PROBLEMS / f"{split}.jsonl")]


def hotpotqa(split: Split) -> list[Row]:
    return [
        {
            "_id": f"{split}{number}",
            "question": question.text,
            "answer": question.answer,
            "context": [[title, _SENTENCE.findall(text)] for title, text in question.paragraphs],
            "supporting_facts": [[title, 0] for title in question.titles],
            "type": "bridge",
            "level": "hard",
        }
        for number, question in enumerate(sample_questions(split))
    ]


def teaching(split: Split) -> list[Row]:
    lessons = [row.values for row in read_rows(LESSONS / f"{split}.jsonl")]
    return [
        {
            "qid": number,
            "question": lesson.get("context", ""),
            "student_incorrect_solution": "I am not sure.",
            "conversation": "|EOM|".join(
                [
                    "Teacher: (generic)Hi, what do you think?",
                    f"Anna: {lesson['query']}",
                    f"Teacher: (focus){lesson['response']}",
                ]
            ),
        }
        for number, lesson in enumerate(lessons)
    ]


def scripture_qa(split: Split) -> list[Row]:
    rows = [dict(row.values) for row in read_rows(VERSES / f"{split}.jsonl")]
    return [
        {
            **row,
            "context": [_verse(told) for told in row["context"].split("\n\n")],
            "history": [message for turn in row["history"] for message in _messages(turn)],
        }
        for row in rows
    ]


PUBLISHED: Mapping[str, Callable[[Split], Sequence[Row]]] = {
    "gsm8k": gsm8k,
    "hotpotqa": hotpotqa,
    "hotpotqa_retrieval": hotpotqa,
    "scripture_qa": scripture_qa,
    "teaching": teaching,
}


def write_published(folder: Path) -> None:
    """A folder for SMALLFORGE_DATA, and beside each task's JSONL a file that is one JSON list."""
    for task in PUBLISHED.keys() - {"hotpotqa_retrieval"}:
        (folder / task).mkdir(parents=True)
        for split in SPLITS:
            rows = PUBLISHED[task](split)[: SIZES[split]]
            (folder / task / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            (folder / task / f"{split}.json").write_text(json.dumps(rows, indent=1))


def as_columns(row: Row) -> Row:
    """A HotpotQA row as the `datasets` library gives it: its pairs as columns."""
    facts, context = zip(*row["supporting_facts"], strict=True), zip(*row["context"], strict=True)
    columns = {
        "supporting_facts": dict(zip(("title", "sent_id"), map(list, facts), strict=True)),
        "context": dict(zip(("title", "sentences"), map(list, context), strict=True)),
    }
    return {"id": row["_id"], **{name: value for name, value in row.items() if name != "_id"}, **columns}


def _verse(told: str) -> Row:
    verse, _, words = told.partition("\nStrong's: ")
    ref, text = re.fullmatch(r"(.+? \d+:\d+) (.*)", verse, re.DOTALL).groups()  # type: ignore[union-attr]
    return {"ref": ref, "text": text, "strongs": words.split("; ") if words else []}


def _messages(turn: Mapping[str, str]) -> list[Row]:
    roles = {"question": "user", "answer": "assistant"}
    return [{"role": roles[name], "content": text} for name, text in turn.items()]
