from __future__ import annotations

import asyncio
import json
import math
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from programs.embedding import HashedNgrams
from programs.errors import InputInvalid, ReleaseInvalid
from programs.execution import Outcome
from programs.neighbours import (
    Demonstration,
    NeighbourExecutor,
    Neighbours,
    Said,
    Weight,
    embedded_text,
    neighbours_as_dict,
    read_neighbours,
    sparse,
)
from programs.plan import Field, Message, Plan
from programs.program import Chat, Sampling
from programs.reader import FieldDelta
from tests.programs.scripted import ScriptedModel

PLAN = Plan(
    program="team",
    prefix=(Message("system", "Name the team."),),
    inputs=(Field("message"), Field("history", "history", required=False)),
    outputs=(Field("team"),),
    reminder="Answer.",
    chat=Chat(user="message", answer="team", history="history"),
    sampling=Sampling(max_tokens=32),
)
ROWS = [
    "I was charged twice this month",
    "The app crashes when I open a photo",
    "Do you have a plan for schools",
    "My card was charged for the wrong plan",
]
REPLY = "[[ ## team ## ]]\nbilling\n\n[[ ## completed ## ]]"


def pool(texts: Sequence[str] = ROWS, k: int = 2, incomplete: int | None = None) -> Neighbours:
    embedder = HashedNgrams.learn(texts)
    vectors = asyncio.run(embedder.embed(texts))
    demonstrations = tuple(
        Demonstration((Said("user", text), Said("assistant", f"team {n}")), sparse(vector), n != incomplete)
        for n, (text, vector) in enumerate(zip(texts, vectors, strict=True))
    )
    return Neighbours(PLAN, demonstrations, embedder, k)


def asked(neighbours: Neighbours, message: str) -> list[str]:
    """The texts of the messages that are sent for a message."""
    model = ScriptedModel(REPLY)
    asyncio.run(NeighbourExecutor(neighbours).run({"message": message}, model, {}))
    return [sent["content"] for sent in model.asked[0]]


def test_the_nearest_demonstrations_stand_before_the_request_the_nearest_last() -> None:
    system, *shown, request = asked(pool(), "charged the wrong card")
    assert system == "Name the team." and "charged the wrong card" in request
    assert shown == [ROWS[0], "team 0", ROWS[3], "team 3"]


def test_demonstrations_that_lack_something_come_first() -> None:
    assert asked(pool(incomplete=3), "charged the wrong card")[1:-1] == [ROWS[3], "team 3", ROWS[0], "team 0"]


def test_of_demonstrations_as_near_the_first_counts() -> None:
    twins = pool(["same words", "same words", "another text", "same words", "a fourth", "a fifth", "a sixth"])
    executor = NeighbourExecutor(twins)
    (vector,) = asyncio.run(twins.embedder.embed(["same words"]))
    assert executor.nearest(vector) == [1, 0]
    assert executor.nearest([0.0] * twins.embedder.width) == [1, 0]


def test_the_length_of_a_vector_does_not_make_it_nearer() -> None:
    neighbours = pool()
    (vector,) = asyncio.run(neighbours.embedder.embed(["charged the wrong card"]))
    *others, last = neighbours.demonstrations
    short = replace(last, vector=tuple(Weight(place, round(value / 9, 4)) for place, value in last.vector))
    for demonstrations in (neighbours.demonstrations, (*others, short)):
        executor = NeighbourExecutor(replace(neighbours, demonstrations=demonstrations))
        assert executor.nearest([9 * value for value in vector]) == executor.nearest(vector) == [0, 3]


def test_all_are_shown_where_there_are_fewer_than_k() -> None:
    assert len(asked(pool(k=9), "charged")) == 2 + 2 * len(ROWS)


def test_past_turns_are_not_compared() -> None:
    turns = [{"message": "app crashes"}]
    assert embedded_text(PLAN, {"message": "charged", "history": turns}) == "charged"


def test_an_unknown_input_is_refused() -> None:
    with pytest.raises(InputInvalid, match="colour"):
        asyncio.run(NeighbourExecutor(pool()).run({"colour": "red"}, ScriptedModel(REPLY), {}))


def test_a_stream_sends_the_same_and_gives_text_as_it_arrives() -> None:
    model, neighbours = ScriptedModel(REPLY), pool()

    async def collect() -> list[FieldDelta | Outcome]:
        stream = NeighbourExecutor(neighbours).stream({"message": "charged"}, model, {})
        return [item async for item in stream]

    *pieces, outcome = asyncio.run(collect())
    assert len(pieces) > 1 and isinstance(outcome, Outcome) and outcome.outputs == {"team": "billing"}
    assert [sent["content"] for sent in model.asked[0]] == asked(pool(), "charged")


