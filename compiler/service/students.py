"""The models that the service itself asks: opened when they are first needed, kept until it ends."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from compiler.service.errors import RequestInvalid
from engine.local import Student, open_student
from engine.settings import Settings

_log = logging.getLogger(__name__)


@dataclass
class Students:
    """By their names in the configuration; None is the one that it means by itself."""

    settings: Settings
    _open: dict[str | None, tuple[Student, AsyncExitStack]] = field(default_factory=dict)
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    def names(self) -> list[str]:
        """The configured ones, the one that is meant by itself first."""
        return list(dict.fromkeys([self.settings.student, *self.settings.students]))

    def teachers(self) -> list[str]:
        return list(dict.fromkeys([*self.settings.teachers, *self.settings.students]))

    def check(self, name: str | None) -> str | None:
        """The name, if it is one; an address must be in the configuration, where it has a price and a key.

        Raises:
            RequestInvalid: it is an address, or no model is called so.
        """
        if name and "://" in name:
            raise RequestInvalid(
                f"A model is named as in the configuration or as provider/model, not by an address: {name!r}."
            )
        configured = {*self.names(), *self.teachers(), "default"}
        if name and "/" not in name and name not in configured:
            raise RequestInvalid(
                f"No model is called {name!r}: {', '.join(sorted(configured))} can be named, and hosted ones "
                "as provider/model."
            )
        return name or None

    async def student(self, name: str | None) -> Student:
        """Raises EngineError: it is not configured, or nothing answers there."""
        name = self.check(name)
        async with self._opening:
            if name not in self._open:
                stack = AsyncExitStack()
                try:
                    student = await stack.enter_async_context(open_student(self.settings, name, _log.info))
                except BaseException:
                    await stack.aclose()
                    raise
                self._open[name] = student, stack
            return self._open[name][0]

    async def forget(self, name: str | None) -> None:
        """The next one who asks opens it anew: another model may be there by then."""
        if name in self._open:
            await self._open.pop(name)[1].aclose()

    async def close(self) -> None:
        for name in list(self._open):
            await self.forget(name)
