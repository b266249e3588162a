from __future__ import annotations

from collections.abc import Sequence

import pytest

from compiler.decision import compare
from compiler.evaluation import contenders
from compiler.evaluation.answers import Answer


def answers(scores: Sequence[float]) -> list[Answer]:
    return [Answer(score) for score in scores]


def test_everyone_is_compared_with_the_compiled_program_and_the_p_are_corrected() -> None:
    tested = [
        contenders.Tested("zero-shot", answers([0.0] * 8 + [1.0] * 12)),
        contenders.Tested("champion", answers([0.0] * 5 + [1.0] * 15), "sums@1, elsewhere", "sums@1"),
        contenders.Tested("compiled", answers([1.0] * 20)),
    ]
    plain, champion, compiled = compare(tested, seed=0)
    assert plain.against is not None and (plain.against.won, plain.against.lost) == (8, 0)
    assert plain.corrected_p == pytest.approx(2 * 2 / 2**8)
    assert champion.corrected_p == pytest.approx(2 / 2**5) and champion.release == "sums@1"
    assert compiled.against is None and compiled.corrected_p is None and compiled.summary.mean == 1.0
