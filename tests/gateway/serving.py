"""Real releases on disk and a real gateway on a free port, for tests that ask it as a client would."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import orjson
import uvicorn

from engine.client import EngineClient
from engine.fingerprint import take_fingerprint
from engine.settings import Settings, read_settings
from gateway.app import create_app
from gateway.metrics import Metrics
from gateway.parts import Intervals
from gateway.server import TellingProtocol
from programs.aliases import Alias, move_alias
from programs.ensemble import Ensemble, ensemble_as_dict
from programs.neighbours import Neighbours, neighbours_as_dict
from programs.plan import Field, Message, Plan, plan_as_dict
from programs.program import Chat, Sampling
from programs.release import Identity, Kind, canonical_json, digest, write_release

TEXTS = (Field("reasoning"), Field("answer"))


def make_plan(name: str = "quiz", *, prompt: str = "Answer the question.", **changes: Any) -> Plan:
    """A plan of one question with reasoning; `changes` replace its parts."""
    parts: dict[str, Any] = {
        "program": name,
        "prefix": (Message("system", prompt),),
        "inputs": (Field("question"),),
        "outputs": TEXTS,
        "reminder": "Respond with `[[ ## reasoning ## ]]`, then `[[ ## answer ## ]]`.",
        "chat": Chat(user="question", answer="answer", reasoning=("reasoning",)),
        "sampling": Sampling(max_tokens=200),
    }
    return Plan(**{**parts, **changes})


def put_release(
    releases: Path,
    form: Plan | Neighbours | Ensemble,
    fingerprint: Mapping[str, Any],
    alias: Alias | None = "champion",
    build: Mapping[str, Any] | None = None,
    student: str = "default",
) -> str:
    """Writes a release, and points an alias at it; gives its version."""
    kind: Kind
    if isinstance(form, Neighbours):
        program, kind, content = form.plan.program, "neighbours", neighbours_as_dict(form)
    elif isinstance(form, Ensemble):
        program, kind, content = form.members[0].program, "ensemble", ensemble_as_dict(form)
    else:
        program, kind, content = form.program, "plan", plan_as_dict(form)
    body = canonical_json(content)
    identity = Identity(program, kind, digest(body), student, fingerprint)
    evidence = {"build.json": orjson.dumps(build or {})}
    path = write_release(releases, identity, body, "build-1", evidence)
    if alias is not None:
        move_alias(path.parent, alias, path.name, "for a test")
    return path.name


def fingerprint_of(url: str) -> dict[str, Any]:
    async def take() -> dict[str, Any]:
        async with EngineClient(url, "tiny") as client:
            return (await take_fingerprint(client)).as_dict()

    return asyncio.run(take())


def settings_for(
    folder: Path,
    url: str,
    *,
    price: str = "usd_per_hour = 0.36",
    top: str = "",
    gateway: str = "",
    warm: bool = False,
) -> Settings:
    """Settings from a real file: the upstream as the only engine, releases in the folder."""
    file = folder / "smallforge.toml"
    file.write_text(
        f"""
        releases = "{folder / "releases"}"
        state = "{folder / "state"}"
        {top}
        [engines.default]
        urls = ["{url}"]
        model = "tiny"
        {price}
        [students.default]
        engine = "default"
        [gateway]
        metrics_port = 0
        warm = {str(warm).lower()}
        {gateway}
        """
    )
    return read_settings(file)


@dataclass(frozen=True)
class RunningGateway:
    url: str
    metrics: Metrics
    releases: Path

    def metric(self, name: str, **labels: str) -> float:
        """The value of one series; 0 where there is none yet."""
        return self.metrics.registry().get_sample_value(name, labels) or 0.0


@contextmanager
def running_gateway(settings: Settings, recheck: float = 60.0) -> Iterator[RunningGateway]:
    """The app on a free port, in a thread of its own with its own loop."""
    app = create_app(settings, intervals=Intervals(catalog=0.05, student=recheck))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, http=TellingProtocol, ws="none"))
    thread = threading.Thread(target=server.run, name="gateway")
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        port = server.servers[0].sockets[0].getsockname()[1]
        yield RunningGateway(f"http://127.0.0.1:{port}", app.state.metrics, settings.releases)
    finally:
        server.should_exit = True
        thread.join(20)


def wait_until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits for something another thread brings about; fails after `seconds`."""
    end = monotonic() + seconds
    while not holds():
        if monotonic() > end:
            raise AssertionError("what the test waits for did not happen")
        sleep(0.01)
