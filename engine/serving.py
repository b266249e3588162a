"""A local engine for as long as a block of code runs: started, waited for, gone with everything it made."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine import keeper
from engine.client import EngineClient, Timeouts
from engine.errors import EngineError, EngineNotInstalled, EngineStartFailed
from engine.home import EngineHome
from engine.installation import installed
from engine.launch import Address, Launch, launch
from engine.model_files import ModelFiles
from engine.recipes import RECIPES, Recipe
from engine.running import RunningEngine, birth_of

Progress = Callable[[str], None]
BackendChoice = Literal["auto", "vllm", "transformers"]

DEFAULT_ADDRESS = Address("127.0.0.1", 8100)

_TAIL_LINES = 15
_NEWS_SECONDS = 5.0
_IMPATIENT = Timeouts(connect=1.0, first_byte=2.0, between=2.0, total=3.0)


@dataclass(frozen=True)
class Serve:
    """What to serve, where and how; port 0 is any free one, `extra` goes to the engine's command line."""

    model: ModelFiles
    backend: BackendChoice = "auto"
    address: Address = DEFAULT_ADDRESS
    extra: tuple[str, ...] = ()


def choose_recipe(home: EngineHome, backend: BackendChoice) -> Recipe:
    """The installed environment to use, the best first. Raises EngineNotInstalled."""
    wanted = [recipe for recipe in RECIPES.values() if backend in ("auto", recipe.backend)]
    order = ("gpu", "cpu", "transformers")
    for recipe in sorted(wanted, key=lambda recipe: order.index(recipe.name)):
        if installed(home, recipe):
            return recipe
    what = "No engine is" if backend == "auto" else f"The engine {backend!r} is not"
    raise EngineNotInstalled(f"{what} installed in {home.root}. Install it with: engine install")


class Served:
    """A local engine that answers; `running` is what a note about it would say."""

    def __init__(self, running: RunningEngine, process: subprocess.Popen[bytes], log: Path) -> None:
        self.running = running
        self._process = process
        self._log = log

    async def ended(self) -> EngineStartFailed:
        """Wait until the engine ends by itself, which it should not; returns what to say about it."""
        await asyncio.to_thread(self._process.wait)
        sentence = f"The engine with {self.running.model} ended by itself (all it said is in {self._log}):"
        return EngineStartFailed(sentence, log_tail=_tail(self._log))


@asynccontextmanager
async def serving(home: EngineHome, serve: Serve, progress: Progress) -> AsyncIterator[Served]:
    """The engine, ready to answer, until the block ends. Raises EngineNotInstalled, EngineStartFailed."""
    recipe = choose_recipe(home, serve.backend)
    address = _free_address(serve.address)
    start = launch(home, recipe, serve.model, address)
    log = home.logs / f"engine-{address.port}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    progress(f"Starting {start.title} with {start.model} on {address.url} ...")
    process = _start(start, serve.extra, log)
    try:
        await _until_ready(process, address, start, log, progress)
        running = RunningEngine(
            url=address.url,
            model=start.model,
            backend=recipe.backend,
            pid=os.getpid(),
            born=birth_of(os.getpid()) or "unknown",
            weights=await asyncio.to_thread(serve.model.weights_digest),
            context_tokens=serve.model.context_tokens,
        )
        yield Served(running, process, log)
    finally:
        await _end(process)


def _free_address(address: Address) -> Address:
    """The address, its port chosen if it was 0. Raises EngineStartFailed where something listens already."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as exc:
            raise EngineStartFailed(
                f"Port {address.port} on {address.host} can't be used ({exc.strerror}). "
                "`engine status` shows the engines that are up; choose another port with --port."
            ) from None
        return Address(address.host, probe.getsockname()[1])


def _start(start: Launch, extra: tuple[str, ...], log: Path) -> subprocess.Popen[bytes]:
    settings = [f"{name}={value}" for name, value in start.environment.items()]
    keeping = [sys.executable, "-I", str(Path(keeper.__file__)), *settings, "--", *start.command, *extra]
    with log.open("wb") as sink:
        # The keeper gets a session of its own: a Ctrl-C in the terminal is for us, and we end it in order.
        return subprocess.Popen(
            keeping, stdin=subprocess.PIPE, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
        )


async def _until_ready(
    process: subprocess.Popen[bytes], address: Address, start: Launch, log: Path, progress: Progress
) -> None:
    begun = told = time.monotonic()
    async with EngineClient(address.url, start.model, timeouts=_IMPATIENT) as client:
        while not await _answers(client):
            if process.poll() is not None:
                raise EngineStartFailed(
                    f"{start.title} ended before it could serve {start.model} (all it said is in {log}):",
                    log_tail=_tail(log),
                )
            if time.monotonic() - told > _NEWS_SECONDS:
                told = time.monotonic()
                last = (_tail(log) or ["(it has said nothing)"])[-1]
                progress(f"  {told - begun:3.0f} s: {last[:100]}")
            await asyncio.sleep(0.1)
    progress(f"Ready after {time.monotonic() - begun:.1f} s: {start.model} on {address.url}")


async def _answers(client: EngineClient) -> bool:
    try:
        await client.models()
    except EngineError:
        return False
    return True


async def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the keeper's life-line and wait until it has ended all that it kept."""
    if process.stdin is not None:
        process.stdin.close()
    await asyncio.to_thread(process.wait)


def _tail(log: Path) -> list[str]:
    lines = log.read_text(errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip()][-_TAIL_LINES:]
