from __future__ import annotations

import pytest

from compiler.errors import ArgumentInvalid, OptimizerUnknown
from compiler.optimizers.mipro import MIPROv2
from compiler.optimizers.random_search import BootstrapFewShotWithRandomSearch
from compiler.optimizers.table import OPTIMIZERS, make_optimizer, optimizer_name


def test_defaults_are_eight_candidates_with_four_and_four_demonstrations() -> None:
    assert make_optimizer("BootstrapFewShotWithRandomSearch", {}) == BootstrapFewShotWithRandomSearch(4, 4, 8)


@pytest.mark.parametrize("asked", ["labeledfewshot", "LABELEDFEWSHOT", "LabeledFewShot"])
def test_upper_and_lower_case_are_the_same(asked: str) -> None:
    assert optimizer_name(asked) == "LabeledFewShot"


def test_an_unknown_name_is_one_sentence_with_the_nearest() -> None:
    with pytest.raises(
        OptimizerUnknown, match=r"no optimizer 'bootstrapfewshots'.*did you mean 'BootstrapFewShot'\?"
    ):
        make_optimizer("bootstrapfewshots", {})


def test_texts_from_a_command_line_become_numbers() -> None:
    made = make_optimizer("bootstrapfewshotwithrandomsearch", {"num_candidate_programs": "3"})
    assert made == BootstrapFewShotWithRandomSearch(num_candidate_programs=3)


def test_all_wrong_arguments_are_told_at_once_with_what_it_takes() -> None:
    with pytest.raises(ArgumentInvalid) as caught:
        make_optimizer("LabeledFewShot", {"k": 0, "shots": 3})
    assert "k=0: input should be greater than or equal to 1" in str(caught.value)
    assert "there is no argument 'shots'" in str(caught.value) and "it takes k=16" in str(caught.value)


def test_every_optimizer_can_be_made_without_arguments_and_foresees_its_runs() -> None:
    for name in OPTIMIZERS:
        made = make_optimizer(name, {})
        assert made.expected_runs(100, 50, 0.5).scored >= 0  # type: ignore[attr-defined]


def test_random_search_foresees_that_its_race_spares_most_runs() -> None:
    runs = BootstrapFewShotWithRandomSearch(4, 4, 8).expected_runs(200, 100, 0.5)
    assert 200 <= runs.scored <= 1100 and (runs.taught, runs.demos) == (72, 4)


@pytest.mark.parametrize(
    ("name", "arguments", "scored", "proposed"),
    [
        ("COPRO", {}, 1200, 11),
        ("COPRO", {"breadth": 10, "depth": 3}, 3000, 29),
        ("GEPA", {"max_metric_calls": 400}, 300, 18),
        ("GEPA", {"max_full_evals": 2}, 450, 28),
    ],
)
def test_what_dspys_optimisers_ask_is_foreseen(
    name: str, arguments: dict[str, object], scored: int, proposed: int
) -> None:
    runs = make_optimizer(name, arguments).expected_runs(200, 100, 0.3)  # type: ignore[attr-defined]
    assert (runs.scored, runs.proposed) == (scored, pytest.approx(proposed, abs=5))


def test_mipro_is_sized_as_dspy_sizes_it() -> None:
    light, heavy = MIPROv2().size(100, 1), MIPROv2("heavy").size(2000, 1)
    assert light == (6, 3, 10, 100, 35) and heavy == (18, 9, 27, 1000, 35)
    assert MIPROv2(max_bootstrapped_demos=0, max_labeled_demos=0).size(30, 1) == (6, 6, 9, 30, 30)
    assert MIPROv2(num_candidates=5, num_trials=8).size(20, 1) == (5, 5, 8, 20, 20)


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        (
            "BetterTogether",
            {"strategy": "p -> w"},
            r"'w' of strategy 'p -> w' trains weights, and no trainer",
        ),
        ("BetterTogether", {"strategy": "p -> x"}, "has no step 'x': known are p "),
        ("BetterTogether", {"arguments": {"g": {"auto": "tiny"}}}, "step 'g': auto='tiny'"),
        ("BetterTogether", {"strategy": "p", "arguments": {"g": {}}}, "'g', which is no step of 'p'"),
        ("MIPROv2", {"auto": "light", "num_trials": 3}, "give either auto, or num_candidates"),
        ("MIPROv2", {"max_bootstrapped_demos": 0}, "set max_labeled_demos=0 too"),
        ("GEPA", {"auto": "light", "max_full_evals": 3}, "give one of auto, max_full_evals"),
        ("COPRO", {"breadth": 1}, "breadth=1: input should be greater"),
    ],
)
def test_arguments_that_do_not_go_together_are_told_before_anything_is_asked(
    name: str, arguments: dict[str, object], told: str
) -> None:
    with pytest.raises(ArgumentInvalid, match=told):
        make_optimizer(name, arguments)
