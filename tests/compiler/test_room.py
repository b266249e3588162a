from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
import pytest

from compiler.bench import Bench, Crew, Pace, Subject
from compiler.calls import Books, RecordedModel
from compiler.candidate import PLAIN, Candidate, EnsembleCandidate
from compiler.charge import Unknown
from compiler.events import CandidateScored, Log
from compiler.ledger import Ledger
from compiler.scoring import Judge, Scorer
from compiler.spending import Spending
from compiler.window import Window
from tests.compiler.scripted import Collected, TwoSteps, chain, program, sums
from tests.compiler.test_window import Tokenizing

SAID = 64  # max_tokens of the scripted program


class Stand:
    """A bench before a student whose window has so many tokens."""

    def __init__(self, folder: Path, tokens: int | None, make_module: Any = chain, **pace: Any) -> None:
        self.ledger, self.model = Ledger(folder / "calls.sqlite"), Tokenizing()
        asked = program(make_module)
        books = Books(self.ledger, Spending(self.ledger), Unknown())
        recorded = RecordedModel(self.model, {}, books, asyncio.Semaphore(4))
        scorer = Scorer(Judge(asked.metric), recorded)
        self.events = Collected()
        self.bench = Bench(
            Subject(asked, asked.make_module()),
            (tuple(sums(8)), tuple([*sums(4, 100), long_row(300)])),
            Crew(scorer, scorer, recorded),
            Pace(0, 4, **pace),
            self.events,
            Window(recorded, tokens),
        )

    async def longest(self, candidate: Candidate) -> int:
        """Tokens of the longest request, the reply included."""
        assert self.bench.room is not None
        size = await self.bench.room.size(candidate)
        plain = await self.bench.room.size(PLAIN)
        assert size is not None and plain is not None
        return size + self.alone + SAID

    @property
    def alone(self) -> int:
        asked = self.bench.dev[-1].question
        reminder = dspy.ChatAdapter().format(chain().predict.signature, [], {"question": asked})[-1]
        return len(reminder["content"])

    def logs(self) -> list[str]:
        return [event.text for event in self.events.events if isinstance(event, Log)]


def long_row(length: int) -> dspy.Example:
    return dspy.Example(question="1 + 2 " + "x" * length, answer="3").with_inputs("question")


def shown(count: int, predictor: str = "predict") -> Candidate:
    demos = [{"question": f"{n} + {n}", "reasoning": "so", "answer": str(2 * n)} for n in range(count)]
    return Candidate(f"shows {count}", {predictor: demos})


@pytest.fixture
def roomy(tmp_path: Path) -> Iterator[Stand]:
    stand = Stand(tmp_path, 100_000)
    yield stand
    stand.ledger.close()


async def test_a_candidate_that_fits_stays_as_it_is(roomy: Stand) -> None:
    candidate = shown(4)
    assert await roomy.bench.fits(candidate) is candidate and roomy.logs() == []


async def test_demonstrations_are_left_out_from_the_end_until_the_longest_request_fits(
    tmp_path: Path, roomy: Stand
) -> None:
    for kept in (1, 3):
        tokens = await roomy.longest(shown(kept))
        for spare, left in ((0, kept), (-1, kept - 1)):
            stand = Stand(tmp_path / f"{kept}{spare}", tokens + spare)
            fitting = await stand.bench.fits(shown(4))
            stand.ledger.close()
            assert fitting is not None and list(fitting.demos["predict"]) == shown(4).demos["predict"][:left]
            assert stand.logs()[0].startswith("shows 4: of 4 demonstrations ")
            assert ("instructions only" in stand.logs()[0]) == (left == 0)


async def test_a_candidate_that_does_not_fit_is_told_to_be_dropped_and_never_asked(tmp_path: Path) -> None:
    stand = Stand(tmp_path, 700)
    candidate = Candidate("long-winded", instructions={"predict": "x" * 5000})
    answer = await stand.bench.score(candidate, stand.bench.train[0])
    await stand.bench.score(candidate, stand.bench.train[1])
    assert answer.score == 0.0 and answer.fault == "too_long" and stand.model.calls == 0
    (dropped,) = [event for event in stand.events.events if isinstance(event, CandidateScored)]
    assert (dropped.name, dropped.score, dropped.n, dropped.dropped) == ("long-winded", 0.0, 0, True)
    stand.ledger.close()


async def test_one_row_that_fits_no_prompt_does_not_drop_every_candidate(
    tmp_path: Path, roomy: Stand
) -> None:
    tokens = await roomy.longest(PLAIN)
    stand = Stand(tmp_path / "tight", tokens - 100)
    assert await stand.bench.fits(PLAIN) is PLAIN
    assert stand.logs() == [
        "1 of 13 examples to train and select with are too long for the student's window, with any prompt."
    ]
    stand.ledger.close()


async def test_an_unknown_window_is_told_once_and_nothing_is_checked(tmp_path: Path) -> None:
    stand = Stand(tmp_path, None)
    for count in (3, 400):
        candidate = shown(count)
        assert await stand.bench.fits(candidate) is candidate
    assert len(stand.logs()) == 1 and "is not checked" in stand.logs()[0]
    stand.ledger.close()


async def test_every_predictor_of_a_program_has_to_fit(tmp_path: Path) -> None:
    second = [{"question": "1 + 2", "sum": "3", "answer": "x" * 3000}]
    candidate = Candidate("both", {"first": shown(1).demos["predict"], "second.predict": second})
    stand = Stand(tmp_path, 3000, TwoSteps)
    fitting = await stand.bench.fits(candidate)
    assert fitting is not None and len(fitting.demos["first"]) == 1 and fitting.demos["second.predict"] == []
    stand.ledger.close()


async def test_members_that_do_not_fit_leave_an_ensemble(tmp_path: Path, roomy: Stand) -> None:
    stand = Stand(tmp_path / "tight", await roomy.longest(shown(2)))
    long = Candidate("long-winded", instructions={"predict": "x" * 5000})
    members = [shown(1), long, shown(2)]
    fitting = await stand.bench.fits(EnsembleCandidate("three", members=members, reduce="majority"))
    assert isinstance(fitting, EnsembleCandidate)
    assert [member.name for member in fitting.members] == ["shows 1", "shows 2"]
    stand.ledger.close()


async def test_sizes_tell_instructions_and_each_demonstration(roomy: Stand) -> None:
    assert roomy.bench.room is not None
    sizes = await roomy.bench.room.sizes(shown(3))
    plain = await roomy.bench.room.size(PLAIN)
    assert sizes.system == plain and len(sizes.demonstrations) == 3
    assert sizes.total == await roomy.bench.room.size(shown(3))
    assert len(set(sizes.demonstrations)) == 1 and (sizes.demonstrations[0] or 0) > 50


async def test_tokens_have_a_price_when_candidates_are_compared(tmp_path: Path) -> None:
    stand = Stand(tmp_path, 100_000, token_price=1.0)
    bench, short, long = stand.bench, shown(1), shown(3)
    for candidate, score in ((long, 0.9), (short, 0.8)):
        await bench.fits(candidate)
        bench.offer(candidate, score)
    tokens = bench.prompt_tokens(long)
    assert tokens is not None and bench.handicap(long) == pytest.approx(tokens / 1000)
    assert bench.preferred(long) is short and bench.best == (short, 0.8)
    stand.ledger.close()
    free = Stand(tmp_path / "free", 100_000).bench
    free.offer(long, 0.9)
    free.offer(short, 0.8)
    assert free.preferred(short) is short and free.best == (long, 0.9)
    free.student.model._ledger.close()
