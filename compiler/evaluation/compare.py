"""Two releases of one program on the same rows, example by example.

Both are measured as `compiler evaluate` measures, and each keeps its part as evidence, which is what
`compiler promote` judges by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from compiler.errors import UserMistake
from compiler.evaluation.answers import Answer
from compiler.evaluation.evaluate import (
    Bureau,
    Candidature,
    Measured,
    Report,
    Rows,
    keep_evidence,
    measure_release,
    refuse_another,
)
from compiler.evaluation.looks import record_look
from compiler.evaluation.statistics import paired_test
from compiler.events import PairedTest
from compiler.workshop import identity_of

MOST_IDS = 20


class Crossed(NamedTuple):
    """How often which of two releases was right; an answer is right from a score of 0.5 on."""

    both: int
    only_a: int
    only_b: int
    neither: int


@dataclass(frozen=True)
class Comparison:
    """What B gains over A: the paired test's `won` examples are those where B scores higher."""

    a: Measured
    b: Measured
    test: PairedTest
    crossed: Crossed
    won: tuple[int, ...]
    """The first examples where B scores higher, by their place from 0."""
    lost: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        """What --json prints."""
        return {
            "comparison": self.a.id,
            "a": self.a.as_dict(),
            "b": self.b.as_dict(),
            **self.difference(),
        }

    def difference(self) -> dict[str, Any]:
        return {
            "difference": asdict(self.test),
            "crossed": self.crossed._asdict(),
            "won": self.won,
            "lost": self.lost,
        }


async def compare(
    bureau: Bureau, pair: tuple[Candidature, Candidature], rows: Rows, state: Path, report: Report
) -> Comparison:
    """Measures A, then B, and keeps the evidence of both.

    Raises:
        UserMistake: both are the same, or not of the program.
        CompilerError, EngineError, ProgramError: as they are.
    """
    first, second = pair
    for one in pair:
        refuse_another(rows.program, one.release)
        one.executor(rows.program)
    if first.release.name == second.release.name and _same_student(first, second):
        raise UserMistake(
            f"A and B are both {first.release.name!r} on the same student; name two releases, or two "
            "students with --student-a and --student-b"
        )
    looks = record_look(state, rows.fingerprint, bureau.id, rows.program.name)
    a, b = [await measure_release(bureau, one, rows, looks, report) for one in pair]
    found = pair_up(a, b)
    for side, mine, other in (("a", a, b), ("b", b, a)):
        more = {"kind": "comparison", "side": side, "other": other.release.name, **found.difference()}
        keep_evidence(mine, f"{bureau.id}-{side}", more)
    return found


def pair_up(a: Measured, b: Measured) -> Comparison:
    before, after = ([answer.score for answer in side.answers] for side in (a, b))
    changes = [y - x for x, y in zip(before, after, strict=True)]
    return Comparison(
        a,
        b,
        paired_test(before, after),
        _cross(a.answers, b.answers),
        tuple(index for index, change in enumerate(changes) if change > 0)[:MOST_IDS],
        tuple(index for index, change in enumerate(changes) if change < 0)[:MOST_IDS],
    )


def _cross(a: Sequence[Answer], b: Sequence[Answer]) -> Crossed:
    right = [(x.score >= 0.5, y.score >= 0.5) for x, y in zip(a, b, strict=True)]
    return Crossed(
        *(right.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False)))
    )


def _same_student(a: Candidature, b: Candidature) -> bool:
    return identity_of(a.student) == identity_of(b.student)
