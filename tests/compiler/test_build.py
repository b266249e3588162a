from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import dspy
import pytest

from compiler.build import build
from compiler.errors import (
    BuildMismatch,
    CeilingExceeded,
    DataTooSmall,
    MetricFailed,
    ModelUnusable,
    OptimizerUnknown,
    ProgramUnusable,
    StateNotWritten,
    TargetMissed,
)
from compiler.events import STAGES, Began, BuildResult, Event, Finished, Log, Scored, Spent, StageStarted
from compiler.request import BoundModel, BuildRequest, Cast
from compiler.spending import Ceiling
from engine.chat import Reply
from engine.errors import EngineUnreachable
from engine.settings import EngineSettings
from programs.aliases import read_aliases
from programs.errors import DataInvalid, ReleaseNotWritten
from programs.release import read_release, verify_evidence
from tests.compiler.scripted import (
    Adder,
    Bound,
    Named,
    SumsExamples,
    Synchronous,
    TwoSteps,
    program,
    request,
    sums,
)

FAST = {"num_candidate_programs": 2, "max_bootstrapped_demos": 2}


async def run(
    asked: BuildRequest, model: Adder, teacher: BoundModel | None = None
) -> tuple[BuildResult, list[Event]]:
    events = [event async for event in build(asked, Cast(Bound(model), teacher))]
    assert isinstance(events[-1], Finished)
    return events[-1].result, events


def evidence(result: BuildResult) -> dict[str, Any]:
    file = result.path / "evidence" / result.build_id / "build.json"
    return dict(json.loads(file.read_text()))


async def test_labelled_examples_become_a_measured_release(tmp_path: Path) -> None:
    result, _ = await run(request(tmp_path, program(), optimizer="labeledfewshot"), Adder())
    release = read_release(result.path)
    assert release.plan is not None and release.identity.version == result.version
    assert release.identity.fingerprint == Named().as_dict() and release.identity.student == "default"
    assert verify_evidence(result.path) == [result.build_id] and result.lowered


async def test_random_search_finds_worked_examples_and_proves_the_gain(tmp_path: Path) -> None:
    result, _ = await run(request(tmp_path, program()), Adder())
    assert result.baseline.mean == 0.5 and result.compiled.mean == 1.0
    assert result.proven and result.difference.p < 0.01 and result.weak


async def test_the_plain_program_can_be_released_as_it_is_and_is_asked_once(tmp_path: Path) -> None:
    adder = Adder()
    result, _ = await run(request(tmp_path, program(), optimizer="none"), adder)
    assert result.difference.difference == 0 and not result.proven
    assert adder.calls == 4 + 40  # the rehearsal and the test examples; before and after are the same calls


async def test_events_tell_id_stages_and_spending_in_their_order(tmp_path: Path) -> None:
    result, events = await run(request(tmp_path, program(), arguments=FAST), Adder())
    assert events[0] == Began(result.build_id, resumed=False)
    assert tuple(event.stage for event in events if isinstance(event, StageStarted)) == STAGES
    spent = [event for event in events if isinstance(event, Spent)]
    assert spent[-1].calls == result.spent.calls and [s.calls for s in spent] == sorted(
        s.calls for s in spent
    )


async def test_evidence_says_how_the_release_was_made_and_measured(tmp_path: Path) -> None:
    result, _ = await run(request(tmp_path, program(), arguments=FAST, seed=5), Adder())
    told = evidence(result)
    assert told["asked"]["seed"] == 5 and told["asked"]["arguments"] == FAST
    assert told["scores"]["after"]["mean"] == 1.0 and told["scores"]["difference"]["test"] == "mcnemar"
    assert told["split"]["sizes"] == {"train": 20, "dev": 20, "test": 40}
    assert told["lowering"]["proof"]["readings"] > 100
    assert {"python", "dspy", "litellm"} <= {*told["libraries"]}


