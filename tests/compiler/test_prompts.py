from __future__ import annotations

import dspy

from compiler.candidate import PLAIN, Candidate, EnsembleCandidate, NeighbourCandidate
from compiler.prompts import prompts_before_and_after, prompts_of
from programs.embedding import EMBEDDERS
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


def test_an_ensemble_has_the_prompts_of_each_member() -> None:
    members = [Candidate("a", {}, {"predict": "Add."}), Candidate("b", {}, {"predict": "Sum up."})]
    prompts = prompts_before_and_after(chain(), EnsembleCandidate("both", members=members, reduce="majority"))
    assert list(prompts["after"]) == ["predict (member 1)", "predict (member 2)"]
    assert "Sum up." in prompts["after"]["predict (member 2)"][0]["content"]
    assert list(prompts["before"]) == ["predict"] and prompts["note"].startswith("Each of 2 members")


def test_of_neighbours_the_longest_ones_are_shown() -> None:
    pool = [{"question": f"{n}?", "reasoning": "r" * n, "answer": "a"} for n in (1, 30, 2, 40)]
    embedder = EMBEDDERS["hashed-ngrams"].learn(["1?", "2?"])
    near = NeighbourCandidate("near", predictor="predict", pool=pool, vectors=[], embedder=embedder, k=2)
    told = prompts_before_and_after(chain(), near)
    text = "".join(message["content"] for message in told["after"]["predict"])
    assert "r" * 40 in text and "r" * 30 in text and "\n2?" not in text
    assert told["note"].startswith("Each request is shown the 2 demonstrations nearest to it, of 4")


def test_past_turns_are_no_part_of_a_prompt() -> None:
    signature = dspy.Signature("history: dspy.History, question: str -> answer: str")
    (messages,) = prompts_of(dspy.Predict(signature), PLAIN).values()
    assert len(messages) == 2 and "{question}" in messages[1]["content"]
