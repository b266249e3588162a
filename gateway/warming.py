"""Has engines read the constant part of a release's prompt before the first request needs it.

vLLM keeps what it has read, so neither the first request to a new champion nor the first one after the
engine came back has to wait for the demonstrations to be read. Knows nothing of requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping

from engine.errors import EngineError
from gateway.catalog import Runnable, Served
from gateway.place import ServedStudent
from programs.ensemble import EnsembleExecutor
from programs.execution import Executor, PlanExecutor
from programs.plan import Plan

_log = logging.getLogger(__name__)


class Warming:
    """Warms each release that an alias names at each engine that may serve it, each time that one came up."""

    def __init__(self) -> None:
        self._warm: dict[tuple[str, str], tuple[ServedStudent, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()  # one prompt at a time: requests in flight come first

    def look(self, models: Mapping[str, Served]) -> None:
        """Begins to warm what was activated, or came up, since the last look."""
        warm: dict[tuple[str, str], tuple[ServedStudent, int]] = {}
        for name, served in models.items():
            runnable, student = served.loaded.runnable, served.student
            if runnable is None or student is None or name == runnable.release or not _gains(student):
                continue
            for engine in student.engines_for(runnable.identity.version, runnable.student):
                place = (runnable.release, engine.student.client.url)
                before = self._warm.get(place) or warm.get(place)
                warm[place] = (engine, engine.returns)
                if before is None or before[0] is not engine or before[1] != engine.returns:
                    task = asyncio.create_task(self._read(runnable, engine), name=f"warm {runnable.release}")
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
        self._warm = warm

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self, runnable: Runnable, student: ServedStudent) -> None:
        async with self._turn:
            for messages in constant_prompts(runnable.executor):
                try:
                    await student.student.client.complete(messages, {"max_tokens": 1, "temperature": 0})
                except EngineError as error:
                    # Whoever asks next waits a little longer, and hears of it if the engine is in trouble.
                    _log.info("release %s was not warmed: %s", runnable.release, error)
                    return
        name, url = student.student.engine.name, student.student.client.url
        _log.info("release %s is warm on %r at %s", runnable.release, name, url)


def constant_prompts(executor: Executor) -> Iterator[list[dict[str, str]]]:
    """What all requests of a release have in common, for each of its prompts; none where code makes them."""
    if isinstance(executor, PlanExecutor):
        yield _head(executor.plan)
    elif isinstance(executor, EnsembleExecutor):
        yield from (_head(plan) for plan in executor.ensemble.members)


def _head(plan: Plan) -> list[dict[str, str]]:
    first = next((field.name for field in plan.inputs if field.type != "history"), "")
    return [
        *(message.as_dict() for message in plan.prefix),
        {"role": "user", "content": f"[[ ## {first} ## ]]\n"},
    ]


def _gains(student: ServedStudent) -> bool:
    """Only vLLM is known to keep prefixes; where tokens are paid for, none is read that nobody asked for."""
    by_token = student.price is not None and student.price.usd_per_million_input is not None
    return student.student.engine.kind == "vllm" and not by_token
