"""`compiler runs`, `log`, `pull`: builds and releases that MLflow keeps."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.table import Table

from compiler.options import console, read_flags, with_mlflow, with_settings
from compiler.releases import find_release
from compiler.tracking.afterwards import log_release
from compiler.tracking.mlflow_store import OFF, Store, TrackingUnavailable, address_of, open_store
from compiler.tracking.pull import parse_address, pull_release
from compiler.tracking.registry import is_tracked, mirror_aliases
from compiler.tracking.runs import Comparison, compare, list_runs, run_cells
from engine.settings import Settings
from programs.aliases import move_alias


@click.command()
@click.argument("program", required=False)
@click.option("--filter", "wanted", default="", metavar="TEXT", help="As in 'metrics.test_score > 0.8'.")
@click.option("--compare", "pair", nargs=2, metavar="A B", help="Two runs, builds or releases.")
@click.option("--json", "as_json", is_flag=True, help="All that is known of them, as JSON.")
@with_mlflow
@with_settings
def runs(program: str | None, wanted: str, pair: tuple[str, str] | None, as_json: bool, **flags: Any) -> None:
    """List tracked builds with their scores, or compare two of them."""
    settings = read_flags(flags)
    store = _open(settings, flags, reading=True)
    found = list_runs(store, program, wanted)
    comparison = compare(found, *pair) if pair else None
    if as_json:
        content = comparison.as_dict() if comparison else [run.as_dict() for run in found]
        click.echo(json.dumps(content, indent=2))
    elif comparison:
        _show(comparison)
    elif not found:
        click.echo("no runs; `compiler build PROGRAM` makes one")
    else:
        table = Table(box=None, pad_edge=False)
        for name in ("run", "optimizer", "score", "interval", "gain", "release", "cost", "status"):
            # What somebody copies stays whole.
            table.add_column(name, no_wrap=name in ("run", "release"), overflow="fold")
        for run in found:
            table.add_row(*run_cells(run))
        console().print(table)


@click.command()
@click.argument("name", metavar="NAME[@VERSION]")
@with_mlflow
@with_settings
def log(name: str, **flags: Any) -> None:
    """Log a release's builds in MLflow that are not there yet.

    Everything comes from the evidence beside the release; what is logged already stays as it is.
    """
    settings = read_flags(flags)
    home = find_release(settings.releases, name)
    for line in log_release(_open(settings, flags), home):
        click.echo(line)


@click.command()
@click.argument("model", metavar="models:/NAME@ALIAS|models:/NAME/NUMBER")
@click.option("--champion", is_flag=True, help="Make it the champion here.")
@with_mlflow
@with_settings
def pull(model: str, champion: bool, **flags: Any) -> None:
    """Fetch a registered release from MLflow into the folder of releases."""
    settings = read_flags(flags)
    wanted = parse_address(model)
    release, known = pull_release(_open(settings, flags, reading=True), wanted, settings.releases)
    click.echo(f"{release.name} is {'here already' if known else 'fetched'}, and all its digests hold")
    if champion:
        move_alias(release.path.parent, "champion", release.identity.version, f"pulled from {model}")
        click.echo(f"{release.name} is the champion now")


def mirror(settings: Settings, flags: dict[str, Any], program: str) -> None:
    """Moves the aliases in MLflow too, where builds are tracked; only warns if that fails."""

    def warn(line: str) -> None:
        click.echo(line, err=True)

    mirror_aliases(_uri(settings, flags), settings.state, settings.releases / program, warn)


def _uri(settings: Settings, flags: dict[str, Any]) -> str | None:
    return flags["mlflow_uri"] or settings.compiler.mlflow_uri


def _open(settings: Settings, flags: dict[str, Any], *, reading: bool = False) -> Store:
    """The store of the settings; one that is only read from is not made."""
    uri = _uri(settings, flags)
    if uri == OFF:
        raise TrackingUnavailable("tracking is off: give --mlflow-uri")
    address = address_of(uri, settings.state)
    if reading and not is_tracked(address):
        raise TrackingUnavailable(
            f"nothing is tracked in {str(settings.state)!r} yet: `compiler build` does that, "
            "or give --mlflow-uri"
        )
    return open_store(address)


def _show(comparison: Comparison) -> None:
    table = Table("", comparison.first.name, comparison.second.name, box=None, pad_edge=False)
    for name, texts in comparison.parameters.items():
        table.add_row(name, *(text or "" for text in texts))
    for name, values in comparison.metrics.items():
        table.add_row(name, *("" if value is None else f"{value:.4g}" for value in values))
    console().print(table)
