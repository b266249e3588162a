"""The command `engine`: install what runs models, start a model, see what is up, stop it.

Reads arguments and prints; what it does is in the modules it calls.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from itertools import pairwise
from pathlib import Path

import click

from engine.errors import EngineError, EngineNotFound
from engine.home import EngineHome, default_home
from engine.hub_cache import MAIN, cache_folder
from engine.installation import Target, install, installed
from engine.launch import Address
from engine.model_files import find_model
from engine.recipes import RECIPES
from engine.running import RunningEngine, announce, running_engines, stop
from engine.serving import BackendChoice, Serve, serving


def main() -> None:
    """Run the command; an expected error is one sentence and an exit code, never a traceback."""
    try:
        cli()
    except EngineError as exc:
        click.echo(f"engine: {exc}", err=True)
        sys.exit(exc.exit_code)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="SMALLFORGE_HOME",
    help="Where engines are installed and leave their notes. Default: your data directory.",
)
@click.pass_context
def cli(context: click.Context, home: Path | None) -> None:
    """Run models on this machine, as servers that speak OpenAI's protocol."""
    context.obj = EngineHome(home) if home is not None else default_home()


@cli.command("install")
@click.option("--cpu", "target", flag_value="cpu", help="vLLM for the CPU, even where a GPU is found.")
@click.option("--gpu", "target", flag_value="gpu", help="vLLM for NVIDIA GPUs, or an error.")
@click.option(
    "--torch-index-url",
    envvar="TORCH_INDEX_URL",
    help="A further package index for PyTorch: one with CPU builds, where the usual one has none.",
)
@click.pass_obj
def install_command(home: EngineHome, target: Target | None, torch_index_url: str | None) -> None:
    """Install a local engine: vLLM where it can be had, else transformers. Repeat it to mend one."""
    install(home, target or "auto", torch_index_url, click.echo)


@cli.command("serve", context_settings={"ignore_unknown_options": True})
@click.argument("model", required=False)
@click.argument("extra", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--backend",
    type=click.Choice(["auto", "vllm", "transformers"]),
    default="auto",
    show_default=True,
    help="What runs the model; auto: vLLM where it is installed.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8100, show_default=True, help="0: any free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.pass_obj
def serve_command(
    home: EngineHome, model: str | None, extra: tuple[str, ...], backend: BackendChoice, port: int, host: str
) -> None:
    """Serve MODEL, a directory or a Hugging Face name, until Ctrl-C; without it, the bundled student.

    A name that was fetched before is served without the network. What follows the model goes to the engine's
    own command line, for example `engine serve Qwen/Qwen3-1.7B --max-model-len 8192`.
    """
    files = find_model(model, cache_folder(), _option(extra, "--revision") or MAIN)
    limit = _option(extra, "--max-model-len") or ""
    files = files.within(int(limit) if limit.isdecimal() else None)
    asyncio.run(_serve(home, Serve(files, backend, Address(host, port), extra)))


@cli.command("status")
@click.pass_obj
def status_command(home: EngineHome) -> None:
    """Show which engines are installed and which are up."""
    for recipe in RECIPES.values():
        if installed(home, recipe):
            click.echo(f"installed  {recipe.title}: {home.environment(recipe.name)}")
    engines = running_engines(home)
    for engine in engines:
        click.echo(f"up         {describe(engine)}")
    if not engines:
        click.echo("No engine is up. Start one with: engine serve")


@cli.command("stop")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Only the engine on this port. Default: all of them."
)
@click.pass_obj
def stop_command(home: EngineHome, port: int | None) -> None:
    """Stop the engines that are up, and wait until they are gone."""
    engines = [e for e in running_engines(home) if port is None or e.url.endswith(f":{port}")]
    if port is not None and not engines:
        raise EngineNotFound(f"No engine of yours is up on port {port}. See them with: engine status")
    for engine in engines:
        how = "Stopped" if stop(engine) else "Stopped by force"
        click.echo(f"{how}: {describe(engine)}")
    if not engines:
        click.echo("No engine is up.")


def _option(words: tuple[str, ...], name: str) -> str | None:
    """The value of an option among words for the engine's own command line."""
    found = [word.partition("=")[2] for word in words if word.startswith(f"{name}=")]
    found += [value for word, value in pairwise(words) if word == name]
    return found[-1] if found else None


def describe(engine: RunningEngine) -> str:
    """One line about an engine that is up."""
    weights = f", weights {engine.weights[:12]}" if engine.weights else ""
    return f"{engine.model} on {engine.url} ({engine.backend}, pid {engine.pid}{weights})"


async def _serve(home: EngineHome, serve: Serve) -> None:
    """Serve until told to stop. Both signals end the block in order, also while the engine is starting."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        async with serving(home, serve, click.echo) as served:
            note = announce(home, served.running)
            try:
                click.echo("Press Ctrl-C to stop.")
                raise await served.ended()
            finally:
                note.unlink(missing_ok=True)
    except asyncio.CancelledError:
        click.echo("Stopped.")
