"""Everything that can end a build early. The tree:

    CompilerError
    ├── UserMistake               the user can mend it: exit code 2
    │   ├── OptimizerUnknown      no optimiser of that name
    │   ├── ArgumentInvalid       an argument the optimiser doesn't take, or a value it can't use
    │   ├── DataTooSmall          too few rows to learn from or to measure with
    │   ├── ProgramUnusable       the module can't be run or its examples don't fit it
    │   ├── MetricFailed          the metric raises, or gives no number from 0 to 1
    │   ├── ModelUnusable         student or teacher gives no answer to a first question
    │   ├── CeilingExceeded       the build would cost, or has cost, more than allowed
    │   ├── BuildMismatch         a resumed build is asked for something else, or is finished
    │   ├── FetchFailed           published data can't be had, or is not what was published
    │   │   └── HubUnreachable    no connection to a hub of models, or it broke
    │   ├── TrafficUnreadable     a gateway's traffic log can't be read, or has nothing to learn from
    │   ├── ReportUnavailable     what draws a build's report is not installed
    │   └── StateNotWritten       the disk is full or refuses
    ├── OnlyEstimated             what it will take was told, and no more was wanted: exit code 0
    ├── SearchEnded               the search is over before it is through; what it found goes on being built
    ├── TargetMissed              built and released, but below what was asked: exit code 3
    ├── PromotionRefused          not shown to be better than the champion, or worse on a guard: exit code 3
    └── BuildFault                our own mistake: exit code 1

Errors of `programs` and `engine` pass through a build unchanged; their texts are sentences too.
"""

from __future__ import annotations

from typing import ClassVar


class CompilerError(Exception):
    """Base of this package's errors; its text is one sentence for the user."""

    exit_code: ClassVar[int] = 1


class UserMistake(CompilerError):
    exit_code: ClassVar[int] = 2


class OptimizerUnknown(UserMistake):
    pass


class ArgumentInvalid(UserMistake):
    pass


class DataTooSmall(UserMistake):
    pass


class ProgramUnusable(UserMistake):
    pass


class MetricFailed(UserMistake):
    pass


class ModelUnusable(UserMistake):
    pass


class CeilingExceeded(UserMistake):
    pass


class BuildMismatch(UserMistake):
    pass


class FetchFailed(UserMistake):
    pass


class HubUnreachable(FetchFailed):
    pass


class TrafficUnreadable(UserMistake):
    pass


class ReportUnavailable(UserMistake):
    pass


class StateNotWritten(UserMistake):
    pass


class OnlyEstimated(CompilerError):
    """The first questions are answered and kept: the build goes on from here when it is resumed."""

    exit_code: ClassVar[int] = 0


class SearchEnded(CompilerError):
    """A ceiling or the target ended the search: the best candidate so far is taken. Its text says which."""


class TargetMissed(CompilerError):
    """The release is written; its score or gain is below what the request asked for."""

    exit_code: ClassVar[int] = 3


class PromotionRefused(CompilerError):
    """Nothing was moved; its text holds the numbers and what to do."""

    exit_code: ClassVar[int] = 3


class BuildFault(CompilerError):
    pass
