from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import dspy
import pytest

from compiler.calls import Books, RecordedModel
from compiler.candidate import PLAIN, Candidate, EnsembleCandidate
from compiler.charge import Unknown
from compiler.errors import MetricFailed
from compiler.evaluation.answers import Answer, summarise
from compiler.events import Scored
from compiler.ledger import Ledger
from compiler.lowering import executor
from compiler.scoring import Judge, Scorer, Watch, request_inputs, score_all
from compiler.spending import Spending
from engine.chat import Reply, Usage
from engine.errors import EngineUnreachable
from programs.ensemble import EnsembleExecutor
from programs.execution import Executor, PlanExecutor
from programs.program import Program, Sampling
from tests.compiler.scripted import Adder, Collected, TwoSteps, chain, program, right_sum, sums


def scoring(folder: Path, adder: Any, asked: Program) -> tuple[Scorer, Executor]:
    ledger = Ledger(folder / "calls.sqlite")
    books = Books(ledger, Spending(ledger), Unknown())
    model = RecordedModel(adder, {}, books, asyncio.Semaphore(16), pauses=())
    return Scorer(Judge(asked.metric), model), executor(asked.make_module(), asked, PLAIN)


async def answers(folder: Path, adder: Any, asked: Program | None = None, count: int = 12) -> list[Answer]:
    asked = asked or program()
    return await score_all(*scoring(folder, adder, asked), sums(count), "score", Collected())


async def test_an_unparseable_reply_scores_nothing_but_its_tokens_count(tmp_path: Path) -> None:
    scored = await answers(tmp_path, Adder(lambda total: "no markers" if total == 0 else None))
    assert (scored[0].score, scored[0].fault) == (0.0, "unparseable")
    assert scored[0].completion_tokens == 2 and summarise(scored).unparseable == 1


class Cut(Adder):
    """Stops every reply at the token limit before the answer."""

    def _answer(self, messages: list[dict[str, str]]) -> Reply:
        super()._answer(messages)
        return Reply("[[ ## reasoning ## ]]\n12 and", "", "length", Usage(9, 4), "adder")


@pytest.mark.parametrize("make", [chain, TwoSteps])
async def test_a_cut_reply_scores_nothing_and_is_counted_apart(tmp_path: Path, make: Any) -> None:
    summary = summarise(await answers(tmp_path, Cut(), program(make)))
    assert (summary.cut, summary.unparseable, summary.mean) == (12, 0, 0.0)


async def test_a_program_that_fails_on_one_example_keeps_the_reason(tmp_path: Path) -> None:
    class Picky(TwoSteps):
        async def aforward(self, question: str) -> dspy.Prediction:
            if question.startswith("What is 3 "):
                raise KeyError("three")
            return await super().aforward(question)

    scored = await answers(tmp_path, Adder(), program(Picky))
    assert (scored[3].fault, scored[3].error) == ("program", "KeyError: 'three'")
    assert summarise(scored).errors == 1


async def test_a_metric_that_raises_on_few_examples_counts_as_errors(tmp_path: Path) -> None:
    def touchy(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        if example.answer == "0":
            raise ValueError("zero")
        return right_sum(example, prediction)

    scored = await answers(tmp_path, Adder(), program(metric=touchy))
    assert scored[0].error == "the metric raised ValueError: zero" and summarise(scored).errors == 1


async def test_a_metric_that_raises_on_most_examples_is_one_clean_sentence(tmp_path: Path) -> None:
    def broken(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        return float(example.gold == prediction.answer)

    with pytest.raises(MetricFailed, match=r"the metric raised on 10 of 10 examples, last AttributeError"):
        await answers(tmp_path, Adder(), program(metric=broken))


@pytest.mark.parametrize("value", [2.0, -0.1, float("nan")])
async def test_a_score_outside_0_to_1_is_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(MetricFailed, match=r"a score is a number from 0 \(wrong\) to 1 \(right\)"):
        await answers(tmp_path, Adder(), program(metric=lambda *_: value))


class Gone(Adder):
    """An engine that went away."""

    def _answer(self, messages: list[dict[str, str]]) -> Reply:
        raise EngineUnreachable("nothing answers at http://127.0.0.1:9")


@pytest.mark.parametrize("make", [chain, TwoSteps])
async def test_an_engine_that_is_gone_ends_the_scoring_also_through_dspy(tmp_path: Path, make: Any) -> None:
    with pytest.raises(EngineUnreachable, match="nothing answers"):
        await answers(tmp_path, Gone(), program(make))


async def test_progress_is_told_after_every_example(tmp_path: Path) -> None:
    events = Collected()
    await score_all(*scoring(tmp_path, Adder(), program()), sums(4), "baseline", events)
    last = events.events[-1]
    assert isinstance(last, Scored) and (last.done, last.total, last.score) == (4, 4, 0.5)


async def test_tokens_of_all_steps_are_summed(tmp_path: Path) -> None:
    both = (await answers(tmp_path, Adder(), program(TwoSteps), count=1))[0]
    assert len(both.steps) == 2 and (both.completion_tokens or 0) > 20


async def test_answers_are_in_the_examples_order_however_they_arrive(tmp_path: Path) -> None:
    scored = await answers(tmp_path, Adder(), program(sampling=Sampling(temperature=0.7)))
    assert [answer.score for answer in scored] == [float((n + n // 2) % 2 == 0) for n in range(12)]


@pytest.mark.parametrize(
    ("candidate", "kind"),
    [
        (PLAIN, PlanExecutor),
        (EnsembleCandidate("both", members=[PLAIN, PLAIN], reduce="first"), EnsembleExecutor),
    ],
    ids=["plan", "ensemble"],
)
def test_past_turns_become_the_list_that_a_request_carries(
    candidate: Candidate, kind: type[Executor]
) -> None:
    asked = program(lambda: dspy.Predict("question, history: dspy.History -> answer"))
    runs = executor(asked.make_module(), asked, candidate)
    example = dspy.Example(question="q", history=dspy.History(messages=[{"question": "a"}]), note="kept away")
    assert type(runs) is kind
    inputs = request_inputs(runs, example.with_inputs("question", "history", "note"))
    assert inputs == {"question": "q", "history": [{"question": "a"}]}


def test_tokens_are_unknown_where_the_engine_counts_none() -> None:
    assert summarise([Answer(1.0), Answer(0.0)]).tokens_per_answer is None


async def test_of_calls_made_together_the_longest_counts(tmp_path: Path) -> None:
    with Ledger(tmp_path / "calls.sqlite") as ledger:
        books = Books(ledger, Spending(ledger), Unknown())
        model = RecordedModel(Adder(pause=0.05), {}, books, asyncio.Semaphore(16), pauses=())
        together, after = Watch(model), Watch(model)
        asked = [[{"role": "user", "content": f"{number} + 1"}] for number in range(4)]
        await asyncio.gather(*(together.complete(messages, {"temperature": 0.5}) for messages in asked))
        for messages in asked:
            await after.complete(messages, {"temperature": 0.5})
    assert together.seconds is not None and after.seconds is not None
    assert together.seconds < 0.5 * after.seconds
