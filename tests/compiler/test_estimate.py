from __future__ import annotations

import pytest

from compiler.answers import Answer
from compiler.charge import Charges, Unknown, charge_by
from compiler.errors import CeilingExceeded
from compiler.estimate import Foresight, estimate, refuse_above
from compiler.events import Estimated
from compiler.ledger import RecordedUsage
from compiler.optimizers import make_optimizer
from compiler.rehearsal import Rehearsal
from engine.prices import Price
from programs.execution import Step
from tests.compiler.scripted import sums

FREE = Charges(Unknown(), Unknown(), Unknown())


def known(passed: bool = True) -> Foresight:
    step = Step("text", "stop", RecordedUsage(100, 20, None, None))
    answers = [Answer(float(passed), {}, (step,))] * 4
    return Foresight(sums(200), 100, 300, Rehearsal(answers, answers, 2.0))


def test_without_an_optimiser_only_the_test_examples_are_asked_twice() -> None:
    expected = estimate(make_optimizer("none", {}), known(), FREE)
    assert expected is not None
    assert (expected.calls, expected.prompt_tokens, expected.completion_tokens) == (600, 60_000, 12_000)
    assert expected.seconds == 300.0 and expected.usd is None


def test_demonstrations_make_prompts_longer() -> None:
    plain = estimate(make_optimizer("none", {}), known(), FREE)
    shown = estimate(make_optimizer("LabeledFewShot", {"k": 4}), known(), FREE)
    assert plain is not None and shown is not None
    assert shown.calls == plain.calls and shown.prompt_tokens > plain.prompt_tokens + 300 * 4 * 20


def test_examples_that_seldom_pass_take_more_tries() -> None:
    search = make_optimizer("BootstrapFewShot", {})
    easy, hard = (estimate(search, known(passed), FREE) for passed in (True, False))
    assert easy is not None and hard is not None and hard.calls > easy.calls


def test_an_optimiser_that_cannot_tell_has_no_estimate() -> None:
    assert estimate(object(), known(), FREE) is None


def test_a_build_above_the_ceiling_is_refused_before_it_begins() -> None:
    expected = Estimated(1400, 1_000_000, 100_000, 60.0, 3.5)
    with pytest.raises(CeilingExceeded, match=r"about 3.5000 USD \(1400 calls\), the ceiling is 2 USD"):
        refuse_above(2.0, expected, 0.0)
    refuse_above(4.0, expected, 0.0)


def test_a_ceiling_without_a_price_cannot_be_kept() -> None:
    with pytest.raises(CeilingExceeded, match="the engine's price is unknown"):
        refuse_above(2.0, Estimated(1, 1, 1, 1.0, None), None)
    refuse_above(None, Estimated(1, 1, 1, 1.0, None), None)


def test_the_teachers_runs_are_foreseen_at_the_teachers_price() -> None:
    search = make_optimizer("BootstrapFewShot", {"max_labeled_demos": 0})
    hourly = charge_by(Price(usd_per_hour=3.6))
    cheap, dear = (
        estimate(search, known(), Charges(hourly, charge_by(Price(usd_per_hour=usd)), Unknown()))
        for usd in (3.6, 3600.0)
    )
    assert cheap is not None and dear is not None and cheap.usd is not None and dear.usd is not None
    assert cheap.usd == pytest.approx(cheap.seconds / 1000) and dear.usd > cheap.usd + 1


def test_one_unknown_price_makes_the_sum_unknown() -> None:
    search = make_optimizer("BootstrapFewShot", {})
    expected = estimate(search, known(), Charges(charge_by(Price(usd_per_hour=1.0)), Unknown(), Unknown()))
    assert expected is not None and expected.usd is None
