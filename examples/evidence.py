"""What a build left beside its release, as far as the notebooks draw it.

Read from the files alone, as anybody can: docs/compiler.md says what else is in them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Two contenders have names of their own in a scorecard.
_ROW_NAMES = {"before": "zero-shot", "after": "compiled"}


@dataclass(frozen=True)
class Contender:
    """Who answered the test rows, and how well: shares of 1, and what an answer took in USD and seconds."""

    name: str
    score: float
    low: float
    high: float
    """The 95 % interval of the score."""
    parts: Mapping[str, float]
    """Of a metric that is a sum."""
    unreadable: int
    usd: float | None
    seconds: float
    slow_seconds: float
    """The 95th percentile."""


@dataclass(frozen=True)
class Answer:
    """One answer to a test row."""

    row: int
    contender: str
    score: float
    outputs: Mapping[str, Any]
    """Empty where the reply could not be read."""
    expected: Mapping[str, Any]
    prompt_tokens: int
    reply_tokens: int


@dataclass(frozen=True)
class Length:
    """How the tokens of a program's request and reply are made up, on average."""

    instructions: float
    demonstrations: float
    question: float
    reply: float


@dataclass(frozen=True)
class Gain:
    """What the compiled program scores above the unoptimised one, with the 95 % interval."""

    points: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Build:
    """A build as its evidence tells it; the unoptimised contender is the first, the compiled one the last."""

    program: str
    release: str
    """The name under which a gateway serves it."""
    optimizer: str
    contenders: Sequence[Contender]
    answers: Sequence[Answer]
    gain: Gain
    before: Length
    after: Length
    prompt: str
    """What the student is sent, with a hole for each input."""


def newest_build(program: str, releases: Path = Path("releases")) -> Build:
    """The last build of a program below a folder of releases."""
    found = sorted(releases.glob(f"{program}/*/evidence/*/build.json"), key=lambda path: path.parent.name)
    if not found:
        raise FileNotFoundError(f"no build of {program!r} below {str(releases)!r}")
    told = json.loads(found[-1].read_bytes())
    prompts = json.loads(found[-1].with_name("prompts.json").read_bytes())
    lines = found[-1].with_name("scorecard.jsonl").read_bytes().splitlines()
    difference = told["scores"]["difference"]
    return Build(
        program=program,
        release=f"{program}@{told['version']}",
        optimizer=told["optimizer"]["name"],
        contenders=[_contender(one["name"], one["summary"]) for one in told["contenders"]],
        answers=[_answer(json.loads(line)) for line in lines],
        gain=Gain(*(difference[name] for name in ("difference", "low", "high", "p"))),
        before=_length(told["prompt"]["before"]),
        after=_length(told["prompt"]["after"]),
        prompt="\n\n".join(_messages(prompts["after"])),
    )


def _contender(name: str, told: Mapping[str, Any]) -> Contender:
    return Contender(
        name=name,
        score=told["mean"],
        low=told["low"],
        high=told["high"],
        parts=told["parts"],
        unreadable=told["unparseable"],
        usd=told["usd_per_answer"],
        seconds=told["seconds_p50"],
        slow_seconds=told["seconds_p95"],
    )


def _answer(row: Mapping[str, Any]) -> Answer:
    return Answer(
        row=row["id"],
        contender=_ROW_NAMES.get(row["program"], row["program"]),
        score=row["score"],
        outputs=row["output"],
        expected=row["expected"],
        prompt_tokens=row["prompt_tokens"],
        reply_tokens=row["completion_tokens"],
    )


def _length(told: Mapping[str, Any]) -> Length:
    shown = sum(size or 0 for size in told["demonstrations"])
    return Length(told["system"] or 0, shown, told["request"]["mean"] or 0, told["reply"] or 0)


def _messages(predictors: Mapping[str, Sequence[Mapping[str, str]]]) -> list[str]:
    return [f"[{it['role']}]\n{it['content']}" for messages in predictors.values() for it in messages]
