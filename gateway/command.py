"""`gateway serve`: reads the configuration once, then runs the app until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from engine.errors import SettingsInvalid
from engine.settings import LOOPBACK, GatewaySettings, Settings, read_settings
from gateway.access.command import keys
from gateway.canary.command import canary
from gateway.logs import set_up_logs

if TYPE_CHECKING:
    from gateway.terminal import Terminal

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
    read = partial(read_settings, config, _overrides(flags))
    try:
        settings = read()
    except SettingsInvalid as error:
        _fail(str(error), 2)
    sys.exit(_run(settings, read))


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


def _run(settings: Settings, read: Callable[[], Settings]) -> int:
    set_up_logs(settings.gateway.log_format, settings.gateway.log_level)
    own = _SHARED not in os.environ
    shared = Path(tempfile.mkdtemp(prefix="smallforge-metrics-") if own else os.environ[_SHARED])
    # prometheus-client decides for its multiprocess mode by this variable when it is first imported.
    os.environ[_SHARED] = str(shared)
    try:
        return _serve(settings, read, shared)
    finally:
        if own:
            shutil.rmtree(shared, ignore_errors=True)


def _serve(settings: Settings, read: Callable[[], Settings], folder: Path) -> int:
    from gateway.access.opening import check_openness
    from gateway.errors import StartFailed
    from gateway.job import GatewayJob
    from gateway.post import Post
    from gateway.shared import Shared
    from gateway.terminal import Terminal

    gateway = settings.gateway
    try:
        asks_for_keys = asyncio.run(check_openness(gateway))
        listeners = _listeners(gateway)
        job = GatewayJob(settings, read, _speaker(settings, to_people=partial(click.echo, err=True)))
        terminal = Terminal(partial(_greet, settings, listeners[0], asks_for_keys))
        shared = Shared(folder, workers=gateway.workers)
        if gateway.workers == 1:
            signal.signal(signal.SIGHUP, partial(_hang_up, terminal))
            return job.work(Post(shared, listeners[0], terminal))
        from gateway.workers import Foreman

        shared = replace(shared, admins=_admins_port(gateway))
        return Foreman(job, listeners, shared, terminal).run(gateway.metrics_host, gateway.metrics_port)
    except StartFailed as error:
        _fail(str(error), 2)


def _listeners(gateway: GatewaySettings) -> list[socket.socket]:
    from gateway.errors import StartFailed
    from gateway.server import bind_for

    host, port = gateway.host, gateway.port
    try:
        return bind_for(gateway.workers, host, port)
    except OSError as error:
        raise StartFailed(
            f"Can't listen on {host}:{port}: {error.strerror}; --port names another port."
        ) from error


def _admins_port(gateway: GatewaySettings) -> socket.socket | None:
    if not gateway.admin_port:
        return None
    from gateway.access.admin import bind_admins

    return bind_admins(gateway)


def _hang_up(terminal: Terminal, number: int, frame: FrameType | None) -> None:
    if terminal.closed:
        signal.raise_signal(signal.SIGTERM)
    else:
        _log.warning("SIGHUP replaces workers only where there are several; this one goes on as it is")


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
