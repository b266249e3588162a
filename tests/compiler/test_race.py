from __future__ import annotations

import asyncio
import random

import dspy
import pytest

from compiler.answers import Answer
from compiler.candidate import Candidate
from compiler.events import CandidateScored
from compiler.race import Race
from tests.compiler.scripted import Collected, sums

N = 40


class Track:
    """Scores fixed beforehand; counts what is asked of whom."""

    def __init__(self, scores: dict[str, list[float]]) -> None:
        self.scores = scores
        self.runs: list[tuple[str, int]] = []
        self.once_round = asyncio.Event()

    async def __call__(self, candidate: Candidate, example: dspy.Example) -> Answer:
        index = int(example.question.split()[2])
        self.runs.append((candidate.name, index))
        if len(self.runs) == N:
            self.once_round.set()
        await asyncio.sleep(0)
        return Answer(self.scores[candidate.name][index])


async def raced(track: Track, concurrency: int = 4, keep: int = 1) -> tuple[Race, Collected]:
    events = Collected()
    racing = Race(tuple(sums(N)), track, concurrency, len(track.scores), events, keep)
    for rank, name in enumerate(track.scores):
        racing.enter(rank, Candidate(name))
    racing.close()
    await racing.run()
    return racing, events


async def race(track: Track, concurrency: int = 4) -> tuple[str, Collected]:
    racing, events = await raced(track, concurrency)
    return racing.winner().name, events


@pytest.mark.parametrize("seed", range(12))
async def test_the_winner_is_the_one_full_scoring_would_give(seed: int) -> None:
    rng = random.Random(seed)
    graded = seed % 2
    scores = {
        f"c{number}": [rng.random() if graded else float(rng.random() < 0.6) for _ in range(N)]
        for number in range(7)
    }
    best = max(scores, key=lambda name: (round(sum(scores[name]), 6), -int(name[1:])))
    winner, _ = await race(Track(scores))
    assert winner == best


@pytest.mark.parametrize("seed", range(6))
async def test_the_best_three_are_those_full_scoring_would_give(seed: int) -> None:
    rng = random.Random(seed)
    scores = {f"c{number}": [float(rng.random() < 0.6) for _ in range(N)] for number in range(8)}
    ranked = sorted(scores, key=lambda name: (-sum(scores[name]), int(name[1:])))[:3]
    track = Track(scores)
    racing, _ = await raced(track, keep=3)
    assert [(candidate.name, round(score * N)) for candidate, score in racing.best()] == [
        (name, sum(scores[name])) for name in ranked
    ]
    assert len(track.runs) < 8 * N


async def test_hopeless_candidates_are_dropped_early() -> None:
    track = Track({"good": [1.0] * N, "bad": [0.0] * N, "worse": [0.0] * N})
    _, events = await race(track)
    assert len(track.runs) < N + 2 * 10
    dropped = [e for e in events.events if isinstance(e, CandidateScored) and e.dropped]
    assert {event.name for event in dropped} == {"bad", "worse"} and all(event.n < N for event in dropped)


async def test_of_equal_candidates_the_lower_rank_wins() -> None:
    same = [float(index % 3 > 0) for index in range(N)]
    assert (await race(Track({"first": same, "second": list(same), "third": list(same)})))[0] == "first"


async def test_no_example_is_asked_twice_of_a_candidate() -> None:
    track = Track({name: [0.5] * N for name in "abc"})
    await race(track, concurrency=16)
    assert len(track.runs) == len(set(track.runs))


async def test_one_candidates_examples_stay_together() -> None:
    track = Track({name: [1.0] * N for name in "ab"})
    await race(track, concurrency=8)
    switches = sum(one[0] != other[0] for one, other in zip(track.runs, track.runs[1:], strict=False))
    assert switches <= len(track.runs) // 4


async def test_examples_that_others_lost_come_first() -> None:
    good = [0.0 if index in (30, 35) else 1.0 for index in range(N)]
    track = Track({"good": good, "late": list(good)})
    racing = Race(tuple(sums(N)), track, 1, 2, Collected())
    racing.enter(0, Candidate("good"))
    running = asyncio.ensure_future(racing.run())
    await track.once_round.wait()
    racing.enter(1, Candidate("late"))
    racing.close()
    await running
    assert [index for name, index in track.runs if name == "late"][:2] == [30, 35]


async def test_a_failure_ends_the_race_and_leaves_nothing_running() -> None:
    async def fails(candidate: Candidate, example: dspy.Example) -> Answer:
        await asyncio.sleep(0)
        raise ConnectionError("gone")

    racing = Race(tuple(sums(N)), fails, 4, 1, Collected())
    racing.enter(0, Candidate("only"))
    with pytest.raises(ConnectionError, match="gone"):
        await racing.run()
    assert len(asyncio.all_tasks()) == 1
