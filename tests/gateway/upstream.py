"""A real OpenAI-compatible server on a free port that answers from a script and remembers what it was
asked.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import orjson
from aiohttp import web

from tests.app_thread import serving_in_thread

COUNTED = (
    '[[ ## reasoning ## ]]\nr\n\n[[ ## steps ## ]]\n["a", "b"]\n\n'
    "[[ ## answer ## ]]\n1234\n\n[[ ## completed ## ]]\n"
)
REPLY = "[[ ## reasoning ## ]]\nSix times seven.\n\n[[ ## answer ## ]]\nforty-two\n\n[[ ## completed ## ]]\n"


@dataclass(frozen=True)
class Script:
    """What the server does with the next requests; `trouble` is where it stops behaving."""

    text: str = REPLY
    texts: Mapping[str, str] = field(default_factory=dict)
    """What is said instead where the system message holds the key."""
    finish_reason: str = "stop"
    piece: int = 5
    status: int = 200
    error: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    trouble: Literal["none", "stall", "stall_midway", "cut_midway", "error_midway", "no_usage", "garbage"] = (
        "none"
    )
    seconds: float = 0.0
    """Time to wait before the reply."""
    reasoning_tokens: int | None = None
    usage: Mapping[str, Any] | None = None
    """Counts that are told instead of true ones."""
    then: Script | None = None
    """What is done with the requests after the first."""


@dataclass
class Upstream:
    """The running server. `template_tokens` is what its chat template adds: another value, another model."""

    url: str = ""
    script: Script = field(default_factory=Script)
    questions: dict[str, Script] = field(default_factory=dict)
    """What is done instead where the last message holds the key; each such message goes through its script
    by itself."""
    template_tokens: int = 4
    models: list[str] = field(default_factory=lambda: ["tiny"])
    requests: list[dict[str, Any]] = field(default_factory=list)
    raw: list[tuple[str, bytes]] = field(default_factory=list)
    """Paths and bodies of what was asked beside chats."""
    headers: list[dict[str, str]] = field(default_factory=list)
    stalled: threading.Event = field(default_factory=threading.Event)
    abandoned: threading.Event = field(default_factory=threading.Event)

    def reset(self, script: Script | None = None) -> None:
        self.script = script or Script()
        self.questions.clear()
        self.requests.clear()
        self.raw.clear()
        self.headers.clear()
        self.stalled.clear()
        self.abandoned.clear()

    @property
    def asked(self) -> list[dict[str, Any]]:
        """Requests of programs, without those of fingerprints."""
        return [body for body in self.requests if _is_program(body)]

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        self.requests.append(body)
        if not _is_program(body):
            return _json(self._completion(body, Script("ok", finish_reason="length")))
        self.headers.append(dict(request.headers))
        script = self._next_script(body)
        await asyncio.sleep(script.seconds)
        if script.trouble == "stall":
            await self._stall()
        if script.status != 200:
            return _json(script.error or {"error": {"message": "scripted"}}, script.status, script.headers)
        if script.trouble == "garbage":
            return web.Response(text="<html>not what you want</html>")
        return (
            await self._stream(request, body, script)
            if body.get("stream")
            else _json(self._completion(body, script))
        )

    async def beside_chats(self, request: web.Request) -> web.StreamResponse:
        """Completions and embeddings, as plain as they can be."""
        data = await request.read()
        self.raw.append((request.path, data))
        self.headers.append(dict(request.headers))
        script, body = self.script, orjson.loads(data)
        if script.status != 200:
            return _json(script.error or {"error": {"message": "scripted"}}, script.status, script.headers)
        usage = {"prompt_tokens": 5, "total_tokens": 5}
        if request.path.endswith("embeddings"):
            vector = {"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}
            return _json({"object": "list", "model": body["model"], "data": [vector], "usage": usage})
        about = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": body["model"]}
        choice = {"index": 0, "text": script.text, "logprobs": None, "finish_reason": "length"}
        if not body.get("stream"):
            return _json({**about, "choices": [choice], "usage": {**usage, "completion_tokens": 3}})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for word in script.text.split():
            await response.write(_event({**about, "choices": [{**choice, "text": word}]}))
        if script.trouble == "stall_midway":
            await self._stall()
        if body.get("stream_options") and script.trouble != "no_usage":
            await response.write(_event({**about, "choices": [], "usage": {**usage, "completion_tokens": 3}}))
        await response.write(b"data: [DONE]\n\n")
        return response

    async def list_models(self, request: web.Request) -> web.Response:
        cards = [{"id": name, "object": "model", "max_model_len": 8192} for name in self.models]
        return _json({"object": "list", "data": cards})

    def _next_script(self, body: dict[str, Any]) -> Script:
        system, last = body["messages"][0]["content"], str(body["messages"][-1].get("content"))
        held = (script for key, script in self.questions.items() if key in last)
        script = self.questions.get(last) or next(held, None)
        if script is not None:
            self.questions[last] = script.then or script
            return script
        said = (text for key, text in self.script.texts.items() if key in system)
        script = replace(self.script, text=next(said, self.script.text))
        self.script = script.then or self.script
        return script

    async def _stream(self, request: web.Request, body: dict[str, Any], script: Script) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for start in range(0, len(script.text), script.piece):
            if script.trouble.endswith("midway") and start > len(script.text) * 0.75:
                if script.trouble == "stall_midway":
                    await self._stall()
                if script.trouble == "error_midway":
                    await response.write(_event({"error": {"message": "it broke", "code": 500}}))
                    return response
                assert request.transport is not None
                request.transport.abort()
                return response
            delta = {"role": "assistant", "content": script.text[start : start + script.piece]}
            await response.write(_event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}))
        ending = {"index": 0, "delta": {}, "finish_reason": script.finish_reason}
        await response.write(_event({"choices": [ending]}))
        if script.trouble != "no_usage":
            await response.write(_event({"choices": [], "usage": self._usage(body, script)}))
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _stall(self) -> None:
        self.stalled.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            self.abandoned.set()
            raise

    def _completion(self, body: dict[str, Any], script: Script) -> dict[str, Any]:
        message = {"role": "assistant", "content": script.text}
        choice = {"index": 0, "message": message, "finish_reason": script.finish_reason}
        usage = None if script.trouble == "no_usage" else self._usage(body, script)
        return {
            "id": "up-1",
            "object": "chat.completion",
            "model": "tiny",
            "choices": [choice],
            "usage": usage,
        }

    def _usage(self, body: dict[str, Any], script: Script) -> dict[str, Any]:
        if script.usage is not None:
            return dict(script.usage)
        prompt = sum(len(message["content"]) + self.template_tokens for message in body["messages"])
        thought = script.reasoning_tokens
        details = {} if thought is None else {"completion_tokens_details": {"reasoning_tokens": thought}}
        return {
            "prompt_tokens": prompt,
            "completion_tokens": len(script.text.split()),
            "prompt_tokens_details": {"cached_tokens": prompt // 2},
            **details,
        }


@contextmanager
def running_upstream(port: int = 0) -> Iterator[Upstream]:
    """The server in a thread of its own, gone when the block ends."""
    upstream = Upstream()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", upstream.chat)
    app.router.add_post("/v1/completions", upstream.beside_chats)
    app.router.add_post("/v1/embeddings", upstream.beside_chats)
    app.router.add_get("/v1/models", upstream.list_models)
    with serving_in_thread(app, port) as upstream.url:
        yield upstream


def _is_program(body: dict[str, Any]) -> bool:
    """Fingerprints ask for one token, programs never do."""
    return body.get("max_tokens") != 1


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(content) + b"\n\n"


def _json(content: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(content), status=status, headers=headers, content_type="application/json"
    )
