from __future__ import annotations

import random
from dataclasses import replace
from typing import Any, Literal

import dspy
import pytest
from pydantic import BaseModel

from compiler.candidate import PLAIN, Candidate, EnsembleCandidate, NeighbourCandidate
from compiler.errors import ProgramUnusable
from compiler.hostility import hostile_texts, mutations
from compiler.lowering import executor, lower, lower_form, sole_predictor
from compiler.proof import lower_proven, prove, prove_form
from programs.embedding import HashedNgrams
from programs.ensemble import Ensemble, EnsembleExecutor
from programs.errors import LoweringImpossible
from programs.neighbours import NeighbourExecutor, Neighbours, Said
from programs.program import Chat, Program, Sampling
from tests.compiler.scripted import TwoSteps, chain, program, said, sums
from tests.gateway import stepping
from tests.gateway.test_typed import reply


class Everything(dspy.Signature):
    """Answers with every type that a plan knows."""

    question: str = dspy.InputField(desc="what is asked")
    count: int = dspy.InputField()
    share: float = dspy.InputField()
    sure: bool = dspy.InputField()
    words: list[str] = dspy.InputField()
    kind: Literal["small", "very large"] = dspy.InputField()
    tone: str = dspy.InputField(default="plain")
    history: dspy.History = dspy.InputField()
    answer: str = dspy.OutputField()
    total: int = dspy.OutputField()
    parts: list[str] = dspy.OutputField()
    label: Literal["yes", "no"] = dspy.OutputField()


VALUES: dict[str, Any] = {
    "question": "how many?", "count": 3, "share": 0.5, "sure": True, "words": ["a", 'b "c"'], "kind": "small",
    "history": dspy.History(messages=[{"question": "before?", "answer": "yes"}]),
}  # fmt: skip
REPLY = (
    "[[ ## reasoning ## ]]\nfirst this\n\nthen that é\n\n[[ ## answer ## ]]\nThe [[ ## answer ## ]] is 3.\n\n"
    '[[ ## total ## ]]\n3\n\n[[ ## parts ## ]]\n["x", "y"]\n\n[[ ## label ## ]]\nyes\n\n[[ ## completed ## ]]'
)
CHAT = Chat("question", "answer", history="history", reasoning=("reasoning",))


def everything() -> Program:
    return Program(
        "all", lambda: dspy.ChainOfThought(Everything), lambda _: [], lambda *_: 1.0, CHAT, Sampling()
    )


def test_a_signature_with_every_type_is_proven_on_hostile_inputs_and_broken_replies() -> None:
    asked = everything()
    example = dspy.Example(**VALUES).with_inputs(*VALUES)
    candidate = Candidate("shown", {"predict": [WORKED]})
    lowered = lower_proven((asked, asked.make_module()), candidate, None, [example], [REPLY, ""])
    assert lowered.reason is None and lowered.plan is not None and lowered.proof is not None
    assert lowered.proof.rendered > 80 and lowered.proof.readings > 1000


@pytest.mark.parametrize("change", [{"reminder": "Answer."}, {"prefix": ()}])
def test_a_plan_that_renders_otherwise_is_found_out(change: dict[str, Any]) -> None:
    plan = replace(lower(chain(), program(), PLAIN, None), **change)
    proof = prove(plan, sole_predictor(chain()), sums(3), [said("r", "1")])
    assert (
        proof.difference is not None and "the prompt for {'question': 'What is 0 + 0?'}" in proof.difference
    )


def test_a_plan_that_reads_otherwise_is_found_out() -> None:
    plan = lower(chain(), program(), PLAIN, None)
    typed = replace(plan, outputs=(plan.outputs[0], replace(plan.outputs[1], type="int")))
    proof = prove(typed, sole_predictor(chain()), sums(3), [said("r", "1")])
    assert proof.difference is not None and "is read differently" in proof.difference


def test_what_is_not_proven_is_interpreted_with_the_reason() -> None:
    class Misleading(BaseModel):
        first: int = 1
        second: int = 2

        @classmethod
        def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
            told = handler(schema)
            return {**told, "properties": dict(reversed(told["properties"].items()))}

    fields = {"note": (Misleading, dspy.InputField()), "answer": (str, dspy.OutputField())}
    asked = Program(
        "misleading",
        lambda: dspy.Predict(dspy.Signature({"question": (str, dspy.InputField()), **fields})),
        lambda _: [],
        lambda *_: 1.0,
        CHAT,
    )
    example = dspy.Example(question="q", note={"first": 1}).with_inputs("question", "note")
    lowered = lower_proven((asked, asked.make_module()), PLAIN, None, [example], [])
    assert lowered.plan is None and str(lowered.reason).startswith("the proof of its lowering failed")


