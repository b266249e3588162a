"""`compiler download`: a student model from the Hugging Face hub, ahead of time."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from compiler.errors import UserMistake
from compiler.options import complain
from compiler.run import INTERRUPTED
from engine.hub_cache import MAIN, cache_folder
from engine.settings import read_settings


@click.command()
@click.argument("model")
@click.option("--revision", metavar="REV", default=MAIN, show_default=True, help="Branch, tag or commit.")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="A plain directory instead of the cache that engines look in.",
)
@click.pass_context
def download(context: click.Context, model: str, revision: str, folder: Path | None) -> None:
    """Fetch MODEL from the Hugging Face hub, for `engine serve` to find without the network.

    Of its files those that an engine reads: safetensors, configuration and tokenizer, no pickles. The same
    command goes on where it was interrupted.
    """
    try:
        from compiler.download import download as fetch
        from compiler.hub import Hub
        from compiler.model_choice import Wanted
        from compiler.model_places import HubCache, PlainDirectory, free_bytes
    except ModuleNotFoundError as error:
        raise UserMistake(
            f"downloading needs {error.name!r}, which is not installed: pip install 'smallforge[compiler]'"
        ) from error
    place = HubCache(cache_folder(), model) if folder is None else PlainDirectory(folder)
    hub = Hub(token=read_settings().keys.get("huggingface"))
    try:
        fetch(hub, place, Wanted(model, revision), complain, free_bytes(place.folder))
    except KeyboardInterrupt:
        complain("Stopped. What was fetched is kept, and the same command goes on with it.")
        context.exit(INTERRUPTED)
    click.echo(f"Now: engine serve {_served_as(model, revision, folder)}")


def _served_as(model: str, revision: str, folder: Path | None) -> str:
    """What `engine serve` is told to find the model there."""
    if folder is not None:
        return shlex.quote(str(folder))
    return model if revision == MAIN else f"{model} --revision {shlex.quote(revision)}"
