"""Where the training API and the console listen, who may use them, and which folders requests may name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ConsoleSettings:
    """`compiler serve`. Without a key it is for this machine alone.

    `folders` hold data that requests may name and take releases that they save elsewhere; `programs` hold
    program files, whose code is run. `program` is the one that `/api/dspy` trains and asks.
    """

    host: str = "127.0.0.1"
    port: int = 8090
    admin_key_sha256: str | None = None
    folders: tuple[Path, ...] = (Path("data"),)
    programs: tuple[Path, ...] = ()
    program: str = "passage_qa"
    builds_at_once: int = 1
    max_upload_mb: int = 64
    ray: str | None = None
    """Address of a Ray cluster's head, on which builds run instead of here."""
    ray_key_env: str | None = None
    """Names the variable that holds the cluster's token, where it asks for one; `ray_key` is its value."""
    ray_key: str | None = field(default=None, repr=False)


def _split(value: object) -> object:
    # A variable of the environment can't hold a list.
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


_Folders = Annotated[tuple[Path, ...], BeforeValidator(_split)]


class Console(BaseModel):
    """[console]"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8090
    admin_key_sha256: str | None = None
    folders: _Folders = (Path("data"),)
    programs: _Folders = ()
    program: str = "passage_qa"
    builds_at_once: Annotated[int, Field(ge=1, le=64)] = 1
    max_upload_mb: Annotated[int, Field(ge=1, le=4096)] = 64
    ray: str | None = None
    ray_key_env: str | None = None


def console_mistakes(console: Console) -> Iterator[str]:
    digest, ray = console.admin_key_sha256, console.ray
    if digest is not None and not _DIGEST.fullmatch(digest):
        yield (
            "console.admin_key_sha256 is no SHA-256 (64 hexadecimal digits); `compiler serve --new-key` "
            "makes a key and tells it"
        )
    if ray is not None and (urlsplit(ray).scheme not in ("http", "https") or not urlsplit(ray).hostname):
        yield f"console.ray: {ray!r} is no address; write for example 'http://127.0.0.1:8265'"
