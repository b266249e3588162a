"""An embedder behind OpenAI's `/v1/embeddings`: vLLM, LM Studio, Ollama, llama.cpp or a hosted one.

Texts it was asked before are not asked again. What it costs is not counted by a build.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from itertools import islice

import aiohttp
from pydantic import BaseModel, ValidationError

from programs.errors import MetricError

_REMEMBERED = 20_000  # vectors
_SECONDS = 60.0
_PAUSES = (0.5, 2.0)  # seconds before each further try
_SHOWN = 200


class _Vector(BaseModel):
    index: int
    embedding: list[float]


class _Answer(BaseModel):
    data: list[_Vector]


class EmbeddingEndpoint:
    """`url` is the server's address, with or without `/v1`; `key_env` names the variable with its key."""

    def __init__(
        self, url: str, model: str, *, key_env: str | None = None, pauses: Sequence[float] = _PAUSES
    ) -> None:
        self.url = f"{url.rstrip('/').removesuffix('/v1')}/v1/embeddings"
        self.model = model
        self._key_env = key_env
        self._pauses = pauses
        self._known: dict[str, list[float]] = {}

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text.

        Raises:
            MetricError: the endpoint can't be reached, refuses, or gives something else; says what to set.
        """
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        asked = dict(zip(new, await self._ask(new), strict=True)) if new else {}
        vectors = [asked[text] if text in asked else self._known[text] for text in texts]
        self._known |= asked
        for text in list(islice(self._known, max(0, len(self._known) - _REMEMBERED))):
            del self._known[text]
        return vectors

    async def _ask(self, texts: list[str]) -> list[list[float]]:
        for pause in self._pauses:
            try:
                return await self._attempt(texts)
            except _Busy:
                await asyncio.sleep(pause)
        return await self._attempt(texts)

    async def _attempt(self, texts: list[str]) -> list[list[float]]:
        body = {"model": self.model, "input": texts, "encoding_format": "float"}
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(self.url, json=body, headers=self._headers()) as response,
            ):
                text = await response.text()
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            why = str(error) or "it took too long"
            raise _Busy(
                f"the embedder at {self.url} can't be reached ({why}): start it, or give EmbeddingEndpoint "
                "another url"
            ) from error
        if status == 200:
            return self._vectors(text, len(texts))
        told = f"the embedder at {self.url} answered {status} for the model {self.model!r}: {text[:_SHOWN]}"
        if status in (401, 403):
            raise MetricError(f"{told}; key_env names the environment variable that holds its key")
        raise _Busy(told) if status == 429 or status >= 500 else MetricError(told)

    def _headers(self) -> dict[str, str]:
        if self._key_env is None:
            return {}
        key = os.environ.get(self._key_env)
        if not key:
            raise MetricError(
                f"the embedder at {self.url} needs its key in the environment variable {self._key_env!r}, "
                "which is not set"
            )
        return {"Authorization": f"Bearer {key}"}

    def _vectors(self, text: str, wanted: int) -> list[list[float]]:
        try:
            data = sorted(_Answer.model_validate_json(text).data, key=lambda vector: vector.index)
        except ValidationError as error:
            raise MetricError(
                f"the embedder at {self.url} does not speak OpenAI's protocol: {text[:_SHOWN]!r}"
            ) from error
        if [vector.index for vector in data] != list(range(wanted)):
            raise MetricError(f"the embedder at {self.url} gave {len(data)} vectors for {wanted} texts")
        return [vector.embedding for vector in data]


class _Busy(MetricError):
    """It may answer when asked again."""
