from __future__ import annotations

import pytest

from compiler.charge import Unknown
from compiler.errors import CeilingExceeded
from compiler.estimate import Foresight, estimate, refuse_above
from compiler.events import Estimated
from compiler.ledger import RecordedUsage
from compiler.optimizers import make_optimizer
from compiler.rehearsal import Rehearsal
from compiler.scoring import Answer
from programs.execution import Step
from tests.compiler.scripted import sums


def known(passed: bool = True) -> Foresight:
    step = Step("text", "stop", RecordedUsage(100, 20, None, None))
    answers = [Answer(float(passed), {}, (step,))] * 4
    return Foresight(sums(200), 100, 300, Rehearsal(answers, answers, 2.0))


def test_without_an_optimiser_only_the_test_examples_are_asked_twice() -> None:
    expected = estimate(make_optimizer("none", {}), known(), Unknown())
    assert expected is not None
    assert (expected.calls, expected.prompt_tokens, expected.completion_tokens) == (600, 60_000, 12_000)
    assert expected.seconds == 300.0 and expected.usd is None


def test_demonstrations_make_prompts_longer() -> None:
    plain = estimate(make_optimizer("none", {}), known(), Unknown())
    shown = estimate(make_optimizer("LabeledFewShot", {"k": 4}), known(), Unknown())
    assert plain is not None and shown is not None
    assert shown.calls == plain.calls and shown.prompt_tokens > plain.prompt_tokens + 300 * 4 * 20


def test_examples_that_seldom_pass_take_more_tries() -> None:
    search = make_optimizer("BootstrapFewShot", {})
    easy, hard = (estimate(search, known(passed), Unknown()) for passed in (True, False))
    assert easy is not None and hard is not None and hard.calls > easy.calls


def test_an_optimiser_that_cannot_tell_has_no_estimate() -> None:
    assert estimate(object(), known(), Unknown()) is None


def test_a_build_above_the_ceiling_is_refused_before_it_begins() -> None:
    expected = Estimated(1400, 1_000_000, 100_000, 60.0, 3.5)
    with pytest.raises(CeilingExceeded, match=r"about 3.5000 USD \(1400 calls\), the ceiling is 2 USD"):
        refuse_above(2.0, expected, 0.0)
    refuse_above(4.0, expected, 0.0)


def test_a_ceiling_without_a_price_cannot_be_kept() -> None:
    with pytest.raises(CeilingExceeded, match="the engine's price is unknown"):
        refuse_above(2.0, Estimated(1, 1, 1, 1.0, None), None)
    refuse_above(None, Estimated(1, 1, 1, 1.0, None), None)