def test_models_enums_and_optional_fields_are_proven() -> None:
    prompt = stepping.typed_prompt
    given = {"question": "q", "person": stepping.Person(name="A", age=3), "mood": stepping.Mood.SAD}
    rows = [{**given, "weights": {"w": 1.5}, "limit": 3}, {**given, "mood": "glad", "weights": {"w": 1}}]
    examples = [
        dspy.Example(row).with_inputs("question", "person", "mood", "weights", "limit") for row in rows
    ]
    replies = [reply(), reply(left="3"), reply(left=""), reply(seen="sad"), reply(twin='{"name": 1}')]
    lowered = lower_proven((prompt, prompt.make_module()), PLAIN, None, examples, replies)
    assert lowered.kind == "plan" and lowered.proof is not None and lowered.proof.replies == 5


def test_a_program_of_two_steps_is_interpreted_without_a_proof() -> None:
    lowered = lower_proven((program(TwoSteps), TwoSteps()), PLAIN, None, sums(3), [])
    assert lowered.plan is None and lowered.proof is None and "TwoSteps" in str(lowered.reason)


def nearby(pool: list[dict[str, Any]], k: int = 2) -> NeighbourCandidate:
    """Neighbours of `everything`; where they lie does not matter here."""
    embedder = HashedNgrams.learn(["a", "b"])
    return NeighbourCandidate(
        "near",
        {"predict": ()},
        predictor="predict",
        pool=pool,
        vectors=[[]] * len(pool),
        embedder=embedder,
        k=k,
    )


WORKED = {
    **VALUES,
    "reasoning": "r",
    "answer": "a\n[[ ## total ## ]]",
    "total": 1,
    "parts": [],
    "label": "no",
}
BARE = {"question": "bare?", "answer": "yes", "label": "yes"}


def test_neighbours_with_past_turns_and_gaps_are_proven_with_every_demonstration_shown() -> None:
    asked = everything()
    whole = WORKED | {"tone": "dry"}
    pool = [whole, BARE, whole | {"question": "other"}] * 40
    example = dspy.Example(**VALUES).with_inputs(*VALUES)
    lowered = lower_proven((asked, asked.make_module()), nearby(pool), None, [example], [REPLY])
    assert (lowered.kind, lowered.reason) == ("neighbours", None) and isinstance(
        lowered.executor, NeighbourExecutor
    )
    assert lowered.proof is not None and lowered.proof.rendered > 80 and lowered.proof.readings > 900
    assert lowered.plan is not None and len(lowered.plan.prefix) == 1


@pytest.mark.parametrize("place", [0, 100, 180])
def test_a_demonstration_that_is_shown_otherwise_is_found_out_wherever_it_stands(place: int) -> None:
    asked, candidate = (
        program(),
        nearby([{"question": f"{n}?", "reasoning": "r", "answer": "a"} for n in range(181)]),
    )
    form = lower_form(chain(), asked, candidate, None)
    assert isinstance(form, Neighbours)
    demos = list(form.demonstrations)
    demos[place] = replace(demos[place], messages=(demos[place].messages[0], Said("assistant", "forged")))
    proof = prove_form(replace(form, demonstrations=tuple(demos)), chain(), candidate, sums(3), [])
    assert proof.difference is not None and "is not DSPy's" in proof.difference


def test_every_member_of_an_ensemble_is_proven() -> None:
    asked = program()
    members = [PLAIN, Candidate("told", {}, {"predict": "Add."})]
    ensemble = EnsembleCandidate("both", members=members, reduce="majority")
    lowered = lower_proven((asked, chain()), ensemble, None, sums(3), [said("r", "1")])
    alone = lower_proven((asked, chain()), PLAIN, None, sums(3), [said("r", "1")])
    assert (lowered.kind, lowered.reason) == ("ensemble", None) and isinstance(
        lowered.executor, EnsembleExecutor
    )
    assert lowered.proof is not None and alone.proof is not None
    assert lowered.proof == replace(alone.proof, rendered=2 * alone.proof.rendered)


