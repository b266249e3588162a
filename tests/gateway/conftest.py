"""One upstream and one gateway for all tests that need no own state of either."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from openai import OpenAI

from programs.checks import is_one_of, must_mention
from programs.plan import Field, Message
from programs.program import Chat, Sampling
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
)
from tests.gateway.upstream import Upstream, running_upstream


@pytest.fixture(scope="session")
def _upstream() -> Iterator[Upstream]:
    with running_upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(_upstream: Upstream) -> Upstream:
    """The scripted engine behind `gateway`, well-behaved at the start of each test."""
    _upstream.reset()
    return _upstream


@pytest.fixture(scope="session")
def _gateway(_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("gateway")
    releases = folder / "releases"
    student = fingerprint_of(_upstream.url)
    scores = {
        "before": {"mean": 0.5, "low": 0.41, "high": 0.59, "n": 120, "usd_per_answer": 1e-7},
        "after": {"mean": 0.9, "low": 0.83, "high": 0.94, "n": 120, "usd_per_answer": 2e-7},
    }
    evidence = {"teacher": {"name": "big", "usd_per_answer": 0.25}, "scores": scores}
    put_release(releases, make_plan("quiz"), student, build=evidence)
    put_release(
        releases,
        make_plan(
            "counting", outputs=(Field("reasoning"), Field("steps", "list[str]"), Field("answer", "int"))
        ),
        student,
    )
    reading = make_plan(
        "reading",
        prefix=(Message("system", "Read."),),
        inputs=(Field("context"), Field("question"), Field("history", "history", required=False)),
        outputs=(Field("answer"),),
        chat=Chat(user="question", answer="answer", system="context", history="history"),
        sampling=Sampling(max_tokens=50, seed=3),
    )
    put_release(releases, reading, student)
    checked = make_plan(
        "checked", checks=(must_mention("answer", "forty-two"), is_one_of("reasoning", "Six times seven."))
    )
    put_release(releases, checked, student)
    with running_gateway(settings_for(folder, _upstream.url)) as gateway:
        yield gateway


@pytest.fixture
def gateway(_gateway: RunningGateway, upstream: Upstream) -> RunningGateway:
    """A gateway with the releases `quiz` (90 % right, its teacher takes 0.25 USD an answer), `counting`,
    `reading` and `checked`, whose answer must mention forty-two and whose reasoning must be the upstream's
    own."""
    return _gateway


@pytest.fixture
def client(gateway: RunningGateway) -> Iterator[OpenAI]:
    """OpenAI's own client; it retries nothing, so that each answer is seen."""
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="client-key", max_retries=0, timeout=20) as client:
        yield client
