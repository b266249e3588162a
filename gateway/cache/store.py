"""Where answers are kept: one protocol for a process's memory, a file of SQLite, and Redis.

A store knows nothing of answers: it keeps bytes under a digest, for some seconds.
"""

from __future__ import annotations

from typing import Protocol


class StoreGone(Exception):
    """A store can't be asked now; its text says why."""


class AnswerStore(Protocol):
    async def open(self) -> None:
        """Raises StartFailed where what is configured can't be used at all."""
        ...

    async def get(self, key: str) -> bytes | None:
        """Raises StoreGone."""
        ...

    async def put(self, key: str, value: bytes, seconds: float) -> None:
        """Raises StoreGone."""
        ...

    async def close(self) -> None: ...
