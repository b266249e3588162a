from __future__ import annotations

import pytest

from compiler.errors import ArgumentInvalid, OptimizerUnknown
from compiler.optimizers import OPTIMIZERS, make_optimizer, optimizer_name
from compiler.random_search import BootstrapFewShotWithRandomSearch


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


def test_random_search_foresees_all_candidates_on_all_dev_examples() -> None:
    runs = BootstrapFewShotWithRandomSearch(4, 4, 8).expected_runs(200, 100, 0.5)
    assert (runs.scored, runs.taught, runs.demos) == (1100, 72, 4)
