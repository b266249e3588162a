"""A gateway that keeps what it is asked, for all tests that need no state of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from programs.plan import Field
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
    wait_until,
)
from tests.gateway.traffic.entries import kept
from tests.gateway.upstream import Upstream

ASK: Any = [{"role": "user", "content": "What is six times seven?"}]


@dataclass(frozen=True)
class Logged:
    """A running gateway and the database of its log."""

    gateway: RunningGateway
    database: Path

    @contextmanager
    def client(self, key: str = "a-key") -> Iterator[OpenAI]:
        url = f"{self.gateway.url}/v1"
        with OpenAI(base_url=url, api_key=key, max_retries=0, timeout=20) as client:
            yield client

    def ask(self, model: str = "quiz", key: str = "a-key", **more: Any) -> Any:
        """A completion by OpenAI's own client."""
        with self.client(key) as client:
            return client.chat.completions.create(**{"model": model, "messages": ASK, **more})

    def row(self, response_id: str) -> dict[str, Any]:
        """What the log holds of a response, as soon as it does."""
        return self.rows(lambda row: row["response_id"] == response_id)[0]

    def rows(self, holds: Callable[[dict[str, Any]], bool], count: int = 1) -> list[dict[str, Any]]:
        """At least so many rows, as soon as they are there."""
        found: list[dict[str, Any]] = []

        def written() -> bool:
            found[:] = filter(holds, kept(self.database))
            return len(found) >= count

        wait_until(written)
        return found

    def say(self, key: str = "a-key", **body: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"}
        return httpx.post(f"{self.gateway.url}/v1/feedback", json=body, headers=headers)


@pytest.fixture(scope="package")
def _logged(_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    folder = tmp_path_factory.mktemp("logged")
    student = fingerprint_of(_upstream.url)
    put_release(folder / "releases", make_plan("quiz"), student)
    counting = (Field("reasoning"), Field("steps", "list[str]"), Field("answer", "int"))
    put_release(folder / "releases", make_plan("counting", outputs=counting), student)
    traffic = f"""
        database = "{folder / "gateway.db"}"
        trace = true
        [gateway.traffic]
        log = true
        patterns = {{ customer = 'C-\\d{{6}}' }}
    """
    settings = settings_for(folder, _upstream.url, top='expose = ["tiny"]', gateway=traffic)
    with running_gateway(settings) as gateway:
        yield Logged(gateway, folder / "gateway.db")


@pytest.fixture
def logged(_logged: Logged, upstream: Upstream) -> Logged:
    """A gateway without keys that keeps what it is asked, with the programs `quiz` and `counting`."""
    return _logged