async def test_the_scorecard_has_every_held_out_example_before_and_after(tmp_path: Path) -> None:
    result, _ = await run(request(tmp_path, program(), optimizer="LabeledFewShot"), Adder())
    lines = (result.path / "evidence" / result.build_id / "scorecard.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 80 and {row["program"] for row in rows} == {"before", "after"}
    before = [row["score"] for row in rows if row["program"] == "before"]
    assert sum(before) / 40 == result.baseline.mean and rows[0]["output"]["answer"] == "3000"


async def test_the_first_release_is_champion_and_a_later_one_candidate(tmp_path: Path) -> None:
    first, _ = await run(request(tmp_path, program(), optimizer="none"), Adder())
    second, _ = await run(request(tmp_path, program(), arguments=FAST), Adder())
    aliases = read_aliases(first.path.parent)
    assert (first.alias, second.alias) == ("champion", "candidate")
    assert (aliases.champion, aliases.candidate) == (first.version, second.version)


async def test_the_same_prompts_are_the_same_release_with_more_evidence(tmp_path: Path) -> None:
    first, _ = await run(request(tmp_path, program(), optimizer="none"), Adder())
    second, _ = await run(request(tmp_path, program(), optimizer="none"), Adder())
    assert first.version == second.version and second.alias == "champion"
    assert verify_evidence(first.path) == sorted([first.build_id, second.build_id])


async def test_a_program_of_two_steps_is_released_interpreted_with_the_reason(tmp_path: Path) -> None:
    result, _ = await run(request(tmp_path, program(TwoSteps), arguments=FAST), Adder())
    release = read_release(result.path)
    assert not result.lowered and "TwoSteps" in str(result.reason)
    assert release.state is not None and set(release.state) == {"first", "second.predict"}
    assert result.compiled.mean == 1.0


async def test_a_teacher_shows_the_student_what_it_cannot_do(tmp_path: Path) -> None:
    class Lost(Adder):
        """A student that adds right only when it is shown how."""

        def _answer(self, messages: list[dict[str, str]]) -> Reply:
            self._spoil = None if len(messages) > 2 else lambda _: "no idea"
            return super()._answer(messages)

    teacher = Adder()
    bound = Bound(teacher, "teacher", Named("teacher"))
    result, _ = await run(request(tmp_path, program(), optimizer="BootstrapFewShot"), Lost(), bound)
    assert result.baseline.mean == 0.0 and result.compiled.mean == 1.0 and teacher.calls >= 8
    told = evidence(result)
    assert told["asked"]["teacher"]["name"] == "teacher"
    assert (told["teacher"]["n"], told["teacher"]["mean"]) == (16, 0.5)


async def interrupted(asked: BuildRequest, model: Adder, after: int) -> None:
    """Leaves a build once so many examples are scored, as Ctrl-C does."""
    scored = 0
    async with aclosing(build(asked, Cast(Bound(model)))) as events:
        async for event in events:
            scored += isinstance(event, Scored)
            if scored >= after:
                break


async def test_an_interrupted_build_leaves_no_release_and_resumes_without_repeating_a_call(
    tmp_path: Path,
) -> None:
    asked = request(tmp_path, program(), arguments=FAST, build_id="mine")
    whole = Adder()
    expected, _ = await run(request(tmp_path / "whole", program(), arguments=FAST), whole)
    adder = Adder(pause=0.001)
    await interrupted(asked, adder, after=30)
    assert not (tmp_path / "releases").exists() and adder.at_once == 0
    with closing(sqlite3.connect(tmp_path / ".smallforge/builds/mine/calls.sqlite")) as rows:
        answered = rows.execute("SELECT COUNT(*) FROM calls").fetchone()[0]
    before, adder.calls = adder.calls, 0
    result, events = await run(asked, adder)
    assert events[0] == Began("mine", resumed=True) and result.version == expected.version
    assert 30 <= answered <= before and result.spent.calls == answered + adder.calls


async def test_a_build_stopped_while_it_scores_the_test_examples_resumes_too(tmp_path: Path) -> None:
    asked = request(tmp_path, program(), optimizer="none", build_id="mine")
    adder = Adder(pause=0.001)
    await interrupted(asked, adder, after=25)
    result, _ = await run(asked, adder)
    assert result.compiled.n == 40 and evidence(result)["split"]["earlier_looks_at_test"] == 0


async def test_a_resumed_build_must_be_asked_the_same(tmp_path: Path) -> None:
    await run(request(tmp_path, program(), optimizer="none", build_id="mine"), Adder())
    with pytest.raises(BuildMismatch, match="begun with seed 0, not 7"):
        await run(request(tmp_path, program(), optimizer="none", build_id="mine", seed=7), Adder())


async def test_a_finished_build_can_be_run_again_and_asks_nothing(tmp_path: Path) -> None:
    asked = request(tmp_path, program(), optimizer="none", build_id="mine")
    first, _ = await run(asked, Adder())
    again = Adder()
    second, _ = await run(asked, again)
    assert again.calls == 0 and second.version == first.version


async def test_every_look_at_the_same_test_examples_is_counted(tmp_path: Path) -> None:
    for _ in range(2):
        await run(request(tmp_path, program(), optimizer="none"), Adder())
    third, _ = await run(request(tmp_path, program(), optimizer="none"), Adder())
    assert evidence(third)["split"]["earlier_looks_at_test"] == 2


async def test_calls_to_the_engine_are_bounded(tmp_path: Path) -> None:
    adder = Adder(pause=0.002)
    await run(request(tmp_path, program(), arguments=FAST, concurrency=5), adder)
    assert adder.most_at_once == 5


async def test_test_examples_are_asked_only_after_the_candidate_is_chosen(tmp_path: Path) -> None:
    adder = Adder()
    asked_before: list[int] = []
    async for event in build(request(tmp_path, program(), arguments=FAST), Cast(Bound(adder))):
        if event == StageStarted("lower"):
            asked_before.append(len(adder.asked))
    assert not any("What is 20" in m[-1]["content"] for m in adder.asked[: asked_before[0]])


@pytest.mark.parametrize(("field", "value"), [("target", 0.9), ("required_gain", 0.2)])
async def test_a_build_below_what_was_asked_is_released_and_then_told(
    tmp_path: Path, field: str, value: float
) -> None:
    events: list[Event] = []
    with pytest.raises(TargetMissed) as caught:
        async for event in build(
            request(tmp_path, program(), optimizer="none", **{field: value}), Cast(Bound(Adder()))
        ):
            events.append(event)
    assert caught.value.exit_code == 3 and isinstance(events[-1], Finished)
    assert events[-1].result.path.is_dir()


async def refused(kind: type[Exception], asked: BuildRequest, adder: Adder | None = None) -> str:
    """The one clean sentence that a build ends with; nothing is released."""
    with pytest.raises(kind) as caught:
        await run(asked, adder or Adder())
    assert not list(asked.releases.glob("*/*/release.json")) and "\n" not in str(caught.value)
    return str(caught.value)


async def test_an_unknown_optimiser_is_told_before_any_call(tmp_path: Path) -> None:
    adder = Adder()
    assert "no optimizer 'Mipro'" in await refused(
        OptimizerUnknown, request(tmp_path, program(), optimizer="Mipro"), adder
    )
    assert adder.calls == 0


async def test_too_little_data_is_told_before_any_call(tmp_path: Path) -> None:
    adder = Adder()
    await refused(DataTooSmall, request(tmp_path, program(examples=SumsExamples(train=9))), adder)
    assert adder.calls == 0


async def test_an_unreachable_engine_is_one_clean_sentence(tmp_path: Path) -> None:
    class Gone(Adder):
        def _answer(self, messages: list[dict[str, str]]) -> Reply:
            raise EngineUnreachable("nothing answers at http://127.0.0.1:9")

    asked = request(tmp_path, program())
    assert "nothing answers at" in await refused(EngineUnreachable, asked, Gone())


async def test_a_model_that_says_nothing_is_told_at_once(tmp_path: Path) -> None:
    told = await refused(ModelUnusable, request(tmp_path, program()), Adder(lambda _: ""))
    assert told.startswith("the student answered none of 4 training questions")


async def test_a_metric_that_raises_is_one_clean_sentence(tmp_path: Path) -> None:
    def broken(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        raise ZeroDivisionError("by nothing")

    told = await refused(MetricFailed, request(tmp_path, program(metric=broken), optimizer="none"))
    assert "ZeroDivisionError: by nothing" in told


async def test_a_ceiling_without_a_price_is_refused(tmp_path: Path) -> None:
    told = await refused(CeilingExceeded, request(tmp_path, program(), ceiling=Ceiling(1.0)))
    assert "price is unknown" in told


async def test_a_priced_engine_makes_the_build_and_every_answer_cost(tmp_path: Path) -> None:
    priced = EngineSettings("local", model="adder", usd_per_million_input=1.0, usd_per_million_output=2.0)
    bound = Bound(Adder(), engine=priced)
    events = [
        event
        async for event in build(
            request(tmp_path, program(), ceiling=Ceiling(5.0), arguments=FAST), Cast(bound)
        )
    ]
    assert isinstance(events[-1], Finished)
    result = events[-1].result
    spent, each = result.spent, result.compiled.usd_per_answer
    assert spent.usd == pytest.approx((spent.prompt_tokens + 2 * spent.completion_tokens) / 1e6)
    assert each is not None and spent.usd is not None and 0 < each < spent.usd
    assert evidence(result)["prices"]["student"]["usd_per_million_output"] == 2.0


async def test_a_ceiling_under_which_nothing_can_be_measured_is_told_after_the_first_questions(
    tmp_path: Path,
) -> None:
    adder = Adder()
    told = await refused(
        CeilingExceeded, request(tmp_path, program(), ceiling=Ceiling(calls=70), arguments=FAST), adder
    )
    assert "the ceiling is 70 calls, and measuring alone will about take 80 calls" in told
    assert adder.calls == 12


@pytest.mark.parametrize("ceiling", [Ceiling(calls=100), Ceiling(usd=0.0370)])
async def test_a_search_that_a_ceiling_ends_is_measured_and_released(
    tmp_path: Path, ceiling: Ceiling
) -> None:
    priced = EngineSettings("local", model="adder", usd_per_million_input=1.0, usd_per_million_output=2.0)
    asked = request(tmp_path, program(), ceiling=ceiling)
    events = [event async for event in build(asked, Cast(Bound(Adder(), engine=priced)))]
    assert isinstance(events[-1], Finished)
    result = events[-1].result
    assert result.stopped is not None and "the ceiling is" in result.stopped
    assert result.compiled.n == 40 and read_release(result.path).identity.version == result.version
    assert result.spent.calls <= (ceiling.calls or 10_000)
    assert result.spent.usd is not None and result.spent.usd <= (ceiling.usd or 1.0)
    logs = [event.text for event in events if isinstance(event, Log)]
    assert any(text.startswith("All of it would take about") for text in logs)


async def test_minutes_end_the_search_and_not_the_measuring(tmp_path: Path) -> None:
    asked = request(tmp_path, program(examples=SumsExamples(20, 200, 12)), ceiling=Ceiling(minutes=0.03))
    result, _ = await run(asked, Adder(pause=0.05))
    assert result.stopped is not None and "the ceiling is 0.03 minutes" in result.stopped


async def test_a_search_ends_when_the_target_is_reached(tmp_path: Path) -> None:
    whole, _ = await run(request(tmp_path / "whole", program()), Adder())
    result, _ = await run(request(tmp_path / "ended", program(), target=0.9), Adder())
    assert result.stopped is not None and "the target is 0.9" in result.stopped
    assert result.compiled.mean == 1.0 and result.spent.calls <= whole.spent.calls


async def test_a_module_that_has_only_forward_is_built_and_released(tmp_path: Path) -> None:
    result, _ = await run(request(tmp_path, program(Synchronous)), Adder())
    assert result.kind == "interpreted" and result.compiled.mean == 1.0


async def test_a_chat_that_names_no_output_is_refused(tmp_path: Path) -> None:
    asked = request(tmp_path, program(lambda: dspy.Predict("question -> reply")))
    assert "chat names output 'answer'" in await refused(ProgramUnusable, asked)


async def test_examples_that_do_not_fit_are_all_told_before_any_call(tmp_path: Path) -> None:
    def examples(split: str) -> list[dspy.Example]:
        wrong = [dspy.Example(question=number, answer="x").with_inputs("question") for number in range(2)]
        return [*wrong, *sums(20, first={"train": 0, "dev": 50, "test": 100}[split])]

    with pytest.raises(DataInvalid) as caught:
        await run(request(tmp_path, program(examples=examples)), Adder())
    assert len(caught.value.mistakes) == 2 and "test example 1: input 'question'" in caught.value.mistakes[0]


async def test_a_full_disk_ends_the_build_cleanly(tmp_path: Path, small_files: None) -> None:
    long = "x" * 3000
    asked = request(tmp_path, program(examples=SumsExamples(60, 60, 60)), optimizer="none")
    adder = Adder(lambda total: f"[[ ## reasoning ## ]]\n{long}{total}\n[[ ## answer ## ]]\n{total}")
    assert "free some space" in await refused(StateNotWritten, asked, adder)


async def test_a_releases_folder_that_refuses_is_one_clean_sentence(tmp_path: Path) -> None:
    (tmp_path / "releases").write_text("a file where the folder should be")
    asked = request(tmp_path, program(), optimizer="none")
    assert "can't write releases to" in await refused(ReleaseNotWritten, asked)


async def test_a_cancelled_build_stops_the_calls_under_way(tmp_path: Path) -> None:
    adder = Adder(pause=5)

    async def drain() -> None:
        async for _ in build(request(tmp_path, program()), Cast(Bound(adder))):
            pass

    task = asyncio.ensure_future(drain())
    while not adder.at_once:  # noqa: ASYNC110 - the adder has no event to wait for
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert adder.at_once == 0 and len(asyncio.all_tasks()) == 1
