"""Several scripted engines behind one gateway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

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


@dataclass
class Engines:
    """The gateway, which has the release `quiz`, and its engines; the one asked for it stands first."""

    gateway: RunningGateway
    upstreams: list[Upstream] = field(default_factory=list)
    stacks: list[ExitStack] = field(default_factory=list)

    @property
    def first(self) -> Upstream:
        return self.upstreams[0]

    @property
    def second(self) -> Upstream:
        return self.upstreams[1]

    def asked(self) -> list[int]:
        """How many requests each got."""
        return [len(upstream.asked) for upstream in self.upstreams]

    def stop(self, number: int) -> None:
        """Ends an engine: its connections break, and new ones are refused."""
        self.stacks[number].close()

    def start(self, number: int) -> None:
        """Starts one again that was ended, as a new server at the same address."""
        port = int(self.upstreams[number].url.rpartition(":")[2])
        self.upstreams[number] = self.stacks[number].enter_context(running_upstream(port))

    def ask(self, *, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        body = {"model": "quiz", "messages": [{"role": "user", "content": "q"}], **more}
        url = f"{self.gateway.url}/v1/chat/completions"
        return httpx.post(url, json=body, headers=headers, timeout=20)

    def ready(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.gateway.url}/readyz").json()
        return found

    def script(self, *scripts: Script) -> None:
        """What each does with its next requests; they forget those before."""
        for upstream, script in zip(self.upstreams, scripts, strict=True):
            upstream.reset(script)

    def metric(self, name: str, **labels: str) -> float:
        return self.gateway.metric(f"gateway_engine_{name}", engine="default", **labels)

    def label(self, number: int) -> str:
        return self.upstreams[number].url.removeprefix("http://")


@contextmanager
def running_engines(
    folder: Path,
    settings: str = "",
    *,
    number: int = 2,
    price: str = "usd_per_hour = 0.36",
    warm: bool = False,
) -> Iterator[Engines]:
    """`settings` are lines of the engine's table."""
    with ExitStack() as stack:
        stacks = [stack.enter_context(ExitStack()) for _ in range(number)]
        upstreams = [one.enter_context(running_upstream()) for one in stacks]
        put_release(folder / "releases", make_plan(), fingerprint_of(upstreams[0].url))
        urls = '", "'.join(upstream.url for upstream in upstreams)
        found = settings_for(folder, urls, price=f"{price}\n{settings}", warm=warm)
        gateway = stack.enter_context(running_gateway(found, recheck=5.0))
        engines = Engines(gateway, upstreams, stacks)
        wait_until(lambda: engines.ready() == {"status": "ready", "students": {}})
        assert engines.ask().status_code == 200
        order = sorted(range(number), key=lambda at: -len(upstreams[at].asked))
        engines.upstreams = [upstreams[at] for at in order]
        engines.stacks = [stacks[at] for at in order]
        engines.script(*[Script()] * number)
        yield engines
