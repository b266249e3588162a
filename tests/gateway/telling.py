"""A real OpenAI-compatible server that answers by a function of what it is asked, and streams at random
moments in random pieces; and programs of several steps, installed as a package would be.
"""

from __future__ import annotations

import asyncio
import importlib
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from programs.aliases import move_alias
from programs.loading import load_program
from programs.module_state import dump_state, signature_fingerprint, source_digest
from programs.release import Identity, Interpreted, canonical_json, digest, write_release
from tests.app_thread import serving_in_thread

Tell = Callable[[list[dict[str, str]]], str]
"""The messages of a request -> what the model says."""


class Teller:
    """The running server; what it tells, and its dice, may be changed between requests."""

    def __init__(self, tell: Tell) -> None:
        self.url = ""
        self.tell = tell
        self.dice = random.Random(0)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        text = "ok" if body.get("max_tokens") == 1 else self.tell(body["messages"])
        usage = {"prompt_tokens": len(body["messages"]), "completion_tokens": len(text.split())}
        await asyncio.sleep(self.dice.random() / 50)
        if not body.get("stream"):
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return web.json_response({"id": "t", "model": "tiny", "choices": [choice], "usage": usage})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while text:
            size = self.dice.randint(1, 9)
            piece, text = text[:size], text[size:]
            await response.write(_event(delta={"content": piece}, finish_reason=None))
            await asyncio.sleep(self.dice.choice([0, 0, self.dice.random() / 200]))
        await response.write(_event(delta={}, finish_reason="stop"))
        await response.write(b"data: " + orjson.dumps({"choices": [], "usage": usage}) + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response

    async def list_models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "tiny", "object": "model"}]})


@contextmanager
def telling(tell: Tell) -> Iterator[Teller]:
    """The server in a thread of its own, gone when the block ends."""
    teller, app = Teller(tell), web.Application()
    app.router.add_post("/v1/chat/completions", teller.chat)
    app.router.add_get("/v1/models", teller.list_models)
    with serving_in_thread(app) as teller.url:
        yield teller


@contextmanager
def installed(folder: Path, source: Path, *programs: str) -> Iterator[None]:
    """A module's programs, each under its own name, as an installed package brings them."""
    (folder / source.name).write_bytes(source.read_bytes())
    info = folder / f"{source.stem}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {source.stem}\nVersion: 1.0\n")
    points = [f"{name} = {source.stem}:{name}" for name in programs]
    (info / "entry_points.txt").write_text("\n".join(["[smallforge.programs]", *points, ""]))
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(source.stem, None)


def put_interpreted(releases: Path, student: Mapping[str, Any], name: str) -> str:
    """Writes the release of an installed program as it is, and makes it the champion; gives its version."""
    program = load_program(name)
    module = program.make_module()
    interpreted = Interpreted(
        signature_fingerprint(module), source_digest(program), program.chat, program.sampling
    )
    state = canonical_json(dump_state(module))
    identity = Identity(name, "interpreted", digest(state), "default", student, interpreted=interpreted)
    path = write_release(releases, identity, state, "build-1", {})
    move_alias(path.parent, "champion", path.name, "for a test")
    return path.name


def _event(**choice: Any) -> bytes:
    return b"data: " + orjson.dumps({"choices": [{"index": 0, **choice}]}) + b"\n\n"
