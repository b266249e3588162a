"""What an optimiser can tell of itself beforehand: how often it will run the program."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable


class Runs(NamedTuple):
    """Runs of the teacher and of the student, and how many demonstrations a prompt shows at most.

    `members` is how many runs one answer of the found program takes, `proposed` how many calls the model
    that writes instructions gets.
    """

    taught: int = 0
    scored: int = 0
    demos: int = 0
    members: int = 1
    proposed: int = 0


@runtime_checkable
class Foresees(Protocol):
    """An optimiser that can tell what it will ask; of the teacher's runs, `pass_rate` will pass."""

    def expected_runs(self, train: int, dev: int, pass_rate: float) -> Runs: ...
