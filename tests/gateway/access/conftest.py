"""A gateway that asks for keys, and one key for each kind of holder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from openai import OpenAI

from engine.settings import Settings
from tests.gateway.access.issuing import issued, where_keys_are
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
)
from tests.gateway.upstream import Upstream


@dataclass(frozen=True)
class Locked:
    """A running gateway with keys: `anyone`'s may ask all models, `quizzer`'s only `quiz` itself."""

    folder: Path
    settings: Settings
    gateway: RunningGateway
    anyone: str
    quizzer: str

    def client(self, key: str) -> OpenAI:
        return OpenAI(base_url=f"{self.gateway.url}/v1", api_key=key, max_retries=0, timeout=20)


@pytest.fixture(scope="package")
def _locked(_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    folder = tmp_path_factory.mktemp("locked")
    student = fingerprint_of(_upstream.url)
    for name in ("quiz", "secretive"):
        put_release(folder / "releases", make_plan(name), student)
    settings = settings_for(folder, _upstream.url, top='expose = ["tiny"]', gateway=where_keys_are(folder))
    anyone, quizzer = issued(folder, "anyone"), issued(folder, "quizzer", "--model", "quiz")
    with running_gateway(settings) as gateway:
        yield Locked(folder, settings, gateway, anyone, quizzer)


@pytest.fixture
def locked(_locked: Locked, upstream: Upstream) -> Locked:
    return _locked
