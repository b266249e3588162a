"""Tests for gateway/exposed.py: at which engine an exposed model is found, and whose its name is."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.home import EngineHome
from engine.running import RunningEngine, announce, birth_of
from engine.settings import Settings, read_settings
from gateway.app import create_app
from gateway.errors import StartFailed
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
    wait_until,
)
from tests.gateway.upstream import Script, Upstream, running_upstream


def settings_of(folder: Path, text: str) -> Settings:
    (folder / "smallforge.toml").write_text(
        f'releases = "{folder / "releases"}"\n{text}\n[gateway]\nmetrics_port = 0'
    )
    return read_settings(folder / "smallforge.toml")


def start(settings: Settings) -> None:
    async def run() -> None:
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            pass

    asyncio.run(run())


def ask(url: str, model: str, **more: Any) -> httpx.Response:
    body: Any = {"model": model, "messages": [{"role": "user", "content": "q"}], **more}
    return httpx.post(f"{url}/v1/chat/completions", json=body)


def test_a_model_is_found_at_whichever_server_has_it(tmp_path: Path, upstream: Upstream) -> None:
    with running_upstream() as other:
        other.models = ["large"]
        text = f"""expose = ["large"]
        [engines.a]
        urls = ["{upstream.url}"]
        [engines.b]
        urls = ["{other.url}"]"""
        with running_gateway(settings_of(tmp_path, text)) as gateway:
            assert ask(gateway.url, "large").status_code == 200
            assert other.asked[-1]["model"] == "large" and upstream.asked == []
            assert httpx.get(f"{gateway.url}/readyz").json()["status"] == "ready"


def test_an_engine_exposes_its_own_models_only(tmp_path: Path, upstream: Upstream) -> None:
    with running_upstream() as other:
        text = f"""[engines.a]
        urls = ["{upstream.url}"]
        [engines.b]
        urls = ["{other.url}"]
        expose = ["tiny"]
        [students.default]
        engine = "a\""""
        with running_gateway(settings_of(tmp_path, text)) as gateway:
            assert ask(gateway.url, "tiny").status_code == 200
        assert other.asked and upstream.asked == []


def test_a_model_that_no_engine_has_ends_the_start(tmp_path: Path, upstream: Upstream) -> None:
    text = f'expose = ["large"]\n[engines.a]\nurls = ["{upstream.url}"]'
    with pytest.raises(
        StartFailed, match=f"No engine has a model 'large' to expose: {upstream.url} has 'tiny'"
    ):
        start(settings_of(tmp_path, text))


def test_a_name_that_two_models_of_an_engine_might_have_is_nobodys(tmp_path: Path) -> None:
    with running_upstream() as upstream:
        upstream.models = ["a/large", "b/large@q4"]
        text = f'expose = ["large"]\n[engines.a]\nurls = ["{upstream.url}"]'
        with pytest.raises(StartFailed, match="has 'a/large', 'b/large@q4'"):
            start(settings_of(tmp_path, text))


@pytest.mark.parametrize("name", ["quiz", "quiz@candidate"])
def test_the_name_of_a_release_ends_the_start(tmp_path: Path, upstream: Upstream, name: str) -> None:
    put_release(tmp_path / "releases", make_plan("quiz"), fingerprint_of(upstream.url))
    newer = make_plan("quiz", prompt="Answer briefly.")
    put_release(tmp_path / "releases", newer, fingerprint_of(upstream.url), alias="candidate")
    with pytest.raises(StartFailed, match=f"'{name}' can't be exposed: a release in the releases folder"):
        start(settings_for(tmp_path, upstream.url, top=f'expose = ["{name}"]'))


def test_a_release_that_comes_later_does_not_take_an_exposed_models_name(
    tmp_path: Path, upstream: Upstream
) -> None:
    with running_gateway(settings_for(tmp_path, upstream.url, top='expose = ["tiny"]')) as gateway:
        version = put_release(tmp_path / "releases", make_plan("tiny"), fingerprint_of(upstream.url))
        wait_until(lambda: ask(gateway.url, f"tiny@{version}").status_code == 200)
        assert "outputs" not in ask(gateway.url, "tiny").json()["choices"][0]["message"]


def test_an_engine_that_comes_up_later_is_found_then(tmp_path: Path) -> None:
    # Bound, so that nobody else takes the port meanwhile, but not listening.
    place = socket.socket()
    place.bind(("127.0.0.1", 0))
    port = place.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    text = f'[engines.a]\nurls = ["{url}"]\nexpose = ["tiny"]'
    with running_gateway(settings_of(tmp_path, text)) as gateway:
        refused = ask(gateway.url, "tiny")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_unavailable")
        assert "x-should-retry" not in refused.headers and url not in refused.text
        assert httpx.get(f"{gateway.url}/readyz").status_code == 503
        card = httpx.get(f"{gateway.url}/v1/models/tiny").json()["smallforge"]
        assert card["available"] is False and "can't be reached" in card["reason"]
        place.close()
        with running_upstream(port):
            wait_until(lambda: ask(gateway.url, "tiny").status_code == 200)


