"""`compiler serve`: the training API and the console."""

from __future__ import annotations

import importlib.util
from typing import Any

import click

from compiler.errors import UserMistake
from compiler.options import read_flags, with_settings
from compiler.run import require_dspy
from engine.settings import LOOPBACK, Settings

_LIBRARIES = ("fastapi", "jinja2", "matplotlib", "persistqueue", "python_multipart")


@click.command()
@click.option(
    "--host", metavar="ADDRESS", help="Where to listen; beyond this machine only with a key. [127.0.0.1]"
)
@click.option("--port", type=click.IntRange(0, 65535), help="[8090]")
@click.option("--new-key", is_flag=True, help="Make an admin key, tell it and its setting, and end.")
@with_settings
def serve(host: str | None, port: int | None, new_key: bool, **flags: Any) -> None:
    """Serve the training API and the console.

    Builds run as processes of their own and go on when this one ends.
    """
    _require_libraries()
    from compiler.service.door import new_key as make_key

    if new_key:
        key, digest = make_key()
        click.echo(f"The admin key, told this once:\n  {key}\nIn smallforge.toml:\n")
        click.echo(f'  [console]\n  admin_key_sha256 = "{digest}"')
        return
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = read_flags(flags, **({"console": given} if given else {}))
    _refuse_open(settings)
    _refuse_keyless(settings)
    require_dspy()
    import uvicorn

    from compiler.service.app import create_app

    app = create_app(settings, _same_settings(flags))
    console = settings.console
    shown = f"[{console.host}]" if ":" in console.host else console.host
    click.echo(f"Console and training API: http://{shown}:{console.port}", err=True)
    uvicorn.run(app, host=console.host, port=console.port, log_level="warning", timeout_graceful_shutdown=3)


def _refuse_open(settings: Settings) -> None:
    if settings.console.host not in LOOPBACK and settings.console.admin_key_sha256 is None:
        raise UserMistake(
            f"{settings.console.host!r} can be reached from other machines, which needs an admin key: "
            "`compiler serve --new-key` makes one"
        )


def _refuse_keyless(settings: Settings) -> None:
    """Not a mistake of the file, which commands read that need no such key."""
    console = settings.console
    if console.ray_key_env is not None and console.ray_key is None:
        raise UserMistake(
            f"console.ray_key_env: the environment has no variable {console.ray_key_env!r}, nor has .env"
        )


def _same_settings(flags: dict[str, Any]) -> list[str]:
    """By which a build reads the same configuration; an order's own options come later and win."""
    words = []
    for name in ("config", "releases"):
        if flags[name] is not None:
            words.append(f"--{name}={flags[name]}")
    return words


def _require_libraries() -> None:
    for module in _LIBRARIES:
        if importlib.util.find_spec(module) is None:
            raise UserMistake(
                f"the console needs {module!r}, which is not installed: pip install 'smallforge[console]'"
            )
