from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from compiler.build import build
from compiler.candidate import PLAIN, Candidate, EnsembleCandidate
from compiler.errors import ArgumentInvalid, ProgramUnusable
from compiler.events import CandidateScored, Finished, Log
from compiler.optimizers.ensemble import Ensemble
from compiler.optimizers.table import make_optimizer
from compiler.request import Cast
from engine.chat import Reply
from programs.release import read_release
from tests.compiler.optimizers.test_bootstrap import bench
from tests.compiler.scripted import Adder, Bound, Collected, SumsExamples, TwoSteps, program, request

SMALL = {"size": 3, "num_candidate_programs": 3, "max_bootstrapped_demos": 2, "max_labeled_demos": 2}


class Moody(Adder):
    """Gets a third of the sums wrong, other ones with every prompt."""

    def _answer(self, messages: list[dict[str, str]]) -> Reply:
        prompt = "".join(message["content"] for message in messages)
        self._spoil = (lambda _: "no idea") if zlib.crc32(prompt.encode()) % 3 == 0 else None
        return super()._answer(messages)


async def found(folder: Path, adder: Adder) -> tuple[EnsembleCandidate, Collected]:
    stand = bench(folder, adder)
    candidate = await make_optimizer("Ensemble", SMALL).optimise(stand)
    assert isinstance(candidate, EnsembleCandidate) and isinstance(stand.report, Collected)
    return candidate, stand.report


async def test_the_members_are_the_best_candidates_and_together_they_are_better(tmp_path: Path) -> None:
    candidate, events = await found(tmp_path, Moody())
    scores = {e.name: e.score for e in events.events if isinstance(e, CandidateScored) and not e.dropped}
    together = scores.pop("majority of 3")
    members = [scores[member.name] for member in candidate.members]
    assert sorted(scores.values(), reverse=True)[:3] == members and together > members[0]
    assert not [event for event in events.events if isinstance(event, Log)]


async def test_the_vote_on_the_dev_rows_asks_nothing_anew(tmp_path: Path) -> None:
    adder = Adder()
    _, events = await found(tmp_path, adder)
    assert len({str(messages) for messages in adder.asked}) == adder.calls
    last = events.events[-1]
    assert isinstance(last, Log) and last.text.endswith("with one call an answer instead of 3.")
    assert (
        "scores 1.000 on the dev examples, its best member alone 1.000: it is released as asked" in last.text
    )


async def test_a_build_releases_an_ensemble_and_pays_for_all_members(tmp_path: Path) -> None:
    asked = request(tmp_path, program(), optimizer="Ensemble", arguments=SMALL)
    events = [event async for event in build(asked, Cast(Bound(Moody())))]
    assert isinstance(events[-1], Finished)
    result = events[-1].result
    release = read_release(result.path)
    assert release.identity.kind == "ensemble" and release.ensemble is not None and result.lowered
    assert len(release.ensemble.members) == 3 and result.compiled.mean > result.baseline.mean
    before, after = result.baseline.prompt_tokens_per_answer, result.compiled.prompt_tokens_per_answer
    assert before is not None and after is not None and after > 3 * before


@pytest.mark.parametrize("tokens", [240, 220])
async def test_what_has_nothing_to_vote_with_is_a_plan(tmp_path: Path, tokens: int) -> None:
    """At 240 tokens the instructions fit alone, at 220 not even they."""
    asked = request(
        tmp_path, program(examples=SumsExamples(10, 4, 10)), optimizer="Ensemble", arguments=SMALL
    )
    events = [event async for event in build(asked, Cast(Bound(Adder(), context_tokens=tokens)))]
    assert isinstance(events[-1], Finished)
    assert read_release(events[-1].result.path).identity.kind == "plan"
    assert Log("One prompt has nothing to vote with: it is released as a plan.") in events


async def test_a_prompt_that_two_candidates_have_votes_once(tmp_path: Path) -> None:
    stand = bench(tmp_path, Adder())
    # Without labelled demonstrations that candidate is the unoptimised one.
    candidate = await Ensemble(size=4, num_candidate_programs=1, max_labeled_demos=0).optimise(stand)
    assert isinstance(candidate, EnsembleCandidate) and isinstance(stand.report, Collected)
    assert len(candidate.members) == 3 and candidate.name == "majority of 3"
    assert Log("Members that fit and have a prompt of their own: 3 of 4.") in stand.report.events


@pytest.mark.parametrize(("optimizer", "arguments"), [("Ensemble", SMALL), ("KNNFewShot", {"k": 2})])
async def test_the_same_rows_and_replies_are_the_same_release(
    tmp_path: Path, optimizer: str, arguments: dict[str, int]
) -> None:
    small = SumsExamples(10, 4, 10)
    versions = set()
    for folder in (tmp_path / "one", tmp_path / "other"):
        asked = request(folder, program(examples=small), optimizer=optimizer, arguments=arguments)
        events = [event async for event in build(asked, Cast(Bound(Adder(pause=0.001))))]
        assert isinstance(events[-1], Finished)
        versions.add(events[-1].result.version)
    assert len(versions) == 1


async def test_a_program_of_several_predictors_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    adder = Adder()
    with pytest.raises(ProgramUnusable, match=r"Ensemble can't optimise program 'sums'.*TwoSteps"):
        await Ensemble().optimise(bench(tmp_path, adder, program(TwoSteps)))
    assert adder.calls == 0


@pytest.mark.parametrize(
    ("optimizer", "reason"),
    [
        (Ensemble(reduce="mean"), "reducer 'mean' needs a number, output 'answer' is str"),
        (Ensemble(size=5, num_candidate_programs=1), "size=5 is more than the 4 candidates"),
    ],
)
async def test_what_can_not_be_released_is_refused_before_anything_is_asked(
    tmp_path: Path, optimizer: Ensemble, reason: str
) -> None:
    adder = Adder()
    with pytest.raises(ArgumentInvalid, match=reason):
        await optimizer.optimise(bench(tmp_path, adder))
    assert adder.calls == 0


def test_an_unknown_reducer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ArgumentInvalid, match=r"reduce='median'.*majority, first, mean"):
        make_optimizer("Ensemble", {"reduce": "median"})


def test_it_foresees_that_an_answer_takes_all_members() -> None:
    runs, few = Ensemble(size=4).expected_runs(200, 100, 0.5), Ensemble(size=2).expected_runs(200, 100, 0.5)
    assert (runs.members, few.members) == (4, 2) and few.scored <= runs.scored <= 1100
    assert Ensemble(size=11).expected_runs(200, 100, 0.5).scored == 1100


def test_an_ensembles_longest_prompt_is_its_longest_members() -> None:
    long = Candidate("long", {"self": [{"question": "x" * 50}]})
    short = Candidate("short", {"self": [{"question": "x"}, {"question": "y"}]})
    ensemble = EnsembleCandidate("e", members=[PLAIN, long, short], reduce="majority")
    assert ensemble.longest() is long and ensemble.demo_count == 2
