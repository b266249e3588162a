"""Tools that run inside a program, kept off the event loop: those that block run in threads.

DSPy 3.4 calls a tool that is no coroutine function in the event loop itself, which stands still until the
tool returns. Needs dspy.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dspy

from programs.threads import in_thread


class OffTheLoop:
    """A tool's function: run in a thread where an event loop waits for it, called as ever where none does."""

    def __init__(self, tool: dspy.Tool) -> None:
        self._name = f"tool {tool.name!r}"
        self._function = tool.func

    def __call__(self, **arguments: Any) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._function(**arguments)
        return self._in_thread(arguments)

    async def _in_thread(self, arguments: Mapping[str, Any]) -> Any:
        result = await in_thread(self._name, lambda: self._function(**arguments))
        return await result if inspect.isawaitable(result) else result


def keep_tools_off_the_loop(module: dspy.Module) -> None:
    """Changes the tools that the module and its parts hold; a second time changes nothing."""
    parts = [module, *(part for _, part in module.named_sub_modules())]
    for tool in (tool for part in parts for tool in _tools_in(vars(part).values())):
        if not inspect.iscoroutinefunction(tool.func) and not isinstance(tool.func, OffTheLoop):
            tool.func = OffTheLoop(tool)


def _tools_in(values: Iterable[object]) -> Iterator[dspy.Tool]:
    for value in values:
        if isinstance(value, dspy.Tool):
            yield value
        elif isinstance(value, dict):
            yield from _tools_in(value.values())
        elif isinstance(value, list | tuple | set):
            yield from _tools_in(value)
