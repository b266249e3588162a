from __future__ import annotations

from dataclasses import replace

import pytest

from compiler.cost import cost_of, describe_estimate
from compiler.events import Contender, ContenderName, Estimated, ScoreSummary, Spent

SPENT = Spent(1000, 90_000, 10_000, 3.0, 60.0)


def measured(name: ContenderName, usd: float | None) -> Contender:
    summary = ScoreSummary(0.9, 100, 0.8, 1.0, 0, 0, 20.0, usd, prompt_tokens_per_answer=80.0)
    return Contender(name, summary)


def test_a_build_has_paid_for_itself_after_as_many_requests_as_it_cost_more_than_one_saves() -> None:
    cost = cost_of([measured("teacher", 0.0031), measured("compiled", 0.0001)], SPENT)
    assert cost.break_even == 1000 and cost.reason is None
    assert cost.saved_per_1000 == pytest.approx(3.0) and cost.teacher_tokens_per_1000 == 100_000
    assert "1,000 answers cost 0.1 USD, by the teacher alone 3.1" in cost.describe()
    assert "are back after 1,000 requests" in cost.describe()


@pytest.mark.parametrize(
    ("teacher", "own", "spent", "reason"),
    [
        (measured("zero-shot", 0.1), 0.1, 3.0, "no teacher was measured"),
        (measured("teacher", None), 0.1, 3.0, "the teacher's price is unknown"),
        (measured("teacher", 0.1), None, 3.0, "the student's price is unknown"),
        (measured("teacher", 0.1), 0.01, None, "what the build has cost is not known in full"),
        (measured("teacher", 0.1), 0.1, 3.0, "the teacher's answers cost no more than the student's"),
    ],
)
def test_what_is_not_known_is_said_with_its_reason(
    teacher: Contender, own: float | None, spent: float | None, reason: str
) -> None:
    cost = cost_of([teacher, measured("compiled", own)], replace(SPENT, usd=spent))
    assert (
        cost.break_even is None and cost.reason == reason and cost.describe() == f"No break-even: {reason}."
    )


def test_the_estimate_stands_beside_what_was_taken() -> None:
    told = describe_estimate(Estimated(1100, 100_000, 10_000, 50.0, None), SPENT)
    assert told == "Estimated and taken: 1,100 and 1,000 calls, 110,000 and 100,000 tokens, 50 and 60 s."
    assert "0.5000 and 3.0000 USD" in describe_estimate(Estimated(1, 1, 1, 1.0, 0.5), SPENT)
