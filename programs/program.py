"""What a program is: a signature with its module, examples and metric, and how a chat becomes its inputs.

Knows nothing of models, optimisers or releases, and imports no DSPy: listing programs stays cheap.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from annotated_types import Ge, Le, MaxLen

from programs.checks import MOST_CHECK_RETRIES
from programs.errors import ProgramInvalid

if TYPE_CHECKING:
    import dspy

    from programs.checks import Check

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
# A name becomes a folder of releases and a model name, where `@` separates the version.
PROGRAM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Metric(Protocol):
    """Scores one prediction against its example, from 0 (wrong) to 1 (right).

    Gives a number, a `dspy.Prediction(score=, feedback=)` or a `Measured`; may be `async`.
    `programs.measuring.measure` reads them all.
    """

    def __call__(self, example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> Any: ...


AsFields = Callable[[Mapping[str, Any]], Sequence[Mapping[str, Any]]]
"""A row of a file -> rows of a program's fields; raises DataInvalid with what is wrong with it."""


@dataclass(frozen=True)
class Sampling:
    """How the model is asked. Optimiser, scorer and release use exactly these values.

    The bounds are those of the engines; a release is held to them when it is read.
    """

    temperature: Annotated[float, Ge(0), Le(2)] = 0.0
    max_tokens: Annotated[int, Ge(1), Le(2**31 - 1)] = 512
    top_p: Annotated[float, Ge(0), Le(1)] | None = None
    seed: Annotated[int, Ge(-(2**63)), Le(2**63 - 1)] | None = None
    stop: Annotated[tuple[str, ...], MaxLen(16)] = ()

    def as_request(self) -> dict[str, Any]:
        """The fields of an OpenAI chat request; what is unset is left out."""
        fields: dict[str, Any] = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        if self.top_p is not None:
            fields["top_p"] = self.top_p
        if self.seed is not None:
            fields["seed"] = self.seed
        if self.stop:
            fields["stop"] = list(self.stop)
        return fields


@dataclass(frozen=True)
class Chat:
    """Which inputs take a chat's parts, and which output is the answer."""

    user: str
    """Input that takes the last user text."""
    answer: str
    """Output that becomes `message.content`."""
    system: str | None = None
    """Input that takes the system and developer texts, joined by a blank line."""
    history: str | None = None
    """Input of type `dspy.History` that takes the earlier turns."""
    reasoning: tuple[str, ...] = ()
    """Outputs that become `message.reasoning`."""
    verses: str | None = None
    """Input that the verses of scripture are added to which the user's text refers to, as in John 3:16."""


@dataclass(frozen=True)
class RunLimits:
    """What one answer of a program of several steps may take: calls of its model, and seconds."""

    steps: int = 50
    seconds: float = 300.0

    def within(self, steps: int | None, seconds: float | None) -> RunLimits:
        """These, or the given ones where they are lower."""
        return RunLimits(
            self.steps if steps is None else min(self.steps, steps),
            self.seconds if seconds is None else min(self.seconds, seconds),
        )


@dataclass(frozen=True)
class Program:
    """One task: how to build its module, where its examples come from, how a prediction is scored."""

    name: str
    make_module: Callable[[], dspy.Module]
    examples: Callable[[Split], Sequence[dspy.Example]]
    metric: Metric
    chat: Chat
    sampling: Sampling = field(default_factory=Sampling)
    description: str = ""
    checks: tuple[Check, ...] = ()
    """What every answer must hold; one that does not is asked for again, and never given out."""
    check_retries: int = 1
    """How often the model is asked again, 0 to 3 times, before the run fails."""
    handpicked: Callable[[], Sequence[dspy.Example]] | None = None
    """Demonstrations a person would choose: the manual few-shot prompt that a build is compared with."""
    second_opinion: Metric | None = None
    """Asked of the test answers only, and only where a teacher is named: does it agree with `metric`?"""
    as_fields: AsFields | None = None
    """Takes rows of files in other forms than the program's own fields, as a benchmark is published."""
    limits: RunLimits = RunLimits()
    """Where a run of a module of several steps ends, whatever it does; one constant prompt has one step."""
    answered_by: tuple[str, ...] = ()
    """Predictors of a module of several steps that end it, their text being the answer as it is: it streams
    while they write it. Of DSPy's own modules that is known."""

    def __post_init__(self) -> None:
        if self.limits.steps < 1 or not self.limits.seconds > 0:
            raise ProgramInvalid(
                f"program {self.name!r} has limits={self.limits!r}: a run needs a step at least, and time"
            )
        if not 0 <= self.check_retries <= MOST_CHECK_RETRIES:
            raise ProgramInvalid(
                f"program {self.name!r} has check_retries={self.check_retries!r}: allowed are 0 to "
                f"{MOST_CHECK_RETRIES}"
            )
        given: object = self.checks  # a forgotten comma makes it one check
        if not isinstance(given, tuple) or not all(hasattr(check, "problem") for check in given):
            raise ProgramInvalid(
                f"program {self.name!r} has checks={self.checks!r}: give a tuple of checks, as in "
                "checks=(must_mention('answer', 'refund'),)"
            )
