from __future__ import annotations

import asyncio
import random

import dspy
import pytest

from compiler.candidate import PLAIN, Candidate
from compiler.errors import SearchEnded
from compiler.evaluation.answers import Answer
from compiler.events import CandidateScored
from compiler.optimizers.race import Race, score_alone
from tests.compiler.scripted import Collected, sums

N = 40


class Track:
    """Scores fixed beforehand; counts what is asked of whom. A ground to race on."""

    def __init__(self, scores: dict[str, list[float]], handicaps: dict[str, float] | None = None) -> None:
        self.scores = scores
        self.dev = tuple(sums(N))
        self.concurrency = 4
        self.report = self.events = Collected()
        self.offered: list[tuple[str, float | None]] = []
        self.runs: list[tuple[str, int]] = []
        self.once_round = asyncio.Event()
        self.too_long: set[str] = set()
        self._handicaps = handicaps or {}

    async def score(self, candidate: Candidate, example: dspy.Example) -> Answer:
        index = int(example.question.split()[2])
        self.runs.append((candidate.name, index))
        if len(self.runs) == N:
            self.once_round.set()
        await asyncio.sleep(0)
        return Answer(self.scores[candidate.name][index])

    def offer(self, candidate: Candidate, score: float | None = None) -> None:
        self.offered.append((candidate.name, score))

    def handicap(self, candidate: Candidate) -> float:
        return self._handicaps.get(candidate.name, 0.0)

    def prompt_tokens(self, candidate: Candidate) -> int | None:
        return 100 * len(candidate.name)

    async def fits(self, candidate: Candidate) -> Candidate | None:
        return None if candidate.name in self.too_long else candidate


async def raced(track: Track, concurrency: int = 4, keep: int = 1) -> tuple[Race, Collected]:
    track.concurrency = concurrency
    racing = Race(track, len(track.scores), keep)
    for rank, name in enumerate(track.scores):
        await racing.enter(rank, Candidate(name))
    racing.close()
    await racing.run()
    return racing, track.events


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
    track.concurrency = 1
    racing = Race(track, 2)
    await racing.enter(0, Candidate("good"))
    running = asyncio.ensure_future(racing.run())
    await track.once_round.wait()
    await racing.enter(1, Candidate("late"))
    racing.close()
    await running
    assert [index for name, index in track.runs if name == "late"][:2] == [30, 35]


async def test_a_failure_ends_the_race_and_leaves_nothing_running() -> None:
    class Fails(Track):
        async def score(self, candidate: Candidate, example: dspy.Example) -> Answer:
            await asyncio.sleep(0)
            raise ConnectionError("gone")

    racing = Race(Fails({}), 1)
    await racing.enter(0, Candidate("only"))
    with pytest.raises(ConnectionError, match="gone"):
        await racing.run()
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("seed", range(24))
async def test_with_handicaps_too_the_winners_are_those_full_scoring_would_give(seed: int) -> None:
    rng = random.Random(seed)
    names = [f"c{number}" for number in range(7)]
    graded, keep = seed % 2, 1 + seed % 3
    scores = {
        name: [rng.random() if graded else float(rng.random() < 0.6) for _ in range(N)] for name in names
    }
    handicaps = {name: rng.choice([0.0, 0.1, rng.random() / 4]) for name in names}
    net = {name: round(sum(scores[name]) - N * handicaps[name], 6) for name in names}
    track = Track(scores, handicaps)
    racing, _ = await raced(track, keep=keep)
    assert [candidate.name for candidate, _ in racing.best()] == sorted(names, key=lambda n: (-net[n], n))[
        :keep
    ]
    assert [score for _, score in racing.best()] == [
        pytest.approx(sum(scores[candidate.name]) / N) for candidate, _ in racing.best()
    ]


async def test_a_handicap_drops_a_candidate_before_it_is_asked_much() -> None:
    track = Track({"short": [0.9] * N, "long": [1.0] * N}, {"long": 0.5})
    racing, events = await raced(track)
    assert racing.winner().name == "short" and len(track.runs) < 2 * N
    ends = [event for event in events.events if isinstance(event, CandidateScored)]
    assert [(end.name, end.prompt_tokens, end.dropped) for end in ends] == [
        ("long", 400, True),
        ("short", 500, False),
    ]


async def test_who_was_run_on_all_examples_is_offered_with_its_score() -> None:
    track = Track({"good": [1.0] * N, "bad": [0.0] * N})
    await raced(track)
    assert ("good", 1.0) in track.offered and ("bad", 0.0) not in track.offered


async def test_a_race_that_is_ended_offers_the_one_that_does_best_so_far() -> None:
    class Ends(Track):
        async def score(self, candidate: Candidate, example: dspy.Example) -> Answer:
            if len(self.runs) == N:
                raise SearchEnded("enough")
            return await super().score(candidate, example)

    track = Ends({"poor": [0.4] * N, "good": [0.9] * N, "fair": [0.6] * N})
    with pytest.raises(SearchEnded):
        await raced(track)
    assert track.offered == [("good", None)]


async def test_a_candidate_that_does_not_fit_is_not_asked() -> None:
    track = Track({"long": [1.0] * N, "short": [0.5] * N})
    track.too_long = {"long"}
    racing, _ = await raced(track)
    assert racing.winner().name == "short" and {name for name, _ in track.runs} == {"short"}


async def test_a_candidate_may_be_scored_alone() -> None:
    track = Track({"one": [0.25] * N})
    one = Candidate("one")
    assert await score_alone(one, track) == (one, 0.25)
    track.too_long = {"one"}
    assert await score_alone(one, track) == (PLAIN, 0.0)
