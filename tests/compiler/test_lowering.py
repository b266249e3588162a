from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dspy
import pytest

from compiler.candidate import PLAIN, Candidate
from compiler.lowering import executor, interpreted, lower, sole_predictor, why_interpreted
from programs.adapter import ProgramAdapter
from programs.checks import matches, satisfies
from programs.errors import LoweringImpossible, ProgramInvalid
from programs.execution import PlanExecutor
from programs.interpreted import InterpretedExecutor
from programs.plan import render
from tests.compiler.scripted import TwoSteps, chain, program, said
from tests.programs.scripted import ScriptedModel

WORKED = Candidate(
    "worked", {"predict": [{"question": "1 + 1?", "reasoning": "1 and 1 make 2", "answer": "2"}]}
)


class Subclass(dspy.ChainOfThought):
    """Looks like a ChainOfThought but may do anything."""


def with_own_forward() -> dspy.Module:
    module = dspy.Predict("question -> answer")
    module.forward = lambda **inputs: dspy.Prediction(answer="always this")
    return module


def bound_to_a_model() -> dspy.Module:
    module = dspy.Predict("question -> answer")
    module.lm = dspy.LM("openai/own", api_key="none")
    return module


def test_a_chain_of_thought_is_its_adapters_messages_with_holes() -> None:
    plan = lower(chain(), program(), WORKED, 4096)
    signature = sole_predictor(chain()).signature
    demos = [dict(demo) for demo in WORKED.demos["predict"]]
    expected = ProgramAdapter().format(signature, demos, {"question": "2 + 2?"})
    assert [m.as_dict() for m in render(plan, {"question": "2 + 2?"})] == expected
    assert [field.name for field in plan.outputs] == ["reasoning", "answer"] and plan.context_tokens == 4096


def test_lowering_leaves_the_module_as_it_was() -> None:
    module = chain()
    lower(module, program(), WORKED, None)
    assert sole_predictor(module).demos == []


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (TwoSteps, "its module is a TwoSteps"),
        (lambda: Subclass("question -> answer"), "its module is a Subclass"),
        (with_own_forward, "a replaced 'forward'"),
        (bound_to_a_model, "bound to a model of its own"),
        (lambda: dspy.Predict("question -> answer", temperature=0.7), r"settings of its own \(temperature\)"),
        (lambda: dspy.Predict("question -> answer: dict[int, int]"), "field 'answer' has type"),
        (lambda: dspy.Predict("question -> answer: dspy.History"), "output 'answer' is a history"),
        (lambda: dspy.Predict("a: dspy.History, b: dspy.History -> answer"), "two histories"),
        (lambda: dspy.ReAct("question -> answer", tools=[]), "its module is a ReAct"),
    ],
)
def test_what_is_no_constant_prompt_is_interpreted_and_says_why(
    make: Callable[[], dspy.Module], reason: str
) -> None:
    with pytest.raises(LoweringImpossible, match=reason):
        lower(make(), program(make), PLAIN, None)


def test_the_executor_is_the_plans_where_there_is_one() -> None:
    assert isinstance(executor(chain(), program(), PLAIN), PlanExecutor)
    assert isinstance(executor(TwoSteps(), program(TwoSteps), PLAIN), InterpretedExecutor)


def test_instructions_of_a_candidate_reach_the_prompt() -> None:
    plan = lower(chain(), program(), Candidate("told", {}, {"predict": "Add slowly."}), None)
    assert plan.prefix[0].content.endswith("Add slowly.")


def test_the_reason_is_none_for_what_can_be_lowered() -> None:
    assert why_interpreted(chain(), program(), PLAIN) is None
    assert "TwoSteps" in str(why_interpreted(TwoSteps(), program(TwoSteps), PLAIN))


def test_a_named_predictor_only_is_changed() -> None:
    compiled: Any = Candidate("some", {"second.predict": [{"sum": "1", "answer": "2"}]}).applied_to(
        TwoSteps()
    )
    assert [len(predictor.demos) for predictor in compiled.predictors()] == [0, 1]


def test_declared_checks_travel_in_the_plan() -> None:
    checked = replace(program(), checks=(matches("answer", r"\d+"),), check_retries=3)
    plan = lower(chain(), checked, PLAIN, None)
    assert (plan.checks, plan.check_retries) == (checked.checks, 3)


def test_a_check_that_is_a_function_keeps_its_program_interpreted() -> None:
    checked = replace(program(), checks=(satisfies("even", lambda inputs, outputs: True),))
    assert "its check 'even' is a function" in str(why_interpreted(chain(), checked, PLAIN))
    assert isinstance(executor(chain(), checked, PLAIN), InterpretedExecutor)


def test_a_check_of_an_output_that_is_not_there_is_the_programs_mistake() -> None:
    checked = replace(program(), checks=(matches("anwser", r"\d+"),))
    with pytest.raises(ProgramInvalid, match="the output 'anwser': the outputs are reasoning, answer"):
        lower(chain(), checked, PLAIN, None)


async def test_lowered_and_interpreted_a_program_asks_again_in_the_same_words() -> None:
    checked = replace(program(), checks=(matches("answer", r"\d+"),))
    wrong, right = said("I add", "It is 4!"), said("I add", "4")
    asked = []
    for runs in (executor(chain(), checked, WORKED), interpreted(WORKED.applied_to(chain()), checked)):
        outcome = await runs.run({"question": "2 + 2?"}, model := ScriptedModel([wrong, right]), {})
        assert (outcome.outputs["answer"], outcome.attempts) == ("4", 2)
        asked.append(model.asked)
    assert [[{**m, "content": m["content"].strip()} for m in messages] for messages in asked[0]] == [
        [{**m, "content": m["content"].strip()} for m in messages] for messages in asked[1]
    ]