def test_choosing_among_a_thousand_takes_milliseconds() -> None:
    """About 1 ms here; ten times as much would still be bearable, but is a mistake somewhere."""
    rng = random.Random(0)
    texts = [" ".join(f"w{rng.randrange(400)}" for _ in range(30)) for _ in range(1_000)]
    neighbours = pool(texts, k=4)
    executor = NeighbourExecutor(neighbours)
    (vector,) = asyncio.run(neighbours.embedder.embed([texts[500]]))
    begun = time.process_time()
    for _ in range(10):
        assert executor.nearest(vector)[-1] == 500
    assert (time.process_time() - begun) / 10 < 0.015


def test_neighbours_read_back_as_they_were_written() -> None:
    assert read_neighbours(json.loads(json.dumps(neighbours_as_dict(pool(incomplete=1))))) == pool(
        incomplete=1
    )


def test_a_vector_is_kept_as_its_rounded_numbers_that_are_not_zero() -> None:
    assert sparse([3.0, 0.0, -4.0, 0.00001]) == ((0, 0.6), (2, -0.8)) and sparse([0.0, 0.0]) == ()


def put(data: Any, place: Sequence[str | int], value: Any) -> None:
    """Puts a value at a place of the file."""
    *way, last = place
    for step in way:
        data = data[step]
    data[last] = value


FIRST = ("demonstrations", 0)
QUESTION, SAID = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (("code",), "x", "code"),
        (("plan",), None, "needs a 'plan'"),
        (
            (
                "plan",
                "forward",
            ),
            "x",
            "plan: .*forward",
        ),
        (("embedder",), "hashed-ngrams", "an 'embedder'"),
        (
            (
                "embedder",
                "name",
            ),
            "pickled",
            "embedder 'pickled' is unknown here",
        ),
        (("k",), 0, "k: "),
        (("k",), 65, "k: "),
        (("precision",), 12, "precision: "),
        (("format",), 2, "format: "),
        (("demonstrations",), [], "demonstrations: "),
        (
            (
                *FIRST,
                "score",
            ),
            1,
            "demonstrations.0.score",
        ),
        (
            (
                *FIRST,
                "vector",
            ),
            [[0, math.nan]],
            "demonstrations.0.vector.0",
        ),
        (
            (
                *FIRST,
                "vector",
            ),
            [[0, math.inf]],
            "demonstrations.0.vector.0",
        ),
        (
            (
                *FIRST,
                "vector",
            ),
            [[0, 1.5]],
            "demonstrations.0.vector.0",
        ),
        (
            (
                *FIRST,
                "vector",
            ),
            [[-1, 0.5]],
            "demonstrations.0.vector.0",
        ),
        (
            (
                *FIRST,
                "vector",
            ),
            [[0, 0.5, 1]],
            "demonstrations.0.vector.0",
        ),
        (
            (
                *FIRST,
                "vector",
            ),
            [[2048, 0.5]],
            "place 2048 is beyond the embedder's width 2048",
        ),
        (
            (
                *FIRST,
                "vector",
            ),
            [[5, 0.5], [5, 0.5]],
            "do not ascend",
        ),
        (
            (
                *FIRST,
                "messages",
            ),
            [QUESTION],
            "demonstrations.0.messages",
        ),
        (
            (
                *FIRST,
                "messages",
            ),
            [SAID, QUESTION],
            "a question and its reply",
        ),
        (
            (
                *FIRST,
                "messages",
                0,
                "role",
            ),
            "system",
            "demonstrations.0.messages.0",
        ),
        (
            (
                *FIRST,
                "messages",
                0,
                "name",
            ),
            "x",
            "demonstrations.0.messages.0",
        ),
    ],
)
def test_forged_neighbours_are_refused(place: Sequence[str | int], value: Any, reason: str) -> None:
    data: Any = json.loads(json.dumps(neighbours_as_dict(pool())))
    put(data, place, value)
    with pytest.raises(ReleaseInvalid, match=reason):
        read_neighbours(data)


def test_more_demonstrations_than_a_release_may_hold_are_refused() -> None:
    data: Any = json.loads(json.dumps(neighbours_as_dict(pool())))
    data["demonstrations"] *= 501
    with pytest.raises(ReleaseInvalid, match="at most 2000"):
        read_neighbours(data)