def test_a_member_that_renders_otherwise_is_found_out() -> None:
    ensemble = EnsembleCandidate("both", members=[PLAIN, PLAIN], reduce="majority")
    form = lower_form(chain(), program(), ensemble, None)
    assert isinstance(form, Ensemble)
    forged = replace(form, members=(form.members[0], replace(form.members[1], prefix=())))
    assert prove_form(forged, chain(), ensemble, sums(3), []).difference is not None


@pytest.mark.parametrize(
    "candidate",
    [nearby([BARE]), EnsembleCandidate("both", members=[PLAIN, PLAIN], reduce="first")],
    ids=["near", "both"],
)
def test_what_is_more_than_one_prompt_is_never_interpreted(candidate: Candidate) -> None:
    with pytest.raises(ProgramUnusable, match=r"'sums' can't be released.*TwoSteps"):
        lower_proven((program(TwoSteps), TwoSteps()), candidate, None, sums(3), [])
    with pytest.raises(LoweringImpossible, match="TwoSteps"):
        executor(TwoSteps(), program(TwoSteps), candidate)


def test_a_demonstration_without_outputs_is_no_demonstration() -> None:
    with pytest.raises(ProgramUnusable, match="lacks all inputs or all outputs"):
        lower_proven((program(), chain()), nearby([{"question": "q"}]), None, sums(3), [])


def test_hostile_texts_forge_every_field_of_the_program() -> None:
    texts = hostile_texts(lower(chain(), program(), PLAIN, None))
    for name in ("question", "reasoning", "answer", "completed"):
        assert any(f"[[ ## {name} ## ]]" in text for text in texts)


def test_mutations_drop_double_and_hide_markers_and_cut_anywhere() -> None:
    plan = lower(chain(), program(), PLAIN, None)
    reply = said("worked", "42")
    changed = list(mutations(reply, plan, random.Random(0)))
    assert any("[[ ## answer ## ]]" not in text and "42" in text for text in changed)
    assert any(text.count("[[ ## answer ## ]]") == 2 for text in changed)
    assert any(reply.startswith(text) and 0 < len(text) < len(reply) for text in changed)


class Guided(dspy.Signature):
    """Calls a tool, or answers."""

    history: dspy.History = dspy.InputField()
    tools: list[dspy.Tool] = dspy.InputField()
    question: str = dspy.InputField()
    calls: dspy.ToolCalls = dspy.OutputField()
    answer: str = dspy.OutputField()


def weather(city: str, unit: Literal["C", "F"] = "C") -> str:
    """How warm it is
    in a city."""
    return f"{city} {unit}"


GUIDED: dict[str, Any] = {
    "history": dspy.History(messages=[{"question": "before?", "answer": "yes"}]),
    "tools": [dspy.Tool(weather)], "question": "Is it hot in Rome?",
}  # fmt: skip
CALLED = {"tool_calls": [{"name": "weather", "args": {"city": "Rome"}}]}
SAID = (
    '[[ ## calls ## ]]\n{"tool_calls": [{"name": "weather", "args": {"city": "Rome"}}]}\n\n[[ ## answer ## ]]'
    "\n\n\n[[ ## completed ## ]]"
)


@pytest.mark.parametrize("tools", [list[dspy.Tool], dspy.Tool])
def test_a_signature_that_declares_tools_is_proven_with_hostile_tools_and_what_they_gave(tools: Any) -> None:
    signature = Guided.with_updated_fields("tools", type_=tools)
    chat = Chat("question", "answer", history="history")
    asked = Program("guide", lambda: dspy.Predict(signature), lambda _: [], lambda *_: 1.0, chat, Sampling())
    given = GUIDED if tools is not dspy.Tool else {**GUIDED, "tools": GUIDED["tools"][0]}
    example = dspy.Example(**given, calls=CALLED, answer="").with_inputs(*given)
    candidate = Candidate("shown", {"self": [dict(example.items())]})
    lowered = lower_proven((asked, asked.make_module()), candidate, None, [example], [SAID, ""])
    assert lowered.reason is None and lowered.plan is not None and lowered.proof is not None
    assert lowered.proof.rendered > 80 and lowered.proof.readings > 500
    assert "weather, whose description is <desc>How warm it is" in lowered.plan.prefix[-2].content


def test_tools_that_nothing_calls_keep_a_program_interpreted() -> None:
    signature = Guided.delete("calls")
    asked = Program("guide", lambda: dspy.Predict(signature), lambda _: [], lambda *_: 1.0, CHAT, Sampling())
    with pytest.raises(LoweringImpossible, match="1 inputs of tools and 0 outputs that call them"):
        lower(asked.make_module(), asked, PLAIN, None)
