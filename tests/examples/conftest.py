"""A build's evidence, and a gateway behind a scripted engine, for the examples that read and ask them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from compiler.build import build
from compiler.request import Cast
from examples.evidence import Build, newest_build
from programs.metrics import exact_match, token_f1, weighted_sum
from programs.plan import Field, Message
from programs.program import Chat, Sampling
from tests.compiler.scripted import Adder, Bound, program, request
from tests.gateway.conftest import _upstream, upstream
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
)
from tests.gateway.upstream import Upstream

__all__ = ["_upstream", "upstream"]  # fixtures


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of releases with one build of `sums`, which has a gain, and a metric of two parts."""
    folder = tmp_path_factory.mktemp("sums")
    metric = weighted_sum((exact_match("answer"), 1), (token_f1("answer"), 1))
    asked = request(folder, program(metric=metric), optimizer="BootstrapFewShot")

    async def to_its_end() -> None:
        async for _ in build(asked, Cast(Bound(Adder()))):
            pass

    asyncio.run(to_its_end())
    return folder / "releases"


@pytest.fixture(scope="session")
def evidence(built: Path) -> Build:
    return newest_build("sums", built)


@pytest.fixture(scope="session")
def gateway(_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway with `hotpotqa`, a plan that takes system text and earlier turns and shows its reasoning."""
    folder = tmp_path_factory.mktemp("gateway")
    plan = make_plan(
        "hotpotqa",
        prefix=(Message("system", "Read."),),
        inputs=(Field("context"), Field("question"), Field("history", "history", required=False)),
        chat=Chat("question", "answer", system="context", history="history", reasoning=("reasoning",)),
        sampling=Sampling(max_tokens=50),
    )
    put_release(folder / "releases", plan, fingerprint_of(_upstream.url))
    with running_gateway(settings_for(folder, _upstream.url)) as running:
        yield running
