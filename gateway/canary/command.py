"""`gateway canary`: shows, starts, changes and ends the canary of a program."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click

from engine.errors import SettingsInvalid
from engine.settings import read_settings
from programs.aliases import Aliases, read_aliases
from programs.canary import Canary, CanaryGuards, read_canary, set_canary, stop_canary
from programs.errors import ReleaseError, ReleaseNotFound

OFF = "off"


class Limit(click.ParamType[float | str]):
    """A number of at least 0, or `off`."""

    name = "number|off"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        if value == OFF:
            return OFF
        return float(click.FloatRange(min=0, max=1e9).convert(value, param, ctx))


LIMIT = Limit()


@click.command()
@click.argument("program")
@click.option("--weight", type=click.FloatRange(0, 100, min_open=True), help="Percentage of its requests.")
@click.option("--off", is_flag=True, help="Give all requests back to the champion.")
@click.option("--version", metavar="VERSION", help="The release that answers them. [the candidate]")
@click.option("--max-error-increase", type=LIMIT, help="Share of failed requests over the champion's. [0.02]")
@click.option("--max-unparseable-increase", type=LIMIT, help="The same of unreadable answers. [0.02]")
@click.option("--max-p95-increase", type=LIMIT, help="Share of the champion's 95th percentile. [0.5]")
@click.option("--max-errors", type=LIMIT, help="Share of failed requests, whatever the champion's. [off]")
@click.option("--max-unparseable", type=LIMIT, help="The same of unreadable answers. [off]")
@click.option("--max-p95-seconds", type=LIMIT, help="Most seconds of the 95th percentile. [off]")
@click.option("--min-requests", type=click.IntRange(1, 1_000_000), help="Judge nothing before. [20]")
@click.option(
    "--window", type=click.FloatRange(0, 86_400, min_open=True), help="Seconds that are judged. [600]"
)
@click.option("--releases", type=click.Path(path_type=Path), help="Folder of releases. [./releases]")
@click.option("--config", type=click.Path(path_type=Path), help="Configuration file. [./smallforge.toml]")
def canary(program: str, weight: float | None, off: bool, version: str | None, **flags: Any) -> None:
    """Let another release answer a share of PROGRAM's requests; without options, show what it does now.

    Running gateways follow within a second. A broken guard ends the canary.
    """
    if off and weight is not None:
        raise click.UsageError("--off and --weight can't go together")
    if weight is None and (version is not None or _given(flags)):
        raise click.UsageError("say how much the canary gets: --weight PERCENT")
    try:
        folder = _folder(program, flags)
        if off:
            click.echo(_off(folder))
        elif weight is not None:
            _start(folder, weight, version, _given(flags))
        for line in _told(program, read_canary(folder), read_aliases(folder)):
            click.echo(line)
    except (ReleaseError, SettingsInvalid) as error:
        click.echo(str(error), err=True)
        sys.exit(2)


def _folder(program: str, flags: dict[str, Any]) -> Path:
    releases = flags["releases"]
    settings = read_settings(flags["config"], {} if releases is None else {"releases": str(releases)})
    folder = settings.releases / program
    if program in (".", "..") or Path(program).name != program or not folder.is_dir():
        raise ReleaseNotFound(f"there is no program {program!r} in {str(settings.releases)!r}")
    return folder


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    """The guards that were named."""
    named = {guard.name: flags[guard.name] for guard in fields(CanaryGuards)}
    return {name: None if value == OFF else value for name, value in named.items() if value is not None}


def _start(folder: Path, weight: float, version: str | None, given: dict[str, Any]) -> None:
    """One that runs keeps what is not named anew."""
    now, aliases = read_canary(folder), read_aliases(folder)
    running = now if now is not None and now.weight else None
    version = version or (running.version if running else aliases.candidate)
    if version is None:
        raise ReleaseNotFound(f"{folder.name!r} has no candidate; --version VERSION names another release")
    if version == aliases.champion:
        raise ReleaseNotFound(f"{folder.name}@{version} is the champion; a canary is another release")
    if aliases.champion is None:
        raise ReleaseNotFound(f"{folder.name!r} has no champion that a canary could share requests with")
    goes_on = running is not None and running.version == version
    guards = running.guards if running is not None and goes_on else CanaryGuards()
    set_canary(folder, version, weight, replace(guards, **given))


def _off(folder: Path) -> str:
    stopped = stop_canary(folder)
    return "No canary was running." if stopped is None else f"The canary of {folder.name} is off."


def _told(program: str, now: Canary | None, aliases: Aliases) -> Iterator[str]:
    if now is None:
        yield f"{program} has no canary; the champion answers all requests"
        return
    name = f"{program}@{now.version}"
    if now.version == aliases.champion:
        yield f"{name} is the champion now, and answers all requests"
    elif now.weight:
        yield f"{name} gets {now.weight:g} % of the requests, since {now.started}"
        if now.version != aliases.candidate:
            yield f"another release is the candidate now: {aliases.candidate}"
        yield f"guards: {', '.join(_limits(now.guards))}"
    elif now.rollback is None:
        yield f"{name} gets no requests; it began on {now.started} and was turned off"
    else:
        back = now.rollback
        yield f"{name} gets no requests: rolled back from {back.weight:g} % on {back.at}, {back.guard}"
        yield back.reason


def _limits(guards: CanaryGuards) -> Iterator[str]:
    for guard in fields(guards):
        value = getattr(guards, guard.name)
        yield f"{guard.name.replace('_', ' ')} {OFF if value is None else format(value, 'g')}"
