"""`gateway serve`: reads the configuration once, then runs the app until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from engine.errors import EngineError, SettingsInvalid
from engine.settings import LOOPBACK, GatewaySettings, Settings, read_settings
from gateway.access.command import keys
from gateway.canary.command import canary
from gateway.logs import set_up_logs

if TYPE_CHECKING:
    from fastapi import FastAPI

    from gateway.shared import Shared

_SHARED = "PROMETHEUS_MULTIPROC_DIR"
_log = logging.getLogger(__name__)


@click.group()
def main() -> None:
    """Serve compiled programs as OpenAI-compatible models."""


main.add_command(canary)
main.add_command(keys)


@main.command()
@click.option("--host", help="Address to listen on; only this machine can reach the default. [127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on. [8080]")
@click.option("--metrics-port", type=click.IntRange(0, 65535), help="Port of /metrics. [9091]")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that serve, one per core. [1]")
@click.option("--releases", type=click.Path(path_type=Path), help="Folder of releases. [./releases]")
@click.option("--tables", type=click.Path(path_type=Path), help="Folder of the tables of scripture.")
@click.option("--student", metavar="URL", help="OpenAI-compatible server that runs the student.")
@click.option(
    "--student-check",
    type=click.Choice(["strict", "warn"]),
    help="Refuse a student with another chat template, or only warn. [strict]",
)
@click.option(
    "--expose",
    metavar="MODEL",
    multiple=True,
    help="A model of an engine that clients may ask as it is; may be given several times.",
)
@click.option(
    "--allow-origin",
    metavar="ORIGIN",
    multiple=True,
    help="Origin of pages that may read answers, as 'http://localhost:3000'; may be given several times.",
)
@click.option("--open", is_flag=True, default=None, help="Serve whoever comes, though there are no keys.")
@click.option("--strict/--lenient", default=None, help="Refuse requests with parts that would be ignored.")
@click.option(
    "--trace/--no-trace",
    default=None,
    help="Let clients that trace a request see its prompts and raw replies.",
)
@click.option(
    "--constrain/--free",
    default=None,
    help="Hold students on vLLM to their programs' format while they write.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    help="Lines for people, or one JSON object each. [text]",
)
@click.option("--access-log/--no-access-log", default=None, help="Log a line for each request.")
@click.option("--config", type=click.Path(path_type=Path), help="Configuration file. [./smallforge.toml]")
def serve(config: Path | None, **flags: Any) -> None:
    """Serve every release in a folder, following what `compiler` writes and promotes."""
    try:
        settings = read_settings(config, _overrides(flags))
    except SettingsInvalid as error:
        _fail(str(error), 2)
    sys.exit(_run(settings))


def _overrides(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Flags under the names of the configuration file; unset flags override nothing."""
    own = (
        "host",
        "port",
        "metrics_port",
        "workers",
        "open",
        "strict",
        "trace",
        "constrain",
        "log_format",
        "access_log",
    )
    gateway = {name: flags[name] for name in own if flags[name] is not None}
    if flags["allow_origin"]:
        gateway["allow_origins"] = list(flags["allow_origin"])
    names = ("releases", "tables", "student", "student_check")
    top = {name: flags[name] for name in names if flags[name] is not None}
    if flags["expose"]:
        top["expose"] = list(flags["expose"])
    return {**top, "gateway": gateway} if gateway else top


def _run(settings: Settings) -> int:
    set_up_logs(settings.gateway.log_format, settings.gateway.log_level)
    own = _SHARED not in os.environ
    shared = Path(tempfile.mkdtemp(prefix="smallforge-metrics-") if own else os.environ[_SHARED])
    # prometheus-client decides for its multiprocess mode by this variable when it is first imported.
    os.environ[_SHARED] = str(shared)
    try:
        return _serve(settings, shared)
    finally:
        if own:
            shutil.rmtree(shared, ignore_errors=True)


