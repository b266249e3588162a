from __future__ import annotations

import random
import re

import pytest

from programs.tasks.lexicon import share_of
from programs.tasks.story_problems import TEMPLATES, Problem, Step, calculate, draw, draw_from

STORY = Problem(
    "Anna bakes 6 trays of 200 rolls. She sells 100. How many are left?",
    (
        Step("She bakes {} rolls.", 6, "x", 200),
        Step("After selling 100, {} are left.", 1200, "-", 100),
    ),
)


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    rng = random.Random(4)
    return [draw(rng) for _ in range(3000)]


def test_a_problem_is_worked_out_in_sentences_lines_or_equations() -> None:
    first, second = "She bakes 6 x 200 = 1,200 rolls.", "After selling 100, 1,200 - 100 = 1,100 are left."
    assert STORY.reasoning("sentences") == f"{first} {second}"
    assert STORY.reasoning("lines") == f"{first}\n{second}"
    assert STORY.reasoning("equations") == "6 x 200 = 1,200. 1,200 - 100 = 1,100."
    assert STORY.answer == 1100


def test_a_step_notes_its_sum_for_a_calculator() -> None:
    assert STORY.steps[0].noted == "She bakes 6 x 200 = <<6*200=1200>>1,200 rolls."


def test_a_division_that_leaves_something_over_has_no_result() -> None:
    assert [calculate(12, "/", 4), calculate(13, "/", 4)] == [3, 0]


def test_every_number_is_whole_small_or_round(problems: list[Problem]) -> None:
    results = [step.result for problem in problems for step in problem.steps]
    assert all(2 <= result <= 100 or (result % 50 == 0 and result <= 2000) for result in results)
    assert {len(problem.steps) for problem in problems} == {2, 3, 4}


def test_each_step_takes_its_numbers_from_the_story_or_from_a_step_before(problems: list[Problem]) -> None:
    words = {"half": 2, "third": 3, "quarter": 4, "twice": 2, "three": 3, "four": 4}
    shares = {"50": 2, "25": 4, "20": 5, "10": 10}
    for problem in problems:
        told = re.findall(r"\d+|[a-z]+", problem.question.lower().replace(",", ""))
        known = {int(word) for word in told if word.isdigit()} | {words[w] for w in told if w in words}
        known |= {shares[percent] for percent in re.findall(r"(\d+)%", problem.question)}
        # There and back, both halves of a fence, one more than the friends, three who share.
        known |= {1, 2, 3}
        for step in problem.steps:
            assert {step.left, step.right} <= known
            known.add(step.result)


def test_no_slot_or_choice_is_left_open(problems: list[Problem]) -> None:
    texts = [problem.question + problem.reasoning("lines") for problem in problems]
    assert not any(re.search(r"[{}\[\]|]", text) for text in texts)
    assert all(text.count("?") == 1 and text[0].isupper() for text in texts)


def test_every_template_and_its_longer_version_can_be_drawn(problems: list[Problem]) -> None:
    first = {problem.steps[-1].words for problem in problems}
    ends = [t.steps[-1][0] for t in TEMPLATES] + [t.more[2][0] for t in TEMPLATES if t.more]
    assert len(TEMPLATES) >= 25
    for end in ends:
        pattern = re.escape(end).replace(r"\{\}", "{}")
        pattern = re.sub(r"\\\{\w+\\\}", r"[\\w,]+", pattern)
        assert any(re.fullmatch(pattern, text) for text in first), end


def test_a_share_is_drawn_from_alone_and_the_same_seed_draws_the_same() -> None:
    drawn = [draw_from(random.Random(seed), "dev") for seed in range(50)]
    assert {share_of(problem.question) for problem in drawn} == {"dev"}
    assert drawn == [draw_from(random.Random(seed), "dev") for seed in range(50)]
