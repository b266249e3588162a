"""Clients that other people wrote, and a gateway with a scripted engine that all of them ask.

They have an environment of their own, which `make clients` makes beside this one; LiteLLM is part of this.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from programs.plan import Field, Message
from programs.program import Chat
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
)
from tests.gateway.upstream import Script, Upstream, running_upstream
from tests.integration.clients.questions import QUESTIONS, joke
from tests.integration.conftest import program_or_leave_out

ENVIRONMENT = Path(f"{sys.prefix}-clients")
FOREIGN = Path(__file__).parent / "foreign"


@dataclass(frozen=True)
class Clients:
    """The environment of the clients; `home` is where they may write."""

    home: Path

    def run(self, *command: str, gateway: str = "", code: int = 0) -> str:
        """What one of their programs says, which must end with `code`."""
        variables = {
            "GATEWAY": gateway,
            "HOME": str(self.home),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LLM_USER_PATH": str(self.home),
            "OPENAI_API_KEY": "unused",
            "PYTHONPATH": str(FOREIGN),
            "PATH": f"{ENVIRONMENT / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }
        done = subprocess.run(
            command,
            cwd=self.home,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if code == 0 else subprocess.STDOUT,
            text=True,
            timeout=500,
        )
        assert done.returncode == code, (
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-6000:]}"
        )
        return done.stdout

    def suite(self, name: str, gateway: str, python: str = "python") -> str:
        """The last line of a file of their own tests, whose results are in `results.xml`."""
        settings, tests = str(FOREIGN / "pytest.ini"), str(FOREIGN / f"{name}.py")
        results = f"--junitxml={self.home / 'results.xml'}"
        # What LangChain's tests bring along for pytest; by the first, nothing leaves this machine.
        brought = ["--allow-hosts=127.0.0.1", "--benchmark-disable"] if python == "python" else []
        command = [python, "-m", "pytest", "-q", "-c", settings, results, *brought, tests]
        return self.run(*command, gateway=gateway).strip().splitlines()[-1]


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    assert (ENVIRONMENT / ".installed").exists(), f"{ENVIRONMENT} has no clients; run: make clients"
    return Clients(tmp_path)


@pytest.fixture
def curl() -> None:
    """It is no part of the environment, so it may be missing."""
    program_or_leave_out("curl")


@pytest.fixture(scope="session")
def _scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningGateway, Upstream]]:
    folder = tmp_path_factory.mktemp("scripted")
    releases = folder / "releases"
    with running_upstream() as upstream:
        student = fingerprint_of(upstream.url)
        put_release(releases, make_plan("quiz"), student)
        joking = make_plan(
            "joking",
            prefix=(Message("system", "Joke."),),
            inputs=(
                Field("manner", required=False),
                Field("history", "history"),
                Field("tools", "tools"),
                Field("question"),
            ),
            outputs=(Field("setup"), Field("punchline"), Field("calls", "tool_calls")),
            chat=Chat("question", "punchline", system="manner", history="history"),
        )
        put_release(releases, joking, student)
        with running_gateway(settings_for(folder, upstream.url, top='expose = ["tiny"]')) as gateway:
            yield gateway, upstream


@pytest.fixture
def upstream(_scripted: tuple[RunningGateway, Upstream]) -> Upstream:
    """The engine behind `scripted`, which does with each question what `QUESTIONS` says."""
    upstream = _scripted[1]
    upstream.reset(Script(texts={"Joke.": joke().text}))
    upstream.questions.update(QUESTIONS)
    return upstream


@pytest.fixture
def scripted(_scripted: tuple[RunningGateway, Upstream], upstream: Upstream) -> RunningGateway:
    """A gateway with `quiz`, which shows its reasoning, and `joking`, which takes system texts, earlier
    turns and tools, and has two outputs beside its calls; the engine's own model `tiny` is exposed."""
    return _scripted[0]
