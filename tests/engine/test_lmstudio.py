"""LM Studio as student or teacher: what it does otherwise than the protocol says, and how we live with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from aiohttp import web

from engine.client import EngineClient, ModelCard, Usage
from engine.errors import (
    ContextWindowExceeded,
    EngineCredentialRefused,
    EngineNotFound,
    EngineReplyInvalid,
    EngineRequestRefused,
    EngineServerError,
    EngineWrongModel,
)
from engine.lmstudio import PATIENT, list_models
from engine.local import Student, open_student
from tests.engine.lmstudio import Downloaded, LMStudio
from tests.engine.lmstudio_behaviour import ASK, BEHAVIOURS, Behaviour, settings_for
from tests.engine.scripted_server import replying, serving

ONE_TOKEN = {"max_tokens": 1}


def embedder() -> Downloaded:
    return Downloaded("text-embedding-nomic-embed-text-v1.5", type="embeddings", max_context=2048)


def desktop(**more: object) -> LMStudio:
    """One model for chats, not loaded, and the embedding model that comes with the program."""
    return LMStudio([embedder(), Downloaded("google/gemma-3-4b")], **more)  # type: ignore[arg-type]


@asynccontextmanager
async def opened(studio: LMStudio, model: str | None = None, **more: str) -> AsyncIterator[Student]:
    async with serving(studio.handle) as server, opened_at(server.url, model, **more) as student:
        yield student


def opened_at(url: str, model: str | None = None, **more: str) -> AbstractAsyncContextManager[Student]:
    return open_student(settings_for(url, model, **more), progress=lambda line: None)


@pytest.mark.parametrize("version", ["0.3.17", "0.4.18"])
@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__name__)
async def test_of_lm_studio(behaviour: Behaviour, version: str) -> None:
    async with serving(desktop(version=version).handle) as server:
        await behaviour(server.url, None)


async def test_a_model_that_is_loaded_on_demand_is_loaded_once() -> None:
    studio = desktop(load_seconds=0.2)
    async with opened(studio) as student:
        assert student.client.model == "google/gemma-3-4b"
    assert studio.loads == ["google/gemma-3-4b"]


async def test_waiting_for_a_model_to_load_is_told_and_takes_as_long_as_it_takes() -> None:
    said: list[str] = []
    async with (
        serving(desktop().handle) as server,
        open_student(settings_for(server.url), progress=said.append) as student,
    ):
        assert said == [f"The engine at {server.url} loads google/gemma-3-4b ..."]
        assert isinstance(student.client, EngineClient) and student.client.timeouts == PATIENT


@pytest.mark.parametrize("version", ["0.3.17", "0.4.18"])
async def test_the_context_is_what_the_model_was_loaded_with(version: str) -> None:
    studio = desktop(version=version)
    studio.models[1].loaded_context = 4096
    async with opened(studio) as student:
        assert student.context_tokens == 4096


async def test_a_version_that_does_not_tell_the_context_still_works() -> None:
    async with opened(desktop(version="0.3.5"), kind="lmstudio") as student:
        assert (student.client.model, student.context_tokens) == ("google/gemma-3-4b", None)


async def test_of_many_on_the_disk_the_loaded_one_is_meant() -> None:
    studio = LMStudio([Downloaded("big"), Downloaded("small", loaded=True), Downloaded("other")])
    async with opened(studio) as student:
        assert student.client.model == "small"
    assert studio.loads == []


async def test_of_several_loaded_ones_a_name_chooses() -> None:
    studio = LMStudio([Downloaded("other"), Downloaded("big", loaded=True), Downloaded("small", loaded=True)])
    with pytest.raises(
        EngineNotFound, match=r"as in http\S+#big: 'big' \(loaded\), 'small' \(loaded\), 'other'"
    ):
        async with opened(studio):
            pass
    async with opened(studio, "big") as student:
        assert (await student.client.complete(ASK, ONE_TOKEN)).model == "big"


async def test_another_model_in_place_of_ours_is_noticed_at_the_next_call() -> None:
    studio = LMStudio([Downloaded("ours", loaded=True), Downloaded("other")], loads_on_demand=False)
    async with opened(studio) as student:
        studio.models[0].loaded, studio.models[1].loaded = False, True
        with pytest.raises(EngineWrongModel, match="answered with the model 'other', asked for 'ours'"):
            await student.client.complete(ASK, ONE_TOKEN)
        with pytest.raises(EngineWrongModel, match="load 'ours' there"):
            _ = [delta async for delta in student.client.stream(ASK, ONE_TOKEN)]


async def test_a_second_instance_of_a_model_is_the_same_model() -> None:
    studio = LMStudio([Downloaded("publisher/ours:2", loaded=True)])
    async with serving(studio.handle) as server:
        client = EngineClient(server.url, "ours", same_model=True)
        assert (await client.complete(ASK, ONE_TOKEN)).model == "publisher/ours:2"
        await client.close()


@pytest.mark.parametrize("version", ["0.3.17", "0.4.18"])
async def test_with_nothing_loaded_its_advice_comes_through(version: str) -> None:
    studio = desktop(version=version, loads_on_demand=False)
    async with serving(studio.handle) as server, EngineClient(server.url, "x") as client:
        with pytest.raises(EngineRequestRefused, match=r"404 Not Found: No models loaded\. Please load"):
            await client.complete(ASK, ONE_TOKEN)


async def test_a_prompt_that_does_not_fit_is_recognised() -> None:
    async with opened(desktop()) as student:
        with pytest.raises(ContextWindowExceeded, match="context length of only 8192 tokens"):
            await student.client.complete([{"role": "user", "content": "word " * 9000}], ONE_TOKEN)


async def test_a_model_that_crashed_may_be_asked_again() -> None:
    studio = desktop()
    async with opened(studio) as student:
        studio.crashes = 1
        with pytest.raises(EngineServerError, match="The model has crashed") as caught:
            await student.client.complete(ASK, ONE_TOKEN)
        assert caught.value.retryable
        assert (await student.client.complete(ASK, ONE_TOKEN)).text == "Hello."


async def test_counts_come_without_details_and_in_streams_not_at_all() -> None:
    async with opened(desktop()) as student:
        assert (await student.client.complete(ASK, ONE_TOKEN)).usage == Usage(4, 2, None)
        deltas = [delta async for delta in student.client.stream(ASK, ONE_TOKEN)]
    assert "".join(delta.text for delta in deltas) == "Hello."
    assert [delta.usage for delta in deltas if delta.usage] == []


async def test_a_token_is_sent_where_the_server_wants_one() -> None:
    studio = desktop(token="sk-lm-canary")
    with pytest.raises(EngineCredentialRefused, match="An LM Studio API token is required"):
        async with opened(studio):
            pass
    async with opened(studio, key="sk-lm-canary") as student:
        assert student.client.model == "google/gemma-3-4b"


async def test_a_token_for_openais_protocol_only_is_enough() -> None:
    studio = desktop()

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/api/"):
            return web.json_response({"error": {"message": "not permitted"}}, status=403)
        return await studio.handle(request)

    async with serving(handle) as server, opened_at(server.url) as student:
        assert (student.client.model, student.context_tokens) == ("google/gemma-3-4b", None)


async def test_an_error_with_status_200_is_no_reply() -> None:
    studio = desktop()
    async with serving(studio.handle) as server, EngineClient(server.url + "/wrong", "x") as client:
        for call in (client.complete(ASK, {}), client.models(), anext(client.stream(ASK, {}))):
            with pytest.raises(
                EngineReplyInvalid, match=r"Unexpected endpoint or method\. \((POST|GET) /wrong"
            ):
                await call
        assert await client.tokenize(ASK) is None


async def test_embedding_models_are_no_students_in_any_list() -> None:
    for version in ("0.3.5", "0.3.17", "0.4.18"):
        async with serving(desktop(version=version).handle) as server, EngineClient(server.url, "") as client:
            assert [card.id for card in await list_models(client)] == ["google/gemma-3-4b"]


async def test_an_instance_with_a_name_of_its_own_has_a_context_of_its_own() -> None:
    # lmstudio.ai/docs/developer/rest/list; `lms load --identifier fast --context-length 4096` makes one.
    model = {
        "type": "llm",
        "key": "qwen3-8b",
        "max_context_length": 40960,
        "loaded_instances": [{"id": "fast", "config": {"context_length": 4096}}],
    }
    async with serving(replying({"models": [model]})) as server, EngineClient(server.url, "") as client:
        assert await list_models(client) == [
            ModelCard("qwen3-8b", 40960, loaded=False),
            ModelCard("fast", 4096, loaded=True),
        ]
