"""DSPy's own optimisers at our bench: what they find, what they are shown, and how they end."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import orjson
import pytest

from compiler.bench import Bench, Crew, Pace, Subject
from compiler.calls import Books, RecordedModel
from compiler.candidate import PLAIN, Candidate
from compiler.charge import Unknown
from compiler.errors import MetricFailed, ModelUnusable, SearchEnded
from compiler.events import CandidateScored, Log, Scored
from compiler.ledger import Ledger
from compiler.optimizers.table import make_optimizer
from compiler.scoring import Judge, Scorer
from compiler.spending import Ceiling, Spending
from engine.chat import Reply
from engine.errors import ContextWindowExceeded, EngineUnreachable
from programs.checks import matches
from programs.program import Program
from tests.compiler.proposer import NAME, Proposer
from tests.compiler.scripted import Adder, Collected, TwoSteps, program, right_sum, said, sums

SMALL: Mapping[str, Mapping[str, object]] = {
    "COPRO": {"breadth": 3, "depth": 2},
    "MIPROv2": {"num_candidates": 4, "num_trials": 4},
    "SIMBA": {"max_steps": 2, "num_candidates": 2},
    "GEPA": {"max_metric_calls": 60},
    "BetterTogether": {
        "strategy": "p -> c",
        "arguments": {"p": {"num_candidate_programs": 1}, "c": {"breadth": 2, "depth": 1}},
    },
}
"""Arguments that keep each optimiser short."""


class Guesser(Adder):
    """An adder that, sampled, gets the same sum right every second time."""

    def __init__(self, spoil: Callable[[int], str | None] | None = None, pause: float = 0.0) -> None:
        super().__init__(spoil, pause)
        self._guessed: Counter[str] = Counter()

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        reply = await super().complete(messages, params)
        if params.get("temperature") == 0:
            return reply
        last = orjson.loads(orjson.dumps(messages[-1]))["content"]
        self._guessed[last] += 1
        if self._guessed[last] % 2:
            return reply
        a, b = map(int, last.split("What is ")[-1].split("?")[0].split(" + "))
        return Reply(said(f"{a} and {b} make {a + b}", str(a + b)), "", "stop", reply.usage, "adder")


class Table:
    """A bench with what lies on it."""

    def __init__(self, folder: Path, adder: Adder, proposer: Any, asked: Program, **limits: Any) -> None:
        self.ledger = Ledger(folder / "calls.sqlite")
        spending = Spending(self.ledger, limits.get("ceiling", Ceiling()))
        spending.phase = "optimise"
        books, slots = Books(self.ledger, spending, Unknown()), asyncio.Semaphore(16)
        student = RecordedModel(adder, {"name": "adder"}, books, slots, pauses=())
        writer = RecordedModel(proposer, {"name": NAME}, books._replace(role="proposer"), slots, pauses=())
        scorer = Scorer(Judge(asked.metric), student)
        self.collected = Collected()
        pace = Pace(0, 8, limits.get("target"))
        examples = (tuple(sums(20)), tuple(sums(20, 1000)))
        crew = Crew(scorer, scorer, writer)
        self.bench = Bench(Subject(asked, asked.make_module()), examples, crew, pace, self.collected)

    async def optimise(self, name: str, **arguments: object) -> Candidate:
        return await make_optimizer(name, arguments or SMALL[name]).optimise(self.bench)

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.collected.events if isinstance(event, kind)]


def table(folder: Path, adder: Adder | None = None, proposer: Any = None, **more: Any) -> Table:
    asked = more.pop("asked", None) or program()
    return Table(folder, adder or Guesser(), proposer or Proposer(), asked, **more)


async def dev_score(bench: Bench, candidate: Candidate) -> float:
    scores = [(await bench.score(candidate, example)).score for example in bench.dev]
    return sum(scores) / len(scores)


@pytest.mark.parametrize("name", SMALL)
async def test_each_finds_a_prompt_that_gets_all_sums_right(name: str, tmp_path: Path) -> None:
    at = table(tmp_path)
    found = await at.optimise(name)
    assert found.name.startswith(name)
    assert await dev_score(at.bench, PLAIN) == 0.5 and await dev_score(at.bench, found) == 1.0


@pytest.mark.parametrize("name", SMALL)
async def test_each_works_on_a_program_of_several_predictors(name: str, tmp_path: Path) -> None:
    at = table(tmp_path, asked=program(TwoSteps))
    found = await at.optimise(name)
    assert {*found.demos, *found.instructions} <= {"first", "second.predict"}
    assert await dev_score(at.bench, found) >= 0.5


@pytest.mark.parametrize("name", SMALL)
async def test_nothing_of_it_reaches_the_terminal(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    await table(tmp_path).optimise(name)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", SMALL)
async def test_who_writes_instructions_is_told_and_progress_too(name: str, tmp_path: Path) -> None:
    at = table(tmp_path)
    await at.optimise(name)
    assert Log(f"Instructions proposed by {NAME}.") in at.told(Log)
    progress = at.told(Scored)
    assert [event.done for event in progress] == list(range(1, len(progress) + 1))
    assert all(event.done <= event.total for event in progress)


@pytest.mark.parametrize("name", SMALL)
async def test_a_ceiling_ends_it_with_the_best_so_far_and_no_thread_left(name: str, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    at = table(tmp_path, ceiling=Ceiling(calls=60))
    with pytest.raises(SearchEnded, match="the ceiling is 60 calls"):
        await at.optimise(name)
    assert set(threading.enumerate()) == before
    assert at.bench.best[1] is not None or name == "SIMBA"


async def test_the_target_ends_it(tmp_path: Path) -> None:
    at = table(tmp_path, target=0.9)
    with pytest.raises(SearchEnded, match=r"'COPRO 2' scores 1\.000"):
        await at.optimise("COPRO", breadth=9, depth=3)
    assert len(at.told(CandidateScored)) <= 3


@pytest.mark.parametrize("name", SMALL)
async def test_cancelling_it_leaves_no_thread(name: str, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    at = table(tmp_path, Guesser(pause=0.01), Proposer(pause=0.01))
    work = asyncio.ensure_future(at.optimise(name))
    await asyncio.sleep(0.2)
    assert set(threading.enumerate()) > before
    work.cancel()
    await asyncio.wait([work])
    assert work.cancelled() and set(threading.enumerate()) == before


@pytest.mark.parametrize("name", ["MIPROv2", "BetterTogether"])
async def test_an_engine_that_goes_away_is_told_as_such(name: str, tmp_path: Path) -> None:
    def break_after_a_while(total: int) -> str | None:
        if adder.calls > 30:
            raise EngineUnreachable("nobody answers")
        return None

    adder = Adder(break_after_a_while)
    with pytest.raises(EngineUnreachable, match="nobody answers"):
        await table(tmp_path, adder).optimise(name)


async def test_a_metric_that_is_broken_ends_it(tmp_path: Path) -> None:
    def broken(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        raise ZeroDivisionError("no")

    with pytest.raises(MetricFailed, match="ZeroDivisionError"):
        await table(tmp_path, asked=program(metric=broken)).optimise("GEPA")


async def test_the_metrics_words_and_unreadable_replies_reach_the_proposer(tmp_path: Path) -> None:
    def wordy(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> dspy.Prediction:
        score = right_sum(example, prediction)
        return dspy.Prediction(score=score, feedback="" if score else f"off: not {prediction.answer}!")

    adder, proposer = Adder(lambda total: "gibberish" if total % 5 == 0 else None), Proposer("Try.")
    await table(tmp_path, adder, proposer, asked=program(metric=wordy)).optimise("GEPA")
    heard = "\n".join(proposer.heard)
    assert "off: not" in heard and "gibberish" in heard and "Your output failed to parse" in heard


async def test_a_number_for_a_metric_becomes_a_sentence_with_what_was_expected(tmp_path: Path) -> None:
    proposer = Proposer("Try.")
    await table(tmp_path, proposer=proposer).optimise("GEPA")
    assert any("This answer scores 0. What was expected: answer: " in prompt for prompt in proposer.heard)


async def test_simba_writes_rules_where_runs_differ(tmp_path: Path) -> None:
    proposer = Proposer()
    found = await table(tmp_path, proposer=proposer).optimise("SIMBA", max_steps=2, max_demos=0)
    assert any("better_program_trajectory" in prompt for prompt in proposer.heard)
    assert "Add carefully." in found.instructions["predict"]


async def test_proposals_are_asked_for_at_once_and_at_the_temperature_of_the_optimiser(
    tmp_path: Path,
) -> None:
    proposer = Proposer(pause=0.01)
    await table(tmp_path, proposer=proposer).optimise("COPRO", breadth=6, depth=1, init_temperature=1.1)
    assert proposer.most_at_once == 5
    assert [params["temperature"] for params in proposer.params] == [1.1] * 5
    assert all(params.keys() == {"temperature"} for params in proposer.params)


async def test_a_proposer_without_headings_is_understood_and_an_empty_one_endured(tmp_path: Path) -> None:
    class Plain(Proposer):
        def proposal(self, prompt: str) -> str:
            return "Add carefully, always." if len(self.heard) % 2 else ""

    found = await table(tmp_path, proposer=Plain()).optimise("COPRO")
    assert found.instructions == {"predict": "Add carefully, always."}


async def test_a_proposer_that_fails_from_the_start_is_named(tmp_path: Path) -> None:
    class Refusing(Proposer):
        def proposal(self, prompt: str) -> str:
            raise EngineUnreachable("the proposer is not there")

    with pytest.raises(EngineUnreachable, match="the proposer is not there"):
        await table(tmp_path, proposer=Refusing()).optimise("COPRO")


async def test_what_is_no_better_is_not_taken(tmp_path: Path) -> None:
    spoilt = Adder(lambda total: said("so", str(total)))
    at = table(tmp_path, spoilt, Proposer("Try."))
    found = await at.optimise("SIMBA")
    assert await dev_score(at.bench, found) >= await dev_score(at.bench, PLAIN)


async def test_another_search_of_the_same_bench_asks_nothing_twice(tmp_path: Path) -> None:
    adder, proposer = Adder(), Proposer()
    first = await table(tmp_path, adder, proposer).optimise("MIPROv2")
    calls, proposals = adder.calls, len(proposer.heard)
    again = await table(tmp_path, adder, proposer).optimise("MIPROv2")
    assert (adder.calls, len(proposer.heard)) == (calls, proposals)
    assert (first.name, first.instructions) == (again.name, again.instructions)


async def test_small_data_shrinks_a_batch_and_says_so(tmp_path: Path) -> None:
    at = table(tmp_path)
    await at.optimise("SIMBA", bsize=32, max_steps=1, num_candidates=2)
    assert any("bsize=20" in log.text for log in at.told(Log))


async def test_the_student_as_its_own_proposer_is_allowed_but_said(tmp_path: Path) -> None:
    class Both(Adder):
        async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
            if "proposed_instruction" in str(messages):
                return await Proposer("Hm.").complete(messages, params)
            return await super().complete(messages, params)

    at = table(tmp_path, Both())
    at.bench.proposer = at.bench.student.model
    found = await at.optimise("COPRO")
    assert "Instructions proposed by adder, the student itself" in at.told(Log)[0].text
    assert await dev_score(at.bench, found) == 0.5


async def test_a_proposer_whose_one_reply_is_refused_ends_the_search_in_a_sentence(tmp_path: Path) -> None:
    class Choosy(Proposer):
        def proposal(self, prompt: str) -> str:
            if len(self.heard) > 2:
                raise ContextWindowExceeded("too long", status=400)
            return super().proposal(prompt)

    with pytest.raises(
        SearchEnded, match=f"COPRO can't go on with what the proposer {NAME} says: .*too long"
    ):
        await table(tmp_path, proposer=Choosy()).optimise("COPRO")
    with pytest.raises(ModelUnusable, match="name another with --proposer"):
        await table(tmp_path / "b", proposer=Choosy()).optimise("COPRO", breadth=9)
    with pytest.raises(SearchEnded, match="BetterTogether can't go on with"):
        await table(tmp_path / "c", proposer=Choosy()).optimise("BetterTogether", strategy="c -> m")


async def test_why_a_check_failed_reaches_the_proposer(tmp_path: Path) -> None:
    odd = replace(program(), checks=(matches("answer", r"\d*[13579]"),), check_retries=0)
    proposer = Proposer("Try.")
    at = table(tmp_path, Adder(), proposer, asked=odd)
    await at.optimise("GEPA")
    assert await dev_score(at.bench, PLAIN) == 0.0  # unhelped, the adder says even numbers only
    assert any("'answer' must match" in prompt for prompt in proposer.heard)


@pytest.mark.parametrize("name", ["MIPROv2", "SIMBA"])
async def test_proposers_are_shown_the_source_of_the_program_itself(name: str, tmp_path: Path) -> None:
    proposer = Proposer()
    arguments = {"max_demos": 0, "max_steps": 1} if name == "SIMBA" else SMALL[name]
    await table(tmp_path, Guesser(), proposer, asked=program(TwoSteps)).optimise(name, **arguments)
    assert any("class TwoSteps" in prompt and "Works a sum out" in prompt for prompt in proposer.heard)
