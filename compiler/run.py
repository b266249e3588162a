"""Runs one build in the foreground: opens the models, follows its events on screen and into MLflow.

Here a build meets the person who asked for it; knows nothing of flags, and nothing of how a build is done.
"""

from __future__ import annotations

import asyncio
import importlib.util
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from rich.console import Console

from compiler.errors import OnlyEstimated, TargetMissed, UserMistake
from compiler.events import Began, BuildResult, Event, Finished
from compiler.request import BoundModel, BuildRequest, Cast
from compiler.terminal import open_display, show_result
from compiler.tracking.reader import open_tracking
from compiler.tracking.recording import Tracked
from engine.settings import Settings
from programs.loading import blamed_on
from programs.program import SPLITS

INTERRUPTED = 130


class ModelChoice(NamedTuple):
    """A configuration and the name of one of its models; None is the student that it means by itself."""

    settings: Settings
    name: str | None = None


@dataclass(frozen=True)
class Asked:
    """A build with what it needs around it. Without a teacher the student teaches itself."""

    request: BuildRequest
    student: ModelChoice
    teacher: ModelChoice | None = None
    proposer: ModelChoice | None = None
    mlflow_uri: str | None = None
    again: Callable[[str], str] = field(default=lambda build_id: f"--resume {build_id}")
    """Build id -> the command that resumes the build."""


class Reader(Protocol):
    def read(self, event: Event) -> None: ...


class Memory:
    """Keeps what must be told after the build has ended, however it ends."""

    def __init__(self) -> None:
        self.build_id: str | None = None
        self.result: BuildResult | None = None

    def read(self, event: Event) -> None:
        if isinstance(event, Began):
            self.build_id = event.build_id
        elif isinstance(event, Finished):
            self.result = event.result


class Ended(NamedTuple):
    """How a build ended: its exit code, what it came to, and why it came to less than was asked."""

    code: int
    result: BuildResult | None = None
    why: str | None = None


def run_build(asked: Asked, out: Console, err: Console, others: Sequence[Reader] = ()) -> Ended:
    """Checks the request and runs the build: 0 done, 3 below what was asked for, 130 interrupted.

    Raises:
        CompilerError, EngineError, ProgramError: sentences for the user.
    """
    check_request(asked.request)
    return follow_build(asked, out, err, others)


def follow_build(asked: Asked, out: Console, err: Console, others: Sequence[Reader] = ()) -> Ended:
    """Runs a build whose request was checked, and shows what it came to; `others` read its events too.

    Raises:
        CompilerError, EngineError, ProgramError: sentences for the user.
    """
    memory, ended = Memory(), Ended(0)
    try:
        asyncio.run(_until_told_to_end(follow(asked, memory, err, others)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        ended = Ended(INTERRUPTED, None, how_to_resume(asked, memory))
    except (OnlyEstimated, TargetMissed) as error:
        ended = Ended(error.exit_code, None, str(error))
    if memory.result is not None and ended.code != INTERRUPTED:
        show_result(out, memory.result)
    if ended.why is not None:
        _say(err, ended.why)
    return ended._replace(result=memory.result)


async def _until_told_to_end(work: Coroutine[None, None, None]) -> None:
    """SIGTERM, by which services, containers and clusters end a process, ends a build as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None
    if sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await work


def require_dspy() -> None:
    if importlib.util.find_spec("dspy") is None:
        raise UserMistake("building needs DSPy, which is not installed: pip install 'smallforge[compiler]'")


def check_request(request: BuildRequest) -> None:
    """Reads optimiser and data before an engine is started: their mistakes should not wait for it."""
    require_dspy()
    from compiler.optimizers.table import make_optimizer
    from compiler.rehearsal import check_fit, fields_needed
    from compiler.split import load_parts

    make_optimizer(request.optimizer, request.arguments)
    with blamed_on(request.program):
        module = request.program.make_module()
        if request.data.train is None:
            for split in SPLITS:
                request.program.examples(split)
    check_fit(module, request.program, load_parts(request, fields_needed(module, request.program)))


def check_begun(state: Path, build_id: str) -> None:
    """Raises UserMistake where there is no build of that id to resume."""
    from compiler.workshop import is_begun

    if not is_begun(state, build_id):
        raise UserMistake(f"no build {build_id!r} to resume in {str(state / 'builds')!r}")


async def follow(asked: Asked, memory: Memory, err: Console, others: Sequence[Reader] = ()) -> None:
    """Runs a build whose request was checked; `memory` keeps what it comes to."""
    from compiler.build import build
    from engine.local import open_student

    def progress(line: str) -> None:
        _say(err, line)

    async with AsyncExitStack() as opened:

        async def opening(choice: ModelChoice) -> BoundModel:
            return await opened.enter_async_context(open_student(*choice, progress))

        cast = Cast(
            await opening(asked.student),
            None if asked.teacher is None else await opening(asked.teacher),
            None if asked.proposer is None else await opening(asked.proposer),
        )
        display = opened.enter_context(open_display(err))
        tracking = opened.enter_context(
            open_tracking(asked.mlflow_uri, asked.request.state, _tracked(asked.request), progress)
        )
        readers: Sequence[Reader] = (memory, display, tracking, *others)
        events = await opened.enter_async_context(aclosing(build(asked.request, cast)))
        async for event in events:
            for reader in readers:
                reader.read(event)


def _tracked(request: BuildRequest) -> Tracked:
    from compiler.optimizers.table import optimizer_name

    return Tracked(request.program.name, optimizer_name(request.optimizer))


def how_to_resume(asked: Asked, memory: Memory) -> str:
    """The sentence for a build that was interrupted."""
    from compiler.workshop import is_begun

    if memory.build_id is None or not is_begun(asked.request.state, memory.build_id):
        return "Interrupted before anything was asked; nothing to resume."
    again = asked.again(memory.build_id)
    return f"Interrupted; no release was written. What was answered is kept, go on with:\n  {again}"


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
