"""What answers cost, what the teacher alone would cost, and when a build has paid for itself.

Also the lines about money and tokens that a build ends with.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from compiler.events import BuildResult, Contender, Estimated, Spent
from compiler.lengths import Lengths

PER = 1_000  # answers


@dataclass(frozen=True)
class Cost:
    """In USD; `break_even` is a number of requests. What is None is so for `reason`."""

    build_usd: float | None
    usd_per_1000: float | None
    teacher_usd_per_1000: float | None
    teacher_tokens_per_1000: float | None
    saved_per_1000: float | None
    break_even: int | None
    reason: str | None

    def describe(self) -> str:
        if self.break_even is None:
            return f"No break-even: {self.reason}."
        return (
            f"1,000 answers cost {self.usd_per_1000:.4g} USD, by the teacher alone "
            f"{self.teacher_usd_per_1000:.4g}; the build's {self.build_usd:.4g} USD are back after "
            f"{self.break_even:,} requests."
        )


def cost_of(contenders: Sequence[Contender], spent: Spent) -> Cost:
    """From what the contenders took on the same test examples; the last of them is the compiled program."""
    own = _per_1000(contenders[-1].summary.usd_per_answer)
    teacher = next((one.summary for one in contenders if one.name == "teacher"), None)
    theirs = None if teacher is None else _per_1000(teacher.usd_per_answer)
    tokens = None
    if teacher and teacher.tokens_per_answer is not None and teacher.prompt_tokens_per_answer is not None:
        tokens = PER * (teacher.prompt_tokens_per_answer + teacher.tokens_per_answer)
    saved = None if own is None or theirs is None else theirs - own
    reason = None
    if teacher is None:
        reason = "no teacher was measured"
    elif theirs is None:
        reason = "the teacher's price is unknown"
    elif own is None:
        reason = "the student's price is unknown"
    elif spent.usd is None:
        reason = "what the build has cost is not known in full"
    elif saved is not None and saved <= 0:
        reason = "the teacher's answers cost no more than the student's"
    break_even = None
    if reason is None and saved is not None and spent.usd is not None:
        break_even = math.ceil(spent.usd * PER / saved)
    return Cost(spent.usd, own, theirs, tokens, saved, break_even, reason)


def accounts(
    result: BuildResult, expected: Estimated | None, lengths: Mapping[str, Lengths]
) -> Iterator[str]:
    """How long prompts are, what was foreseen beside what was taken, and what answers cost."""
    for name, program in (("before", "Unoptimised"), ("after", "Compiled")):
        yield f"{program} prompt in tokens: {lengths[name].describe()}."
    if expected is not None:
        yield describe_estimate(expected, result.spent)
    yield cost_of(result.contenders, result.spent).describe()


def describe_estimate(expected: Estimated, spent: Spent) -> str:
    """What was foreseen beside what it came to."""
    tokens = [one.prompt_tokens + one.completion_tokens for one in (expected, spent)]
    told = [
        _beside("calls", expected.calls, spent.calls, ",.0f"),
        _beside("tokens", tokens[0], tokens[1], ",.0f"),
        _beside("s", expected.seconds, spent.seconds, ",.0f"),
    ]
    if expected.usd is not None and spent.usd is not None:
        told.append(_beside("USD", expected.usd, spent.usd, ".4f"))
    return f"Estimated and taken: {', '.join(told)}."


def _beside(unit: str, foreseen: float, taken: float, form: str) -> str:
    return f"{foreseen:{form}} and {taken:{form}} {unit}"


def _per_1000(usd: float | None) -> float | None:
    return None if usd is None else PER * usd
