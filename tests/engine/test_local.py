"""Which model a logical name opens."""

from __future__ import annotations

import asyncio
import os
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from aiohttp import web

from engine.errors import (
    EngineNotFound,
    EngineNotInstalled,
    EngineReplyInvalid,
    EngineTimeout,
    EngineUnreachable,
)
from engine.home import EngineHome
from engine.local import Student, open_student
from engine.running import RunningEngine, announce, birth_of
from engine.settings import Binding, EngineSettings, Settings
from engine.settings_fleet import TimeoutSettings
from tests.engine.scripted_server import Handler, completion, serving


def listing(*cards: dict[str, object]) -> Handler:
    """A server with these models."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/v1/models":
            return web.json_response({"data": list(cards)})
        return web.json_response(completion() if request.path == "/v1/chat/completions" else {})

    return handle


def with_engine(engine: EngineSettings) -> Settings:
    return Settings(engines={engine.name: engine}, students={"default": Binding("default", engine.name)})


def opened(url: str) -> AbstractAsyncContextManager[Student]:
    return open_student(with_engine(EngineSettings("e", urls=(url,))))


async def test_the_only_model_of_a_server_is_the_student() -> None:
    async with serving(listing({"id": "one", "max_model_len": 8192})) as server:
        settings = with_engine(EngineSettings("e", urls=(server.url,), usd_per_hour=0.5))
        async with open_student(settings) as student:
            assert (student.name, student.client.model, student.context_tokens) == ("default", "one", 8192)
            assert (student.engine.model, student.engine.usd_per_hour) == ("one", 0.5)
            assert student.fingerprint.prompt_tokens == (12,) * 8


async def test_of_several_models_one_has_to_be_named() -> None:
    cards: list[dict[str, object]] = [{"id": "one"}, {"id": "two", "max_model_len": 9}]
    async with serving(listing(*cards)) as server:
        with pytest.raises(EngineNotFound, match=r"has 2 models; name one .*/?#one: 'one', 'two'"):
            async with open_student(with_engine(EngineSettings("e", urls=(server.url,)))):
                pass
        async with open_student(with_engine(EngineSettings("e", urls=(server.url,), model="two"))) as student:
            assert student.context_tokens == 9


async def test_of_listed_models_only_loaded_ones_count() -> None:
    cards: list[dict[str, object]] = [
        {"id": "one", "state": "not-loaded"},
        {"id": "two", "state": "loaded"},
    ]
    async with serving(listing(*cards)) as server, opened(server.url) as student:
        assert student.client.model == "two"


async def test_a_server_without_models_is_told() -> None:
    async with serving(listing()) as server:
        with pytest.raises(EngineReplyInvalid, match="lists no model"):
            async with open_student(with_engine(EngineSettings("e", urls=(server.url,)))):
                pass


async def test_the_second_url_serves_while_the_first_is_down() -> None:
    async with serving(listing({"id": "one"})) as server:
        settings = with_engine(EngineSettings("e", urls=("http://127.0.0.1:1", server.url)))
        async with open_student(settings) as student:
            assert student.client.url == server.url
    with pytest.raises(EngineUnreachable):
        async with open_student(with_engine(EngineSettings("e", urls=("http://127.0.0.1:1",)))):
            pass


async def test_a_local_engine_that_is_up_is_used_with_its_weights_and_price(tmp_path: Path) -> None:
    said: list[str] = []
    async with serving(listing({"id": "tiny"})) as server:
        born = birth_of(os.getpid()) or ""
        running = RunningEngine(server.url, "tiny", "vllm", os.getpid(), born, weights="w" * 64)
        announce(EngineHome(tmp_path), running)
        settings = Settings(
            home=tmp_path,
            engines={"local": EngineSettings("local", usd_per_hour=0.1)},
            students={"default": Binding("default", "local")},
        )
        async with open_student(settings, progress=said.append) as student:
            assert (student.fingerprint.weights, student.engine.usd_per_hour) == ("w" * 64, 0.1)
    assert said == [f"Using the local engine that is up: tiny on {server.url}"]


async def test_without_an_installed_engine_the_command_to_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    with pytest.raises((EngineNotInstalled, EngineNotFound), match="engine "):
        async with open_student(Settings(home=tmp_path)):
            pass


async def test_an_engine_is_given_the_time_that_its_settings_say() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/v1/chat/completions":
            await asyncio.sleep(30)
        return web.json_response({"data": [{"id": "one"}]})

    async with serving(handle) as server:
        engine = EngineSettings("e", urls=(server.url,), timeouts=TimeoutSettings(first_byte=0.2))
        with pytest.raises(EngineTimeout, match=r"more than 0.2 s to begin its reply"):
            async with open_student(with_engine(engine)):
                pass


async def test_one_of_several_urls_can_be_opened_by_itself() -> None:
    async with serving(listing({"id": "one"})) as first, serving(listing({"id": "two"})) as second:
        settings = with_engine(EngineSettings("e", urls=(first.url, second.url)))
        async with open_student(settings, only=second.url) as student:
            assert (student.client.model, student.engine.urls) == ("two", (second.url,))
