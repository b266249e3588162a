"""`compiler models`: which teachers and students can be had."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from compiler.models import USUAL_PORTS, Hosted, Served, Suggestions, Survey, survey
from compiler.options import console, read_flags, with_settings
from engine.prices import Price

_STATES = {True: "loaded", False: "not loaded", None: "listed"}


@click.command()
@click.option("--probe", is_flag=True, help="Ask the usual ports of this machine too, such as LM Studio's.")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
@with_settings
def models(probe: bool, as_json: bool, **flags: Any) -> None:
    """List the models that can be students or teachers.

    Those of configured servers and of the local engine are asked for; hosted services are not.
    """
    found = asyncio.run(survey(read_flags(flags), USUAL_PORTS if probe else {}))
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
        return
    out = console()
    _show_served(out, found, probe)
    for silent in found.silent:
        click.echo(f"{silent.engine}: {silent.reason}")
    _show_hosted(found)
    _show_suggestions(out, found.suggested)


def _show_served(out: Console, found: Survey, probe: bool) -> None:
    if not found.served:
        hint = "" if probe else "; --probe looks for servers on this machine"
        click.echo(f"No server with models answers{hint}. `engine serve` starts one.")
        return
    table = _table("engine", "model", "context", "state", "price", "address")
    for model in found.served:
        table.add_row(
            model.engine,
            model.model,
            _tokens(model.context_tokens),
            _state(model),
            _price(model.price),
            model.url,
        )
    out.print(table)


def _show_hosted(found: Survey) -> None:
    click.echo("\nHosted, not asked:")
    for hosted in found.hosted:
        price = f", {_price(hosted.price)}" if hosted.price else ""
        click.echo(f"  {hosted.name}: {_key(hosted)}{price}")
    if not found.hosted:
        click.echo("  none: no key of a hosted service is in the environment or .env")


def _show_suggestions(out: Console, suggested: Suggestions) -> None:
    click.echo(f"\nTeachers worth trying, as of {suggested.date} (USD per million tokens):")
    table = _table("tier", "model", "context", "price", "sources")
    for teacher in suggested.teachers:
        sources = [teacher.context_source, teacher.price.source if teacher.price else ""]
        table.add_row(
            teacher.tier,
            teacher.name,
            _tokens(teacher.context_tokens),
            _price(teacher.price),
            ", ".join(filter(None, sources)),
        )
    out.print(table)
    click.echo("\nStudents worth trying, on hardware of your own:")
    table = _table("size", "model", "context", "source")
    for student in suggested.students:
        table.add_row(
            student.parameters, student.name, _tokens(student.context_tokens), student.context_source
        )
    out.print(table)


def _key(hosted: Hosted) -> str:
    if hosted.key is None:
        return "its key is for LiteLLM to find"
    return "key set" if hosted.key else f"no key; set {' or '.join(hosted.variables)}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        right = column in ("context", "size")
        table.add_column(column, justify="right" if right else "left", no_wrap=column == "model")
    return table


def _state(model: Served) -> str:
    return _STATES[model.loaded]


def _tokens(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"


def _price(price: Price | None) -> str:
    if price is None:
        return "unknown"
    if price.usd_per_hour is not None:
        return f"{price.usd_per_hour:g} an hour"
    return f"{price.usd_per_million_input:g} in, {price.usd_per_million_output:g} out"
