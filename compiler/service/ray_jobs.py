"""Builds as jobs of a Ray cluster, over the HTTP API of its head; Ray itself is not needed here.

The cluster's machines have to see the same folders under the same paths, for releases, state and settings,
and have the `compiler` command; the console follows a build by the event file that it writes there.
"""

from __future__ import annotations

import logging
import os
import secrets
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from compiler.service.errors import PlaceUnavailable
from compiler.service.places import Run

_TIMEOUT = aiohttp.ClientTimeout(total=5.0)
_KNOWN_FOR = 1.0  # seconds
_OVER = ("STOPPED", "SUCCEEDED", "FAILED")
_log = logging.getLogger(__name__)


class RayCluster:
    """The cluster whose head answers at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._known: dict[str, tuple[float, bool]] = {}

    async def start(self, run: Run) -> str:
        """Raises PlaceUnavailable."""
        name = f"{run.folder.name}-{secrets.token_hex(3)}"
        words = shlex.join(["compiler", *run.arguments])
        output = shlex.quote(str(run.folder.absolute() / "output.log"))
        entrypoint = f"cd {shlex.quote(os.getcwd())} && exec {words} >> {output} 2>&1"
        await self._ask("POST", "/api/jobs/", {"entrypoint": entrypoint, "submission_id": name})
        return name

    async def alive(self, folder: Path, name: str | None) -> bool:
        """As the cluster tells; while it can't be asked, as it told last."""
        if name is None:
            return False
        asked_at, was_alive = self._known.get(name, (0.0, True))
        if time.monotonic() - asked_at < _KNOWN_FOR:
            return was_alive
        try:
            told = await self._ask("GET", f"/api/jobs/{name}")
            alive = told.get("status") not in _OVER
        except PlaceUnavailable as error:
            _log.warning("%s", error)
            alive = was_alive
        self._known[name] = (time.monotonic(), alive)
        return alive

    async def interrupt(self, folder: Path, name: str | None) -> None:
        """Raises PlaceUnavailable. Ray ends a process without asking; what it was answered is kept."""
        if name is not None:
            await self._ask("POST", f"/api/jobs/{name}/stop")

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                session.request(method, self._url + path, json=body) as answer,
            ):
                if answer.status == 404 and method == "GET":
                    # A cluster that was made anew knows none of the old one's jobs.
                    return {"status": "FAILED"}
                if answer.status >= 400:
                    text = (await answer.text())[:200]
                    raise PlaceUnavailable(
                        f"the Ray cluster at {self._url} refused with {answer.status}: {text}"
                    )
                return dict(await answer.json())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise PlaceUnavailable(f"the Ray cluster at {self._url} does not answer: {error!r}") from error
