"""How each backend is started: its command line and environment variables, from the model and the address.

Starts nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.home import EngineHome
from engine.installation import python_of
from engine.model_files import ModelFiles
from engine.recipes import Backend, Recipe

# Below this size a model computes faster in one thread than threads can agree with each other.
_ONE_THREAD_BYTES = 200 * 2**20


@dataclass(frozen=True)
class Address:
    """Where an engine listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """How to reach it from this machine."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


@dataclass(frozen=True)
class Launch:
    """A command to run; `model` is the name under which the engine will know what it serves."""

    title: str
    command: tuple[str, ...]
    model: str
    environment: Mapping[str, str] = field(default_factory=dict)


def vllm_launch(python: Path, recipe: Recipe, model: ModelFiles, address: Address) -> Launch:
    """vLLM's own OpenAI server."""
    options = {
        "--model": model.source,
        "--served-model-name": model.name,
        "--host": address.host,
        "--port": str(address.port),
    }
    if model.context_tokens is not None:
        options["--max-model-len"] = str(model.context_tokens)
    # Compiling pays on a GPU and for hours of serving; on a CPU it costs a minute before the first answer.
    eager = recipe.name == "cpu" or _is_small(model)
    if recipe.name == "cpu":
        options["--dtype"] = "bfloat16"
    switches = ["--enable-prompt-tokens-details", "--disable-uvicorn-access-log"]
    switches += ["--enforce-eager"] if eager else []
    command = (str(python), "-m", "vllm.entrypoints.openai.api_server")
    words = [word for option in options.items() for word in option]
    environment = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", **_offline(model)}
    environment |= _cpu_environment(model) if recipe.name == "cpu" else {}
    return Launch(recipe.title, (*command, *words, *switches), model.name, environment)


def transformers_launch(python: Path, recipe: Recipe, model: ModelFiles, address: Address) -> Launch:
    """`transformers serve`, which knows a model by what it was loaded from."""
    command = (str(python), "-m", "transformers.cli.transformers", "serve", model.source)
    words = ("--host", address.host, "--port", str(address.port), "--device", "auto", "--dtype", "auto")
    return Launch(recipe.title, (*command, *words), model.source, _offline(model))


_LAUNCHES: Mapping[Backend, Callable[[Path, Recipe, ModelFiles, Address], Launch]] = {
    "vllm": vllm_launch,
    "transformers": transformers_launch,
}


def launch(home: EngineHome, recipe: Recipe, model: ModelFiles, address: Address) -> Launch:
    """What to run so that `model` answers at `address`, in the environment of `recipe`."""
    python = python_of(home.environment(recipe.name))
    return _LAUNCHES[recipe.backend](python, recipe, model, address)


def _cpu_environment(model: ModelFiles) -> dict[str, str]:
    environment = {"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": str(model.cache_gib())}
    if _is_small(model):
        # One process and ten seconds less to start; and no two threads that wait for each other by spinning,
        # which on a busy machine makes a small model ten times slower.
        environment["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        environment["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
        environment["OMP_NUM_THREADS"] = "1"
    return environment


def _is_small(model: ModelFiles) -> bool:
    return model.weight_bytes is not None and model.weight_bytes < _ONE_THREAD_BYTES


def _offline(model: ModelFiles) -> dict[str, str]:
    return {} if model.directory is None else {"HF_HUB_OFFLINE": "1"}
