"""Tests for gateway/exposed.py: at which engine an exposed model is found, and whose its name is."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import ExitStack
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
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
    wait_until,
)
from tests.gateway.upstream import Upstream, running_upstream


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


def ask(url: str, model: str) -> httpx.Response:
    body: Any = {"model": model, "messages": [{"role": "user", "content": "q"}]}
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


def test_a_model_is_looked_for_again_where_its_engine_may_have_moved(tmp_path: Path) -> None:
    with ExitStack() as opened, running_upstream() as second:
        first = opened.enter_context(running_upstream())
        text = f'[engines.a]\nurls = ["{first.url}", "{second.url}"]\nexpose = ["tiny"]'
        with running_gateway(settings_of(tmp_path, text)) as gateway:
            assert ask(gateway.url, "tiny").status_code == 200 and first.asked
            opened.close()
            assert ask(gateway.url, "tiny").status_code == 502
            assert ask(gateway.url, "tiny").status_code == 200 and second.asked


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
