"""Two servers of the student, compared by what they answer."""

from __future__ import annotations

from aiohttp import web

from deploy.student.twins import Compared, compare_answers
from engine.client import EngineClient
from tests.engine.scripted_server import Handler, completion, serving


def answering(every_third: str) -> Handler:
    """A server that answers "four", and every third prompt otherwise."""
    calls = 0

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        return web.json_response(completion(every_third if calls % 3 == 0 else "four"))

    return handle


async def test_alike_and_unlike_answers_are_counted() -> None:
    async with (
        serving(answering("four")) as one,
        serving(answering("five")) as other,
        EngineClient(one.url, "tiny") as first,
        EngineClient(other.url, "tiny") as second,
    ):
        assert await compare_answers(first, second, 2) == Compared(prompts=12, lengths=12, answers=8)
        same = await compare_answers(first, first, 1)
    assert same == Compared(prompts=6, lengths=6, answers=6)
    assert one.bodies[0]["temperature"] == 0 and one.bodies[0] == other.bodies[0] | {"model": "tiny"}
