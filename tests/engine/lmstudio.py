"""LM Studio's double: a server that answers as LM Studio is known to, each trait with its public source.

Issue numbers are of lmstudio-ai/lmstudio-bug-tracker on GitHub where no other repository is named.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from aiohttp import web

from engine.chat import Reply, Usage
from engine.fingerprint import CONVERSATIONS
from tests.app_thread import serving_in_thread

JsonObject = dict[str, object]


class Completes(Protocol):
    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply: ...


@dataclass
class Downloaded:
    """A model on its disk. What it is loaded with is mostly less than it could have (#2139)."""

    id: str
    loaded: bool = False
    max_context: int = 131_072
    loaded_context: int = 8192
    type: Literal["llm", "vlm", "embeddings"] = "llm"


@dataclass
class LMStudio:
    """The server. `bodies` is what was asked, `loads` names a model once for each time it was loaded."""

    models: Sequence[Downloaded]
    behind: Completes | None = None
    """What answers, but for the conversations that identify a model."""
    version: Literal["0.3.5", "0.3.17", "0.4.18"] = "0.4.18"
    loads_on_demand: bool = True
    load_seconds: float = 0.0
    token: str | None = None
    crashes: int = 0
    """How many of the next replies are a crash of the model."""
    bodies: list[JsonObject] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _no_token()
        routes = {"/v1/models": self._openai_list, "/v1/chat/completions": self._complete}
        if self.version != "0.3.5":
            # docs "REST API v0": since 0.3.6.
            routes["/api/v0/models"] = self._v0_list
        if self.version == "0.4.18":
            # docs "REST API v1": since 0.4.0.
            routes["/api/v1/models"] = self._v1_list
        if (answer := routes.get(request.path)) is not None:
            return await answer(request)
        # #618, #1323: an address that it does not know is an error with status 200.
        return web.json_response(
            {"error": f"Unexpected endpoint or method. ({request.method} {request.path})"}
        )

    async def _openai_list(self, request: web.Request) -> web.StreamResponse:
        # docs "Headless": with loading on demand all that is downloaded, else what is loaded.
        # #2139: no context and no state, and this owner.
        listed = [model for model in self.models if model.loaded or self.loads_on_demand]
        entries = [{"id": m.id, "object": "model", "owned_by": "organization_owner"} for m in listed]
        return web.json_response({"object": "list", "data": entries})

    async def _v0_list(self, request: web.Request) -> web.StreamResponse:
        # zed-industries/zed#25606 shows it: type, state, two contexts, the second of loaded models only.
        entries: list[JsonObject] = []
        for model in self.models:
            state = {"state": "loaded", "loaded_context_length": model.loaded_context}
            entries.append(
                {
                    "id": model.id,
                    "object": "model",
                    "type": model.type,
                    "arch": "llama",
                    "max_context_length": model.max_context,
                    **(state if model.loaded else {"state": "not-loaded"}),
                }
            )
        return web.json_response({"object": "list", "data": entries})

    async def _v1_list(self, request: web.Request) -> web.StreamResponse:
        # co-l/openfox#49, cline/cline#13472: the effective context is that of the loaded instance.
        models = []
        for model in self.models:
            instance = {"id": model.id, "config": {"context_length": model.loaded_context}}
            models.append(
                {
                    "type": "embedding" if model.type == "embeddings" else "llm",
                    "key": model.id,
                    "loaded_instances": [instance] if model.loaded else [],
                    "max_context_length": model.max_context,
                }
            )
        return web.json_response({"models": models})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body: JsonObject = await request.json()
        self.bodies.append(body)
        wanted = body.get("response_format")
        if isinstance(wanted, dict) and wanted.get("type") not in ("json_schema", "text"):
            # #189: a plain string for an error, and no `json_object`.
            return _refused("'response_format.type' must be 'json_schema' or 'text'")
        model = await self._model(str(body.get("model")))
        if isinstance(model, web.Response):
            return model
        if self.crashes:
            self.crashes -= 1
            # #116: the words; the status is not told there, #189 suggests it.
            return _refused("The model has crashed without additional information. (Exit code: 0)")
        messages = body["messages"]
        assert isinstance(messages, list)
        reply = await self._reply(messages, body)
        assert reply.usage is not None
        if (kept := reply.usage.prompt_tokens) > model.loaded_context:
            # #237, #546: word for word, and "context the overflows" is theirs.
            return _refused(
                f"Trying to keep the first {kept} tokens when context the overflows. However, the model is "
                f"loaded with context length of only {model.loaded_context} tokens, which is not enough. Try "
                "to load the model with a larger context length, or provide a shorter input"
            )
        if body.get("stream"):
            return await self._stream(request, model, reply)
        return web.json_response(_completion(model, reply))

    async def _model(self, name: str) -> Downloaded | web.Response:
        """The model that answers, which need not be the one that was asked for."""
        loaded = [model for model in self.models if model.loaded and model.type != "embeddings"]
        named = next((model for model in self.models if model.id == name), None)
        if named is not None and named.loaded:
            return named
        if named is not None and self.loads_on_demand:
            # #1751: requests that come while a model is being loaded each load it again.
            self.loads.append(name)
            await asyncio.sleep(self.load_seconds)
            named.loaded = True
            return named
        if len(loaded) == 1:
            # #619: any name is answered by the only model that is loaded.
            return loaded[0]
        said = "No models loaded. Please load a model in the developer page or use the 'lms load' command."
        if self.version == "0.4.18":
            # #1730: since some 0.4 an object.
            error = {"message": said, "type": "invalid_request_error", "param": "model", "code": None}
            return web.json_response({"error": error}, status=404)
        # lmstudio-ai/lms#107: the status.
        return web.json_response({"error": said}, status=404)

    async def _reply(self, messages: Sequence[Mapping[str, str]], body: JsonObject) -> Reply:
        if self.behind is not None and tuple(messages) not in CONVERSATIONS:
            return await self.behind.complete(messages, body)
        tokens = sum(len(message["content"]) for message in messages) // 4 + 1
        return Reply("Hello.", "", "stop", Usage(tokens, 2), "")

    async def _stream(self, request: web.Request, model: Downloaded, reply: Reply) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        async for chunk in _chunks(model, reply):
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
        # #676, #713: no usage in a stream, also where `stream_options` asks for it.
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response


@contextmanager
def running(studio: LMStudio) -> Iterator[str]:
    """The server's URL, until the block ends; in a thread, so that a command in this process can call it."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", studio.handle)
    with serving_in_thread(app) as url:
        yield url


def _completion(model: Downloaded, reply: Reply) -> JsonObject:
    """A reply as lmstudio-ai/lmstudio-js#320 shows it: counts without details, and `stats`."""
    assert reply.usage is not None
    prompt, said = reply.usage.prompt_tokens, reply.usage.completion_tokens
    message = {"role": "assistant", "content": reply.text, "tool_calls": []}
    return {
        "id": "chatcmpl-0wosrfs0yzbm9jozf5gye",
        "object": "chat.completion",
        "created": 1746721191,
        "model": model.id,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish_reason}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said},
        "stats": {},
        "system_fingerprint": model.id,
    }


async def _chunks(model: Downloaded, reply: Reply) -> AsyncGenerator[JsonObject, None]:
    head = {"id": "chatcmpl-um3b2l9t12bzrtha63q8", "object": "chat.completion.chunk", "model": model.id}
    half = len(reply.text) // 2
    for part in (reply.text[:half], reply.text[half:]):
        delta = {"role": "assistant", "content": part}
        yield {**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]}
    last = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": reply.finish_reason}
    yield {**head, "choices": [last]}


def _refused(said: str) -> web.Response:
    return web.json_response({"error": said}, status=400)


def _no_token() -> web.Response:
    # agustif/opencode-lmstudio#41
    error = {
        "type": "invalid_request",
        "code": "invalid_api_key",
        "message": "An LM Studio API token is required to make requests to this server, but none was given",
    }
    return web.json_response({"error": error}, status=401)
