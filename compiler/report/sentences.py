"""What the report says in sentences: what a build took, what to know of its rows, how to repeat it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import orjson

from compiler.report.text import count, duration, one_line, percent, usd

_DEFAULT_STUDENT = "default"


def cost_lines(build: Mapping[str, Any]) -> list[str]:
    """What it took beside what was expected, and when it has paid for itself."""
    took, expected = duration(build["seconds"]), build.get("estimated")
    lines = [f"It ran {took}."]
    if expected:
        lines = [f"It ran {took}; about {duration(expected['seconds'])} were expected."]
    cost = build.get("cost")
    if not cost:
        return lines
    own, teacher = cost.get("usd_per_1000"), cost.get("teacher_usd_per_1000")
    if own is not None and teacher is not None:
        lines.append(
            f"1,000 answers cost {usd(own)} USD; the teacher alone would take "
            f"{usd(teacher)} USD and {count(cost['teacher_tokens_per_1000'])} tokens."
        )
    if cost.get("break_even") is not None:
        paid = f"{usd(cost['build_usd'])} USD"
        return [*lines, f"The build's {paid} are back after {cost['break_even']:,} answers."]
    return [*lines, f"No break-even: {cost['reason']}."]


def data_lines(build: Mapping[str, Any]) -> list[str]:
    """What to know about the examples before believing the scores."""
    split, lines = build["split"], ["Nobody had looked at these test examples before."]
    looks = split["earlier_looks_at_test"]
    if looks:
        times = "once" if looks == 1 else f"{looks:,} times"
        lines = [f"These test examples were looked at {times} before; when that grows, take new ones."]
    doubled = build.get("duplicates")
    if doubled and not doubled["rows"]:
        lines.append("No test row is nearly a training or dev row.")
    elif doubled:
        rest = doubled.get("score_without")
        told = f"; without them the score is {percent(rest['mean'])}" if rest else ""
        lines.append(
            f"Test rows that are nearly training or dev rows: {doubled['rows']:,} "
            f"({percent(doubled['share'])}){told}."
        )
    return [*lines, *(one_line(note, 300) for note in split.get("notes") or [])]


def repeat_command(asked: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """What builds it again, from the folder in which it was built."""
    words = ["compiler", "build", asked["program"], "--optimizer", asked["optimizer"]]
    files = settings.get("files") or {}
    for option, split in (("--data", "train"), ("--dev", "dev"), ("--test", "test")):
        if files.get(split):
            words += [option, files[split]]
    for name, value in asked["arguments"].items():
        words += ["--set", f"{name}={_argument(value)}"]
    words += ["--seed", str(asked["seed"])]
    for role in ("student", "teacher", "proposer"):
        name = (asked.get(role) or {}).get("name")
        if name and (role, name) != ("student", _DEFAULT_STUDENT):
            words += [f"--{role}", name]
    ceiling = settings.get("ceiling") or {}
    numbers = {
        "--token-price-weight": asked.get("token_price_weight") or None,
        **{f"--max-{what}": ceiling.get(what) for what in ("usd", "calls", "minutes")},
        "--target": settings.get("target"),
        "--gain": settings.get("required_gain"),
    }
    for option, number in numbers.items():
        words += [] if number is None else [option, str(number)]
    return shlex.join(words)


def _argument(value: object) -> str:
    """As `--set` takes it: JSON, or a text that is none."""
    if isinstance(value, str):
        try:
            orjson.loads(value)
        except ValueError:
            return value
    return orjson.dumps(value, default=str).decode()
