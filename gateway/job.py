"""What each worker of `gateway serve` does, by settings that can be read afresh while others serve."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic

import uvloop
from fastapi import FastAPI

from engine.errors import EngineError
from engine.settings import Settings
from gateway.access.opening import check_openness
from gateway.app import create_app
from gateway.errors import StartFailed
from gateway.logs import set_up_logs
from gateway.post import RELIEVED, Post
from gateway.server import serve

_log = logging.getLogger(__name__)

_FIXED = (
    "host", "port", "workers", "metrics_host", "metrics_port", "admin_host", "admin_port", "log_format",
)  # fmt: skip
_PATIENCE = 10.0  # seconds in which a successor has to be able to answer


@dataclass(frozen=True)
class GatewayJob:
    """`read` gives the settings as they are now, `progress` is told how a local engine comes up."""

    settings: Settings
    read: Callable[[], Settings]
    progress: Callable[[str], None]

    def afresh(self) -> GatewayJob:
        """With all that can change while the gateway runs. Raises SettingsInvalid."""
        now, former = self.read(), self.settings.gateway
        kept = {name: getattr(former, name) for name in _FIXED}
        changed = [f"gateway.{name}" for name, value in kept.items() if getattr(now.gateway, name) != value]
        if changed:
            _log.warning("%s can't change while the gateway runs; stop and start it", ", ".join(changed))
        return replace(self, settings=replace(now, gateway=replace(now.gateway, **kept)))

    def work(self, post: Post) -> int:
        """Serves at a post until a signal ends it; gives the exit code."""
        settings, shared = self.settings, post.shared
        if shared.place:
            # What the first worker has the engine read, it has read for all; one port is for one process.
            settings = replace(settings, gateway=replace(settings.gateway, warm=False, admin_port=0))
        try:
            if post.succeeds:
                set_up_logs(settings.gateway.log_format, settings.gateway.log_level)
                asyncio.run(check_openness(settings.gateway))
            app = create_app(settings, shared=shared, progress=self.progress)
            serving = serve(
                app,
                post.listener,
                started=partial(_settle, app, post.report.serves),
                leaving=post.report.leaves,
                fit=partial(_can_serve, app) if post.succeeds else None,
                relieved_by=RELIEVED if shared.workers > 1 else None,
            )
            uvloop.run(serving)
        except StartFailed as error:
            post.report.fails(str(error))
            return 2
        except EngineError as error:
            post.report.fails(str(error))
            return error.exit_code
        except KeyboardInterrupt:
            return 130
        except asyncio.CancelledError:
            return 143  # SIGTERM while the engine was still coming up
        return 0


def _settle(app: FastAPI, serves: Callable[[str], None]) -> None:
    """What is here now stays: the collector need not look at it again and again, nor so often at the rest."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    serves(", ".join(sorted({*app.state.catalog.models, *app.state.exposed.names})))


async def _can_serve(app: FastAPI) -> None:
    """Waits until /readyz would say so. Raises StartFailed if that takes too long."""
    catalog, exposed, until = app.state.catalog, app.state.exposed, monotonic() + _PATIENCE
    while not catalog.ready() and not exposed.ready():
        if monotonic() > until:
            reasons = "; ".join(f"{name!r}: {it.unavailable}" for name, it in catalog.models.items())
            raise StartFailed(f"no model can be served ({reasons or 'there are no releases'})")
        await asyncio.sleep(0.1)