def _serve(settings: Settings, folder: Path) -> int:
    from gateway.errors import StartFailed
    from gateway.server import bind_for
    from gateway.shared import Shared

    gateway, asks_for_keys = settings.gateway, _asks_for_keys(settings)
    try:
        listeners = bind_for(gateway.workers, gateway.host, gateway.port)
    except OSError as error:
        _fail(
            f"Can't listen on {gateway.host}:{gateway.port}: {error.strerror}; --port names another port.", 2
        )
    greet = partial(_greet, settings, listeners[0], asks_for_keys)
    shared = Shared(folder, workers=gateway.workers)
    if gateway.workers == 1:
        return _work(settings, listeners, shared, greet)
    from gateway.workers import Foreman

    import_module("gateway.app")  # before they part, so that the workers share its memory
    try:
        work = partial(_work, settings, listeners)
        return Foreman(work, shared).run(gateway.metrics_host, gateway.metrics_port, greet)
    except StartFailed as error:
        _fail(str(error), 2)


def _asks_for_keys(settings: Settings) -> bool:
    """Whether requests need a key; ends the command where they don't, and others could send some."""
    from gateway.access.opening import has_keys
    from gateway.errors import StartFailed

    gateway = settings.gateway
    try:
        asks = asyncio.run(has_keys(gateway))
    except StartFailed as error:
        _fail(str(error), 2)
    if not asks and not gateway.open and gateway.host not in LOOPBACK:
        _fail(
            f"Others can reach {gateway.host}, and this gateway has no keys: `gateway keys create NAME` "
            "makes one; --open serves whoever comes, without.",
            2,
        )
    return asks


def _work(
    settings: Settings, listeners: Sequence[socket.socket], shared: Shared, say: Callable[[str], None]
) -> int:
    """Serves on the socket of this worker's place; once it does, the names of the models are said."""
    import uvloop

    from gateway.app import create_app
    from gateway.errors import StartFailed
    from gateway.server import serve

    if shared.place:
        # What the first worker has the engine read, it has read for all; one port is for one process.
        settings = replace(settings, gateway=replace(settings.gateway, warm=False, admin_port=0))
    try:
        progress = _speaker(settings, to_people=partial(click.echo, err=True))
        app = create_app(settings, shared=shared, progress=progress)
        uvloop.run(serve(app, listeners[shared.place], started=partial(_settle, app, say)))
    except StartFailed as error:
        _fail(str(error), 2)
    except EngineError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return 130
    except asyncio.CancelledError:
        return 143  # SIGTERM while the engine was still coming up
    return 0


def _settle(app: FastAPI, say: Callable[[str], None]) -> None:
    """What is here now stays: the collector need not look at it again and again, nor so often at the rest."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    say(_served(app))


def _served(app: FastAPI) -> str:
    return ", ".join(sorted({*app.state.catalog.models, *app.state.exposed.names}))


def _greet(settings: Settings, listener: socket.socket, asks_for_keys: bool, models: str) -> None:
    gateway, port, say = settings.gateway, listener.getsockname()[1], _speaker(settings, click.echo)
    say(f"Smallforge gateway: http://{gateway.host}:{port}/v1")
    say(f"Models: {models.strip() or f'none yet in {str(settings.releases)!r}; it is watched'}")
    say(f"Keys: {_keys_told(gateway, asks_for_keys)}")
    if gateway.metrics_port:
        say(f"Metrics: http://{gateway.metrics_host}:{gateway.metrics_port}/metrics")


def _keys_told(gateway: GatewaySettings, asks_for_keys: bool) -> str:
    if asks_for_keys:
        return "asked for"
    if gateway.host in LOOPBACK:
        return "none, so only this machine is answered; `gateway keys create NAME` makes one"
    return f"none; whoever can reach {gateway.host} can use this gateway"


def _speaker(settings: Settings, to_people: Callable[[str], None]) -> Callable[[str], None]:
    """Where the command's own sentences go: to its terminal, or among the objects that a machine reads."""
    return _log.info if settings.gateway.log_format == "json" else to_people


def _fail(sentence: str, code: int) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(code)
