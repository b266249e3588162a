from __future__ import annotations

from pathlib import Path

import pytest

from compiler.build import build
from compiler.candidate import Candidate, NeighbourCandidate
from compiler.errors import ArgumentInvalid, ProgramUnusable
from compiler.events import CandidateScored, Finished, Log
from compiler.optimizers.knn import KNNFewShot
from compiler.optimizers.table import make_optimizer
from compiler.request import Cast
from programs.neighbours import NeighbourExecutor
from programs.release import read_release
from tests.compiler.optimizers.test_bootstrap import bench
from tests.compiler.scripted import (
    Adder,
    Bound,
    Collected,
    SumsExamples,
    TwoSteps,
    program,
    request,
    said,
    sums,
)


async def found(folder: Path, adder: Adder, optimizer: KNNFewShot) -> tuple[NeighbourCandidate, Collected]:
    stand = bench(folder, adder)
    candidate = await optimizer.optimise(stand)
    assert isinstance(candidate, NeighbourCandidate) and isinstance(stand.report, Collected)
    return candidate, stand.report


async def test_the_pool_is_every_row_that_the_metric_passes_worked_out(tmp_path: Path) -> None:
    candidate, events = await found(tmp_path, Adder(), KNNFewShot(k=2))
    # Plain, the adder gets only even sums right.
    assert len(candidate.pool) == 10 and all("make" in demo["reasoning"] for demo in candidate.pool)
    assert candidate.demo_count == 2 and candidate.name == "nearest 2 of 10"
    (scored,) = [event for event in events.events if isinstance(event, CandidateScored)]
    assert (scored.name, scored.score, scored.n) == ("nearest 2 of 10", 1.0, 12)


async def test_each_row_is_tried_once_and_no_more_than_are_needed(tmp_path: Path) -> None:
    adder = Adder()
    await found(tmp_path, adder, KNNFewShot(k=2, num_demos=4))
    assert adder.calls == 8 + 12  # rows 0 to 7, of which half pass, then the dev rows


async def test_where_too_few_pass_the_rows_are_shown_as_they_are_and_it_is_said(tmp_path: Path) -> None:
    adder = Adder(lambda _: said("no idea", "?"))
    candidate, events = await found(tmp_path, adder, KNNFewShot(k=3, num_demos=5))
    assert len(candidate.pool) == 5 and all("reasoning" not in demo for demo in candidate.pool)
    (note,) = [event.text for event in events.events if isinstance(event, Log)]
    assert "passed 0 of 20 worked rows, fewer than the 3" in note


async def test_rows_that_ask_the_same_are_one(tmp_path: Path) -> None:
    stand = bench(tmp_path, Adder())
    stand.train = (*sums(8), *sums(8))
    candidate = await KNNFewShot(k=1).optimise(stand)
    assert isinstance(candidate, NeighbourCandidate) and len(candidate.pool) == 4


async def test_a_build_releases_neighbours_and_measures_them_as_they_are_served(tmp_path: Path) -> None:
    adder = Adder()
    asked = request(tmp_path, program(), optimizer="KNNFewShot", arguments={"k": 2})
    events = [event async for event in build(asked, Cast(Bound(adder)))]
    assert isinstance(events[-1], Finished)
    result = events[-1].result
    release = read_release(result.path)
    assert release.identity.kind == "neighbours" and release.neighbours is not None and release.plan is None
    assert (result.baseline.mean, result.compiled.mean, result.lowered, result.reason) == (
        0.5,
        1.0,
        True,
        None,
    )
    assert len(adder.asked[-1]) == 1 + 2 * 2 + 1
    served = NeighbourExecutor(release.neighbours)
    outcome = await served.run({"question": "What is 8 + 4?"}, adder, {})
    assert outcome.outputs["answer"] == "12"
    assert "What is 8 + 4?" in adder.asked[-1][-3]["content"], "the row that asks the same is the nearest"


@pytest.mark.parametrize(("tokens", "kind"), [(280, "neighbours"), (220, "plan")])
async def test_what_is_released_fits_the_window(tmp_path: Path, tokens: int, kind: str) -> None:
    small = program(examples=SumsExamples(10, 4, 10))
    asked = request(tmp_path, small, optimizer="KNNFewShot", arguments={"k": 3})
    events = [event async for event in build(asked, Cast(Bound(Adder(), context_tokens=tokens)))]
    assert isinstance(events[-1], Finished)
    release = read_release(events[-1].result.path)
    assert release.identity.kind == kind
    assert release.neighbours is None or release.neighbours.k == 1


async def test_a_program_of_several_predictors_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    adder = Adder()
    with pytest.raises(
        ProgramUnusable, match=r"KNNFewShot can't optimise program 'sums'.*TwoSteps.*RandomSearch"
    ):
        await KNNFewShot().optimise(bench(tmp_path, adder, program(TwoSteps)))
    assert adder.calls == 0


def test_the_longest_prompt_has_the_longest_demonstrations() -> None:
    candidate = NeighbourCandidate(
        "n", {"self": ()}, predictor="self", pool=[{"a": "x" * n} for n in (1, 9, 5)], vectors=[[]] * 3,
        embedder=None, k=2,  # type: ignore[arg-type]
    )  # fmt: skip
    assert [len(demo["a"]) for demo in candidate.longest().demos["self"]] == [9, 5]
    assert type(candidate.longest()) is Candidate


def test_an_unknown_embedder_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ArgumentInvalid, match=r"embedder='word2vec'.*known embedders are hashed-ngrams"):
        make_optimizer("KNNFewShot", {"embedder": "word2vec"})


def test_it_foresees_its_tries_and_its_dev_runs() -> None:
    runs = KNNFewShot(k=3, num_demos=40).expected_runs(200, 50, 0.5)
    assert (runs.taught, runs.scored, runs.demos, runs.members) == (80, 50, 3, 1)
