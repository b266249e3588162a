"""Clients that other people wrote, and a gateway with a scripted engine that all of them ask.

They have an environment of their own, which `make clients` makes beside this one; LiteLLM is part of this.
"""

from __future__ import annotations

import os
import shutil
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

ENVIRONMENT = Path(f"{sys.prefix}-clients")
FOREIGN = Path(__file__).parent / "foreign"

TOO_LONG = "This model's maximum context length is 8192 tokens, you asked for 9000."
QUESTIONS = {
    "busy once": Script(status=429, headers={"Retry-After": "1"}, then=Script()),
    "always busy": Script(status=429, headers={"Retry-After": "7"}),
    "failing once": Script(status=500, then=Script()),
    "always failing": Script(status=500),
    "slow": Script(seconds=5),
    "unreadable": Script("I would rather not say."),
    "too long": Script(status=400, error={"error": {"message": TOO_LONG, "type": "BadRequestError"}}),
    "breaks midway": Script(trouble="cut_midway"),
}
"""What the engine does with a question that holds these words; with any other it does well."""
JOKE = (
    "[[ ## setup ## ]]\nWhy did the cat sit on the computer?\n\n"
    "[[ ## punchline ## ]]\nTo keep an eye on the mouse.\n\n[[ ## completed ## ]]\n"
)


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

    def suite(self, name: str, gateway: str) -> str:
        """The last line of a file of their own tests, whose results are in `results.xml`."""
        settings, tests = str(FOREIGN / "pytest.ini"), str(FOREIGN / f"{name}.py")
        results = f"--junitxml={self.home / 'results.xml'}"
        said = self.run("python", "-m", "pytest", "-q", "-c", settings, results, tests, gateway=gateway)
        return said.strip().splitlines()[-1]


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    assert (ENVIRONMENT / ".installed").exists(), f"{ENVIRONMENT} has no clients; run: make clients"
    return Clients(tmp_path)


@pytest.fixture
def curl() -> None:
    """It is no part of the environment, so it may be missing."""
    if shutil.which("curl") is None:
        missing = "no curl is installed (Debian and Ubuntu: apt-get install curl)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)


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
                Field("question"),
                Field("history", "history", required=False),
            ),
            outputs=(Field("setup"), Field("punchline")),
            chat=Chat("question", "punchline", system="manner", history="history"),
        )
        put_release(releases, joking, student)
        with running_gateway(settings_for(folder, upstream.url, top='expose = ["tiny"]')) as gateway:
            yield gateway, upstream


@pytest.fixture
def upstream(_scripted: tuple[RunningGateway, Upstream]) -> Upstream:
    """The engine behind `scripted`, which does with each question what `QUESTIONS` says."""
    upstream = _scripted[1]
    upstream.reset(Script(texts={"Joke.": JOKE}))
    upstream.questions.update(QUESTIONS)
    return upstream


@pytest.fixture
def scripted(_scripted: tuple[RunningGateway, Upstream], upstream: Upstream) -> RunningGateway:
    """A gateway with `quiz`, which shows its reasoning, and `joking`, which takes system texts and earlier
    turns and has two outputs; the engine's own model `tiny` is exposed."""
    return _scripted[0]
