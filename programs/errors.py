"""Everything that can go wrong with a program, a plan or a release.

ProgramError
├── ProgramNotFound       no such name, path or entry point
├── ProgramInvalid        the file is there but is no usable program
├── DataInvalid           rows that don't fit the program; carries every mistake
├── InputInvalid          a request's inputs don't fit the plan
├── ReplyUnparseable      the model's reply doesn't hold the declared outputs
├── CheckFailed           the answer breaks a declared check, also when asked again
├── LimitExceeded         a run took more steps or more time than one answer may
├── MetricError           a metric gives no score, or lacks what it needs for one
├── LoweringImpossible    the module is no constant prompt; carries the reason
├── RetrievalFailed       what a program searches can't be searched now
└── ReleaseError
    ├── ReleaseNotFound
    ├── ReleaseInvalid    wrong digest, schema, or anything that isn't inert data
    └── ReleaseNotWritten the disk refused
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from programs.execution import Step


class ProgramError(Exception):
    """Base of this package's errors; its text is one sentence for the user."""


class ProgramNotFound(ProgramError):
    pass


class ProgramInvalid(ProgramError):
    pass


class DataInvalid(ProgramError):
    """All mistakes of a data file together."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class InputInvalid(ProgramError):
    """An input is unknown, missing or of the wrong type; `name` is the input."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        super().__init__(message)


class ReplyUnparseable(ProgramError):
    """The reply lacks an output or holds a value that is not of its type."""


class CheckFailed(ProgramError):
    """Every attempt broke a check; carries all their steps, the last one's outputs and what it broke."""

    def __init__(
        self,
        message: str,
        steps: Sequence[Step],
        outputs: Mapping[str, Any],
        reasons: Sequence[str],
        attempts: int = 1,
    ) -> None:
        self.steps = tuple(steps)
        self.outputs = outputs
        self.reasons = tuple(reasons)
        self.attempts = attempts
        super().__init__(message)


class LimitExceeded(ProgramError):
    """Says which limit; carries the steps that were taken until then."""

    def __init__(self, message: str, steps: Sequence[Step]) -> None:
        self.steps = tuple(steps)
        super().__init__(message)


class MetricError(ProgramError):
    """A metric that can't say; its text tells its author or the build's user what to do."""


class LoweringImpossible(ProgramError):
    pass


class RetrievalFailed(ProgramError):
    """Its text says where was looked and why nothing can be found there."""


class ReleaseError(ProgramError):
    pass


class ReleaseNotFound(ReleaseError):
    pass


class ReleaseInvalid(ReleaseError):
    pass


class ReleaseNotWritten(ReleaseError):
    pass
