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

_ASKED = aiohttp.ClientTimeout(total=10.0)
# A head that has just started takes ten seconds and more for its first job.
_GIVEN = aiohttp.ClientTimeout(total=60.0, sock_connect=10.0)
_KNOWN_FOR = 1.0  # seconds
_OVER = ("STOPPED", "SUCCEEDED", "FAILED")
_PATIENCE = {"RAY_JOB_STOP_WAIT_TIME_S": "60"}
"""How long a job that Ray told to end has to write down what it has; by itself Ray waits for 3 seconds."""
_log = logging.getLogger(__name__)


class RayCluster:
    """The cluster whose head answers at `url`; `key` is its token, where it asks for one."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._known: dict[str, tuple[float, bool]] = {}
        self._silent = False

    async def start(self, run: Run) -> str:
        """Raises PlaceUnavailable."""
        name = f"{run.folder.name}-{secrets.token_hex(3)}"
        words = shlex.join(["compiler", *run.arguments])
        output = shlex.quote(str(run.folder.absolute() / "output.log"))
        job = {
            "entrypoint": f"cd {shlex.quote(os.getcwd())} && exec {words} >> {output} 2>&1",
            "submission_id": name,
            # What asks for nothing is always run on the head, however many machines there are.
            "entrypoint_num_cpus": 1,
            "runtime_env": {"env_vars": _PATIENCE},
        }
        try:
            await self._ask("POST", "/api/jobs/", job)
        except PlaceUnavailable:
            # It may have been taken all the same, its answer too late: then it must not run unseen.
            if await self._status(name) is None:
                raise
        return name

    async def alive(self, folder: Path, name: str | None) -> bool:
        """As the cluster tells; while it can't be asked, as it told last."""
        if name is None:
            return False
        asked_at, was_alive = self._known.get(name, (-_KNOWN_FOR, True))
        if time.monotonic() - asked_at < _KNOWN_FOR:
            return was_alive
        try:
            # A cluster that was made anew knows none of the old one's jobs.
            alive = await self._status(name) not in (None, *_OVER)
            self._silent = False
        except PlaceUnavailable as error:
            if not self._silent:
                _log.warning("%s; its jobs are taken to go on", error)
            self._silent, alive = True, was_alive
        self._known[name] = (time.monotonic(), alive)
        return alive

    async def interrupt(self, folder: Path, name: str | None) -> None:
        """Raises PlaceUnavailable."""
        if name is not None:
            await self._ask("POST", f"/api/jobs/{name}/stop")

    async def why_ended(self, folder: Path, name: str | None) -> str | None:
        try:
            told = await self._ask("GET", f"/api/jobs/{name}")
        except PlaceUnavailable:
            return None
        if told is None:
            return "The Ray cluster knows nothing of the build any more; it can be resumed."
        message, _, log = str(told.get("message")).partition(", last available logs")
        said = message.partition("\n")[0]
        lines = [line for line in log.splitlines()[1:] if not line.startswith("Running entrypoint")]
        return f"The Ray cluster tells: {said}: {lines[-1]}" if lines else f"The Ray cluster tells: {said}"

    async def _status(self, name: str) -> str | None:
        """None where the cluster has no such job. Raises PlaceUnavailable."""
        told = await self._ask("GET", f"/api/jobs/{name}")
        return None if told is None else str(told.get("status"))

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any] | None:
        """The answer; None where the cluster has no such job. Raises PlaceUnavailable."""
        timeout = _ASKED if body is None else _GIVEN
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=self._headers) as session,
                session.request(method, self._url + path, json=body) as answer,
            ):
                if answer.status == 404 and body is None:
                    return None
                if answer.status >= 400:
                    # Of a mistake of its own Ray sends the traceback, whose last line is the message.
                    last = (await answer.text()).strip(" .\n").rpartition("\n")[2][:200]
                    raise PlaceUnavailable(
                        f"the Ray cluster at {self._url} refused with {answer.status}: {last}"
                    )
                return dict(await answer.json())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            why = str(error) or type(error).__name__
            raise PlaceUnavailable(f"the Ray cluster at {self._url} does not answer: {why}") from error
