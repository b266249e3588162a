from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from programs.embedding_endpoint import EmbeddingEndpoint
from programs.errors import MetricError

VECTORS = {"cat": [1.0, 0.0], "kitten": [0.8, 0.6], "car": [0.0, 1.0]}


class Embeddings:
    """A server that knows three words, and may first answer with given trouble."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.troubles: list[Response] = []
        self.app = Starlette(routes=[Route("/v1/embeddings", self._embed, methods=["POST"])])

    async def _embed(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body)
        self.keys.append(request.headers.get("authorization"))
        if self.troubles:
            return self.troubles.pop(0)
        found = [
            {"object": "embedding", "index": i, "embedding": VECTORS[t]} for i, t in enumerate(body["input"])
        ]
        # The protocol's order is that of `index`, not of the list.
        return JSONResponse({"object": "list", "data": found[::-1], "model": body["model"]})


@contextmanager
def embeddings() -> Iterator[Embeddings]:
    served = Embeddings()
    server = uvicorn.Server(uvicorn.Config(served.app, port=0, log_config=None, ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        served.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield served
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def _served() -> Iterator[Embeddings]:
    with embeddings() as served:
        yield served


@pytest.fixture
def served(_served: Embeddings) -> Embeddings:
    _served.asked.clear()
    _served.keys.clear()
    _served.troubles.clear()
    return _served


def embed(endpoint: EmbeddingEndpoint, *texts: str) -> list[list[float]]:
    return asyncio.run(endpoint.embed(texts))


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_texts_become_vectors_in_their_own_order(served: Embeddings, suffix: str) -> None:
    endpoint = EmbeddingEndpoint(served.url + suffix, "small")
    assert embed(endpoint, "car", "cat", "car") == [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    assert served.asked == [{"model": "small", "input": ["car", "cat"], "encoding_format": "float"}]


def test_a_known_text_is_not_asked_again(served: Embeddings) -> None:
    endpoint = EmbeddingEndpoint(served.url, "small")
    embed(endpoint, "cat")
    assert embed(endpoint, "cat", "kitten") == [VECTORS["cat"], VECTORS["kitten"]]
    assert [body["input"] for body in served.asked] == [["cat"], ["kitten"]]


def test_a_key_is_read_from_the_variable_that_was_named(served: Embeddings) -> None:
    embed(EmbeddingEndpoint(served.url, "small", key_env="PATH"), "cat")
    assert served.keys[0] is not None and served.keys[0].startswith("Bearer /")
    with pytest.raises(MetricError, match="'NO_SUCH_VARIABLE', which is not set"):
        embed(EmbeddingEndpoint(served.url, "small", key_env="NO_SUCH_VARIABLE"), "cat")


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(served: Embeddings, status: int) -> None:
    served.troubles = [PlainTextResponse("busy", status)]
    assert embed(EmbeddingEndpoint(served.url, "small", pauses=[0.0]), "cat") == [VECTORS["cat"]]
    assert len(served.asked) == 2


def test_a_server_that_stays_busy_is_the_metrics_error(served: Embeddings) -> None:
    served.troubles = [PlainTextResponse("busy", 503)] * 2
    with pytest.raises(MetricError, match="answered 503 for the model 'small': busy"):
        embed(EmbeddingEndpoint(served.url, "small", pauses=[0.0]), "cat")


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (PlainTextResponse("no such model", 404), "answered 404 for the model 'small': no such model"),
        (PlainTextResponse("who?", 401), "key_env names the environment variable"),
        (PlainTextResponse("<html>"), "does not speak OpenAI's protocol: '<html>'"),
        (JSONResponse({"data": [{"index": 1, "embedding": [1.0]}]}), "gave 1 vectors for 1 texts"),
    ],
    ids=["model", "key", "protocol", "count"],
)
def test_what_asking_again_cannot_mend_is_told_at_once(
    served: Embeddings, trouble: Response, told: str
) -> None:
    served.troubles = [trouble]
    with pytest.raises(MetricError, match=told):
        embed(EmbeddingEndpoint(served.url, "small"), "cat")
    assert len(served.asked) == 1


def test_a_server_that_is_not_there_is_named_with_what_to_do() -> None:
    with pytest.raises(
        MetricError, match=r"http://127\.0\.0\.1:9/v1/embeddings can't be reached .*: start it"
    ):
        embed(EmbeddingEndpoint("http://127.0.0.1:9", "small", pauses=[]), "cat")
