"""The ways to do the gateway's job that are measured, ours among them: how each is installed and started."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.surroundings import BenchmarkFailed, Command, free_port

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
DEMOS = [
    {
        "question": f"A shop has {n} boxes of 6 cups and sells {n + 1} cups. How many cups are left?",
        "reasoning": f"{n} boxes of 6 cups are {6 * n} cups. {6 * n} less {n + 1} leaves {5 * n - 1}.",
        "answer": str(5 * n - 1),
    }
    for n in (4, 7, 9, 12)
]


@dataclass(frozen=True)
class Bench:
    """Where and how long to measure."""

    folder: Path
    environments: Path
    upstream: str
    seconds: int
    server_core: int
    load_core: int

    def pinned(self, core: int, command: Command) -> list[str]:
        return ["taskset", "-c", str(core), *map(str, command)]


@dataclass(frozen=True)
class Server:
    """One way to do the job: a command, the model name to ask for, and a path that answers when it is up."""

    command: Command
    port: int
    model: str
    environment: Mapping[str, str]
    ready: str


def ours(bench: Bench) -> Server:
    """The gateway with a release that has the same demonstrations, priced by the hour."""
    port, metrics = free_port(), free_port()
    asyncio.run(write_release_for(bench))
    (bench.folder / "smallforge.toml").write_text(
        f"""
        [engines.nginx]
        urls = ["{bench.upstream}"]
        model = "tiny"
        usd_per_hour = 0.10
        [students.default]
        engine = "nginx"
        """
    )
    command = [sys.executable, "-c", "from gateway.command import main; main()", "serve"]
    flags = ["--port", str(port), "--metrics-port", str(metrics)]
    return Server([*command, *flags], port, "shop", {"PYTHONPATH": str(ROOT)}, "/readyz")


async def write_release_for(bench: Bench) -> None:
    """Lowers a ChainOfThought with the demonstrations, as a build does, and makes it the champion."""
    import dspy

    from compiler.candidate import Candidate
    from compiler.lowering import lower
    from engine.client import EngineClient
    from engine.fingerprint import take_fingerprint
    from programs.aliases import move_alias
    from programs.plan import plan_as_dict
    from programs.program import Chat, Program
    from programs.release import Identity, canonical_json, digest, write_release

    program = Program(
        "shop",
        lambda: dspy.ChainOfThought("question -> answer"),
        lambda split: [],
        lambda example, prediction, trace=None: 1.0,
        Chat(user="question", answer="answer", reasoning=("reasoning",)),
    )
    async with EngineClient(bench.upstream, "tiny") as client:
        student = await take_fingerprint(client)
    candidate = Candidate("bench", {"predict": DEMOS})
    plan = lower(program.make_module(), program, candidate, None)
    body = canonical_json(plan_as_dict(plan))
    identity = Identity("shop", "plan", digest(body), "default", student.as_dict())
    path = write_release(bench.folder / "releases", identity, body, "benchmark", {})
    move_alias(path.parent, "champion", path.name, "the only one")


def bare(bench: Bench) -> Server:
    port = free_port()
    script = HERE / "bare_fastapi.py"
    command: Command = [sys.executable, script, bench.upstream, bench.folder / "demos.json", str(port)]
    return Server(command, port, "any", {}, "/openapi.json")


def stock(bench: Bench) -> Server:
    port = free_port()
    python = environment(bench, "stock", [f"dspy=={version('dspy')}", "fastapi", "uvicorn[standard]"])
    command: Command = [
        python,
        HERE / "stock_dspy.py",
        bench.upstream,
        bench.folder / "demos.json",
        str(port),
    ]
    return Server(command, port, "any", {"DSPY_CACHEDIR": str(bench.folder / "dspy")}, "/openapi.json")


def litellm(bench: Bench) -> Server:
    """LiteLLM's proxy passes chats on as they are: no program, no prompt to fill, no reply to read."""
    port = free_port()
    python = environment(bench, "litellm", ["litellm[proxy]"])
    target = {"model": "openai/tiny", "api_base": f"{bench.upstream}/v1", "api_key": "unused"}
    config = bench.folder / "litellm.json"
    config.write_text(json.dumps({"model_list": [{"model_name": "tiny", "litellm_params": target}]}))
    command: Command = [
        python.parent / "litellm",
        "--config",
        config,
        "--port",
        str(port),
        "--num_workers",
        "1",
    ]
    # Without a key, as all the others here are.
    keyless = {"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
    local = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", **keyless}
    return Server([*command, "--host", "127.0.0.1"], port, "tiny", local, "/health/liveliness")


SERVERS: dict[str, Callable[[Bench], Server]] = {
    "ours": ours,
    "bare": bare,
    "stock": stock,
    "litellm": litellm,
}


def environment(bench: Bench, name: str, packages: Sequence[str]) -> Path:
    """A virtual environment with these packages, made unless it is there; gives its Python."""
    home = bench.environments / name
    python = home / "bin" / "python"
    if (home / "complete").exists():
        return python
    venv.create(home, with_pip=True)
    installed = subprocess.run(
        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        raise BenchmarkFailed(f"pip can't install {', '.join(packages)}: {installed.stderr[-500:]}")
    (home / "complete").touch()
    return python
