from __future__ import annotations

import pytest

from compiler.charge import Charges, Unknown, charge_by
from compiler.errors import CeilingExceeded
from compiler.estimate import Beside, Foresight, describe_cut, estimate, refuse_unpriced, reserve
from compiler.evaluation.answers import Answer
from compiler.events import Estimated, PhaseSpent
from compiler.ledger import RecordedUsage
from compiler.optimizers.table import make_optimizer
from compiler.rehearsal import Rehearsal
from compiler.spending import Ceiling, Reserve
from engine.prices import Price
from programs.execution import Step

FREE = Charges(Unknown(), Unknown(), Unknown())
ASKED = PhaseSpent("check", "student", 4, 400, 80, 0.0, 2.0)


def known(passed: bool = True, beside: Beside = Beside()) -> Foresight:  # noqa: B008 - frozen
    step = Step("text", "stop", RecordedUsage(100, 20, None, None))
    answers = [Answer(float(passed), {}, (step,))] * 4
    return Foresight(200, 100, 300, Rehearsal(answers, answers, 2.0), beside, 30.0, spent=(ASKED,))


def test_without_an_optimiser_only_the_test_examples_are_asked_and_once() -> None:
    expected = estimate(make_optimizer("none", {}), known(), FREE)
    assert expected is not None
    assert (expected.calls, expected.prompt_tokens, expected.completion_tokens) == (304, 30_400, 6_080)
    assert expected.seconds == 152.0 and expected.usd is None
    assert [(part.phase, part.calls) for part in expected.phases] == [("check", 4), ("baseline", 300)]


def test_demonstrations_make_prompts_longer_by_what_they_were_counted() -> None:
    plain = estimate(make_optimizer("none", {}), known(), FREE)
    shown = estimate(make_optimizer("LabeledFewShot", {"k": 4}), known(), FREE)
    assert plain is not None and shown is not None
    assert shown.calls == plain.calls + 300
    assert shown.prompt_tokens == plain.prompt_tokens + 300 * (100 + 4 * 30)


def test_examples_that_seldom_pass_take_more_tries() -> None:
    search = make_optimizer("BootstrapFewShot", {})
    easy, hard = (estimate(search, known(passed), FREE) for passed in (True, False))
    assert easy is not None and hard is not None and hard.calls > easy.calls


def test_an_engine_that_is_asked_more_at_once_takes_less_time() -> None:
    search = make_optimizer("none", {})
    slow, fast = (estimate(search, known()._replace(concurrency=c), FREE) for c in (4, 16))
    assert slow is not None and fast is not None and fast.seconds - 2 == (slow.seconds - 2) / 2


def test_every_program_that_is_measured_is_foreseen_with_its_model() -> None:
    expected = estimate(make_optimizer("none", {}), known(beside=Beside(student=2, teacher=1)), FREE)
    assert expected is not None
    assert {(part.phase, part.role): part.calls for part in expected.phases} == {
        ("check", "student"): 4,
        ("baseline", "student"): 900,
        ("baseline", "teacher"): 300,
    }


def test_a_metric_that_asks_a_model_is_foreseen_and_kept_room_for() -> None:
    judging = PhaseSpent("check", "teacher", 4, 4000, 40, 0.0, 2.0)
    judged = known()._replace(spent=(ASKED, judging))
    search = make_optimizer("LabeledFewShot", {"k": 4})
    alone, asked = estimate(search, known(), FREE), estimate(search, judged, FREE)
    assert alone is not None and asked is not None and asked.calls == alone.calls + 4 + 600
    assert asked.prompt_tokens == alone.prompt_tokens + 4000 + 600 * 1000
    assert reserve(search, judged, FREE).calls == reserve(search, known(), FREE).calls + 600


def test_what_measuring_takes_is_kept_even_where_the_search_cannot_be_foreseen() -> None:
    kept = reserve(object(), known(), Charges(charge_by(Price(usd_per_hour=3.6)), Unknown(), Unknown()))
    assert kept.calls == 600 and kept.usd is not None and kept.usd > 0.3
    assert estimate(object(), known(), FREE) is None


def test_a_build_above_its_ceilings_is_told_that_its_search_will_be_cut() -> None:
    expected = Estimated(1400, 1_000_000, 100_000, 180.0, 3.5)
    (told,) = describe_cut(Ceiling(2.0, 1000, 2), expected)
    for part in ("3.5000 USD, 2 are allowed", "1,400 calls, 1,000 are allowed", "3.0 minutes, 2 are allowed"):
        assert part in told
    assert list(describe_cut(Ceiling(4.0, 1400, 3), expected)) == []


def test_a_ceiling_without_a_price_cannot_be_kept() -> None:
    with pytest.raises(CeilingExceeded, match="the engine's price is unknown"):
        refuse_unpriced(Ceiling(2.0), Reserve(None))
    refuse_unpriced(Ceiling(calls=9), Reserve(None))


def test_the_teachers_runs_are_foreseen_at_the_teachers_price() -> None:
    search = make_optimizer("BootstrapFewShot", {"max_labeled_demos": 0})
    hourly = charge_by(Price(usd_per_hour=3.6))
    cheap, dear = (
        estimate(search, known(), Charges(hourly, charge_by(Price(usd_per_hour=usd)), Unknown()))
        for usd in (3.6, 3600.0)
    )
    assert cheap is not None and dear is not None and cheap.usd is not None and dear.usd is not None
    assert cheap.usd == pytest.approx((cheap.seconds - 2) / 1000) and dear.usd > cheap.usd + 1


def test_one_unknown_price_makes_the_sum_unknown() -> None:
    search = make_optimizer("BootstrapFewShot", {})
    expected = estimate(search, known(), Charges(charge_by(Price(usd_per_hour=1.0)), Unknown(), Unknown()))
    assert expected is not None and expected.usd is None
