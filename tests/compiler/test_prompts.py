from __future__ import annotations

import dspy

from compiler.candidate import PLAIN, Candidate
from compiler.prompts import prompts_of
from tests.compiler.scripted import TwoSteps, chain


def test_a_prompt_has_a_hole_for_each_input_and_the_demonstrations_before_it() -> None:
    shown = Candidate("c", {"predict": [{"question": "1 + 1?", "reasoning": "r", "answer": "2"}]})
    (messages,) = prompts_of(chain(), shown).values()
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert "1 + 1?" in messages[1]["content"] and "{question}" in messages[-1]["content"]


def test_each_predictor_has_a_prompt_of_its_own() -> None:
    prompts = prompts_of(TwoSteps(), Candidate("told", {}, {"second.predict": "Only the number."}))
    assert list(prompts) == ["first", "second.predict"]
    assert "Only the number." in prompts["second.predict"][0]["content"]


def test_past_turns_are_no_part_of_a_prompt() -> None:
    signature = dspy.Signature("history: dspy.History, question: str -> answer: str")
    (messages,) = prompts_of(dspy.Predict(signature), PLAIN).values()
    assert len(messages) == 2 and "{question}" in messages[1]["content"]
