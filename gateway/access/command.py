"""`gateway keys`: makes, lists, rotates and revokes the keys of a gateway, running or not."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import orjson

from engine.errors import SettingsInvalid
from engine.settings import read_settings

if TYPE_CHECKING:
    from gateway.access.key import Issued, Key
    from gateway.access.keyring import Keyring

T = TypeVar("T")
_CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), help="Configuration file. [./smallforge.toml]"
)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
_COUNT = click.IntRange(min=1)
_USD = click.FloatRange(min=0, min_open=True)


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke API keys. Running gateways follow within five seconds."""


@keys.command()
@click.argument("name")
@click.option(
    "--model",
    "models",
    metavar="NAME",
    multiple=True,
    help="A model it may ask, or a pattern such as 'gsm8k*'; may be given several times. [all]",
)
@click.option("--expires", metavar="WHEN", help="'90d', '12h' or a date; it does not by itself.")
@click.option("--rpm", type=_COUNT, help="Requests a minute.")
@click.option("--tpm", type=_COUNT, help="Tokens a minute, of prompts and answers together.")
@click.option("--concurrency", type=_COUNT, help="Requests at the same time.")
@click.option("--usd-per-day", type=_USD, help="What its requests may cost in a day, of UTC.")
@click.option("--usd-per-month", type=_USD, help="What its requests may cost in a month.")
@click.option("--traffic", is_flag=True, help="Its holder agrees that requests and answers are kept.")
@click.option("--admin", is_flag=True, help="An admin's, which makes and revokes keys and asks no models.")
@_JSON
@_CONFIG
def create(name: str, as_json: bool, config: Path | None, admin: bool, **flags: Any) -> None:
    """Make a key and show it, this once."""
    said = {flag: value for flag, value in flags.items() if value not in (None, ())}
    said |= {"name": name, "kind": "admin" if admin else "client"}

    with _told():
        from gateway.access.key import wanted_from

        wanted = wanted_from(said)

    async def make(keyring: Keyring) -> tuple[Issued, bool]:
        first = not await keyring.all()
        return await keyring.create(wanted), first

    issued, first = _with_keyring(config, make, makes=True)
    _show_issued(issued, as_json, f"The key {name!r} was made. It is shown only now:")
    if first:
        click.echo(
            "Gateways that run already without keys ask for them once they are started again.", err=True
        )


@keys.command("list")
@click.option("--all", "every", is_flag=True, help="Revoked and expired ones too.")
@_JSON
@_CONFIG
def list_keys(every: bool, as_json: bool, config: Path | None) -> None:
    """Show the keys, never their secrets."""
    now = time.time()
    found = _with_keyring(config, lambda keyring: keyring.all())
    shown = [key for key in found if every or key.state(now) == "active"]
    if as_json:
        _echo_json({"keys": [key.as_dict(now) for key in shown]})
    elif not shown:
        click.echo("No key can be used; `gateway keys create NAME` makes one.")
    for line in [] if as_json else _table(shown, now):
        click.echo(line)


@keys.command()
@click.argument("key")
@_JSON
@_CONFIG
def revoke(key: str, as_json: bool, config: Path | None) -> None:
    """Take a key, by its name or id, out of use for good."""
    revoked = _with_keyring(config, lambda keyring: keyring.revoke(key))
    if as_json:
        _echo_json(revoked.as_dict(time.time()))
    else:
        click.echo(f"The key {revoked.wanted.name!r} ({revoked.id}) is refused everywhere within 5 seconds.")


@keys.command()
@click.argument("key")
@click.option(
    "--grace", default="24h", show_default=True, help="How long the former secret holds; '0s' ends it."
)
@_JSON
@_CONFIG
def rotate(key: str, grace: str, as_json: bool, config: Path | None) -> None:
    """Give a key, by its name or id, a new secret and show it, this once."""

    async def turn(keyring: Keyring) -> Issued:
        from gateway.access.durations import seconds_of

        return await keyring.rotate(key, seconds_of(grace))

    issued = _with_keyring(config, turn)
    told = f"The key {issued.key.wanted.name!r} has a new secret; the former one holds for {grace} more."
    _show_issued(issued, as_json, f"{told} It is shown only now:")


def _with_keyring(config: Path | None, work: Callable[[Keyring], Awaitable[T]], *, makes: bool = False) -> T:
    """What the work gives."""
    from gateway.access.opening import open_keyring
    from gateway.errors import StartFailed
    from gateway.stores.opening import Stores

    async def run() -> T:
        gateway = read_settings(config).gateway
        stores = Stores(gateway.database)
        if not makes and not stores.exists():
            raise StartFailed("There are no keys; `gateway keys create NAME` makes the first.")
        try:
            keyring = open_keyring(gateway, stores)
            await keyring.open(to_make_keys=makes)
            return await work(keyring)
        finally:
            await stores.close()

    with _told():
        return asyncio.run(run())


@contextmanager
def _told() -> Iterator[None]:
    """What can't be done is one sentence and exit code 2."""
    from gateway.errors import GatewayError, StartFailed

    try:
        yield
    except (SettingsInvalid, StartFailed, GatewayError) as error:
        click.echo(str(error), err=True)
        sys.exit(2)


def _show_issued(issued: Issued, as_json: bool, told: str) -> None:
    if as_json:
        _echo_json({**issued.key.as_dict(time.time()), "key": issued.token})
        return
    click.echo(f"{told}\n\n  {issued.token}\n")
    for word, value in _about(issued.key):
        click.echo(f"  {word:<8} {value}")


def _about(key: Key) -> list[tuple[str, str]]:
    told = key.as_dict(time.time())
    about = [("id", key.id)]
    if key.wanted.kind == "client":
        about += [("models", _models(key)), ("limits", _limits(told) or "none")]
        about.append(("traffic", "may be kept" if key.wanted.traffic else "is not kept"))
    else:
        about.append(("kind", "admin: makes and revokes keys, asks no models"))
    return [*about, ("expires", told["expires"] or "never")]


def _table(found: Sequence[Key], now: float) -> list[str]:
    if not found:
        return []
    head = ("ID", "NAME", "KIND", "STATE", "MODELS", "LIMITS", "EXPIRES")
    rows = [head]
    for key in found:
        told = key.as_dict(now)
        kind, state, expires = key.wanted.kind, key.state(now), told["expires"] or "never"
        rows.append((key.id, key.wanted.name, kind, state, _models(key), _limits(told) or "none", expires))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _models(key: Key) -> str:
    return "all" if key.wanted.models == ("*",) else ", ".join(key.wanted.models)


def _limits(told: dict[str, Any]) -> str:
    names = ("rpm", "tpm", "concurrency", "usd_per_day", "usd_per_month")
    return ", ".join(f"{name} {told[name]:g}" for name in names if told[name] is not None)


def _echo_json(content: dict[str, Any]) -> None:
    click.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