def available(gateway: RunningGateway, member: str) -> float:
    return gateway.metric("gateway_engine_available", engine="a#tiny", member=member)


@contextmanager
def two_engines(folder: Path, more: str = "") -> Iterator[tuple[RunningGateway, list[Upstream], ExitStack]]:
    """A gateway that exposes `tiny` of two engines, and what ends the one of them that is asked first."""
    with ExitStack() as one, running_upstream() as kept:
        goes = one.enter_context(running_upstream())
        text = f"""[engines.a]
        urls = ["{goes.url}", "{kept.url}"]
        expose = ["tiny"]
        usd_per_hour = 0.36
        fleet = {{ {more} }}"""
        with running_gateway(settings_of(folder, text)) as gateway:
            members = [engine.url.removeprefix("http://") for engine in (goes, kept)]
            wait_until(lambda: all(available(gateway, member) for member in members))
            yield gateway, [goes, kept], one


def test_a_model_of_several_engines_is_still_served_when_one_of_them_goes(tmp_path: Path) -> None:
    with two_engines(tmp_path) as (gateway, (_, kept), stack):
        stack.close()
        replies = [ask(gateway.url, "tiny") for _ in range(4)]
        assert [reply.status_code for reply in replies] == [200] * 4 and len(kept.asked) == 4
        assert all(float(reply.headers["x-smallforge-cost-usd"]) > 0 for reply in replies)


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_an_engine_can_not_answer_is_sent_to_another(tmp_path: Path, stream: bool) -> None:
    with two_engines(tmp_path) as (gateway, engines, _):
        assert ask(gateway.url, "tiny").status_code == 200
        preferred = next(engine for engine in engines if engine.asked)
        preferred.script = Script(status=503)
        assert ask(gateway.url, "tiny", stream=stream).status_code == 200
        assert gateway.metric("gateway_engine_retries_total", engine="a#tiny", reason="server_error") == 1


def test_a_reply_that_was_begun_is_not_begun_anew(tmp_path: Path) -> None:
    with two_engines(tmp_path) as (gateway, engines, _):
        for engine in engines:
            engine.script = Script("Hello there.", trouble="cut_midway")
        assert "error" in ask(gateway.url, "tiny", stream=True).text
        assert sum(len(engine.asked) for engine in engines) == 1


def test_calls_wait_before_engines_that_are_full(tmp_path: Path) -> None:
    with two_engines(tmp_path, "max_in_flight = 1, queue = 0") as (gateway, engines, _):
        for engine in engines:
            engine.script = Script(seconds=0.5)
        with ThreadPoolExecutor(3) as pool:
            told = sorted(it.status_code for it in pool.map(lambda _: ask(gateway.url, "tiny"), range(3)))
        assert told == [200, 200, 503]


def test_an_engine_that_has_no_such_model_is_not_asked_for_it(tmp_path: Path) -> None:
    with running_upstream() as first, running_upstream() as second:
        first.models = ["other"]
        second.models = ["Lab/tiny"]
        text = f'expose = ["tiny"]\n[engines.a]\nurls = ["{first.url}", "{second.url}"]'
        with running_gateway(settings_of(tmp_path, text)) as gateway:
            assert [ask(gateway.url, "tiny").status_code for _ in range(3)] == [200] * 3
        assert first.asked == [] and {body["model"] for body in second.asked} == {"Lab/tiny"}


def test_without_a_configured_server_it_is_the_local_engines_model(
    tmp_path: Path, upstream: Upstream
) -> None:
    born = birth_of(os.getpid())
    assert born is not None
    announce(EngineHome(tmp_path), RunningEngine(upstream.url, "tiny", "vllm", os.getpid(), born))
    settings = settings_of(tmp_path, f'home = "{tmp_path}"\nexpose = ["tiny"]')
    with running_gateway(settings) as gateway:
        assert ask(gateway.url, "tiny").status_code == 200


def test_a_hosted_students_model_can_not_be_exposed(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, 'student = "openai/gpt-4.1"\nexpose = ["gpt-4.1"]')
    hosted = replace(settings, keys={"openai": "sk-test"})
    with pytest.raises(StartFailed, match="only models of servers can, and the student is a hosted model"):
        start(hosted)
