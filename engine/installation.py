"""Make the environment that a local engine runs in, keep it as its recipe says, mend it when it is broken.

An engine pins many libraries at versions of its own, so it gets a virtual environment to itself; the rest of
the project reaches it over HTTP only.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from engine.errors import EngineNotInstalled
from engine.home import EngineHome
from engine.recipes import RECIPES, Recipe

Progress = Callable[[str], None]
Target = Literal["auto", "cpu", "gpu"]

_MARKER = "smallforge-recipe.sha256"


def install(home: EngineHome, target: Target, torch_index: str | None, progress: Progress) -> Recipe:
    """Install what `target` asks for; where vLLM can't be had, transformers. Returns what is there now.

    Does nothing when the environment is complete and made by the same recipe. Raises EngineNotInstalled.
    """
    wanted = RECIPES["gpu" if target == "gpu" or (target == "auto" and has_nvidia_gpu()) else "cpu"]
    reason = wanted.unsupported()
    if reason is None:
        try:
            ensure(home, wanted, torch_index, progress)
            return wanted
        except EngineNotInstalled as exc:
            if target == "gpu":
                raise
            reason = str(exc)
    elif target == "gpu":
        raise EngineNotInstalled(
            f"{wanted.title} can't be installed here: {reason}. Try: engine install --cpu"
        )
    progress(
        f"{wanted.title} can't be had ({reason.rstrip('.')}), so models will run in transformers instead."
    )
    fallback = RECIPES["transformers"]
    ensure(home, fallback, torch_index, progress)
    return fallback


def installed(home: EngineHome, recipe: Recipe) -> bool:
    """Whether the environment is complete, made by this very recipe, and its Python runs."""
    environment = home.environment(recipe.name)
    marker = environment / _MARKER
    if not marker.exists() or marker.read_text().strip() != digest(recipe):
        return False
    modules = ("vllm", "torch", "transformers") if recipe.backend == "vllm" else ("torch", "transformers")
    # Finding the modules takes 50 ms; importing them, which only an installation does, takes ten seconds.
    find = f"import importlib.util as u, sys; sys.exit(not all(u.find_spec(m) for m in {modules}))"
    return _quiet([str(python_of(environment)), "-c", find])


def ensure(home: EngineHome, recipe: Recipe, torch_index: str | None, progress: Progress) -> None:
    """Make or mend the environment of `recipe`. Raises EngineNotInstalled with pip's own last lines.

    One process at a time: a second one waits, and then finds the work done.
    """

    lock = FileLock(home.root / "install.lock", mode=0o600)
    try:
        home.root.mkdir(parents=True, exist_ok=True)
        try:
            held = lock.acquire(blocking=False)
        except Timeout:
            progress(f"Another `engine install` is at work in {home.root}; waiting until it is done ...")
            held = lock.acquire()
        with held:
            _ensure(home, recipe, torch_index, progress)
    except OSError as exc:
        raise EngineNotInstalled(f"Nothing can be installed in {home.root}: {exc}.") from exc


def _ensure(home: EngineHome, recipe: Recipe, torch_index: str | None, progress: Progress) -> None:
    environment = home.environment(recipe.name)
    if installed(home, recipe):
        progress(f"{recipe.title} is installed in {environment}.")
        return
    progress(
        f"Installing {recipe.title} into {environment} (about 2 GB, one to five minutes after downloads)."
    )
    python = python_of(environment)
    (environment / _MARKER).unlink(missing_ok=True)
    if environment.exists() and not _quiet([str(python), "-m", "pip", "--version"]):
        progress("The environment there is broken and is made anew.")
        shutil.rmtree(environment)
    log = home.logs / f"install-{recipe.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    try:
        if not environment.exists():
            venv.EnvBuilder(with_pip=True).create(environment)
    except (OSError, subprocess.CalledProcessError) as exc:
        shutil.rmtree(environment, ignore_errors=True)
        raise EngineNotInstalled(f"No virtual environment could be made in {environment}: {exc}.") from exc
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]
    index = ["--extra-index-url", torch_index] if torch_index else []
    lock = ["--require-hashes", "--no-deps", "-r", str(recipe.lock())]
    _step([*pip, *index, recipe.torch], "1/3 PyTorch", log, progress)
    _step([*pip, *lock], f"2/3 {recipe.title} and what it imports", log, progress)
    _step([str(python), "-c", recipe.proof], "3/3 trying it", log, progress)
    (environment / _MARKER).write_text(digest(recipe) + "\n")
    progress(f"{recipe.title} is ready.")


def digest(recipe: Recipe) -> str:
    """What an environment is made from, as one number: its PyTorch line, its list, its Python."""
    text = f"{recipe.torch}\n{sys.version_info[:2]}\n".encode() + recipe.lock().read_bytes()
    return hashlib.sha256(text).hexdigest()


def python_of(environment: Path) -> Path:
    """The environment's interpreter."""
    if sys.platform == "win32":
        return environment / "Scripts" / "python.exe"
    return environment / "bin" / "python"


def has_nvidia_gpu() -> bool:
    """Whether the driver's own tool sees a GPU."""
    tool = shutil.which("nvidia-smi")
    return tool is not None and _quiet([tool, "--list-gpus"])


def _step(command: Sequence[str], title: str, log: Path, progress: Progress) -> None:
    progress(f"  {title} ...")
    with log.open("ab") as sink:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        lines = [line for line in log.read_text(errors="replace").splitlines() if "WARNING" not in line]
        said = "\n".join(f"  | {line}" for line in lines[-8:])
        raise EngineNotInstalled(f"The step {title!r} failed; its last lines (all of them in {log}):\n{said}")


def _quiet(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0
    except OSError:
        return False
