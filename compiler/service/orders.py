"""What a job is asked to do, and the command that does it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pydantic import ConfigDict

from compiler.request import DEFAULT_OPTIMIZER


@dataclass(frozen=True)
class Order:
    """A build as a request asks for it; every path was checked. Models are names of the configuration."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    program: str
    data: Path | None = None
    dev: Path | None = None
    test: Path | None = None
    student: str | None = None
    teacher: str | None = None
    proposer: str | None = None
    optimizer: str = DEFAULT_OPTIMIZER
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    max_usd: float | None = None
    max_calls: int | None = None
    max_minutes: float | None = None
    releases: Path | None = None


def called(program: str) -> str:
    """A program's name, or that of its file."""
    return Path(program).stem if program.endswith(".py") else program


def words_of(order: Order) -> list[str]:
    """`compiler build` with the options of the order; a value can't be taken for an option."""
    return ["compiler", "build", *_options(order), "--", order.program]


def command_of(order: Order) -> str:
    """What a person would type to have the same."""
    return shlex.join(word for word in words_of(order) if word != "--")


def _options(order: Order) -> Iterator[str]:
    if order.optimizer != DEFAULT_OPTIMIZER:
        yield f"--optimizer={order.optimizer}"
    for name in ("data", "dev", "test", "student", "teacher", "proposer", "releases"):
        value = getattr(order, name)
        if value is not None:
            yield f"--{name}={value}"
    for name in ("max_usd", "max_calls", "max_minutes"):
        value = getattr(order, name)
        if value is not None:
            yield f"--{name.replace('_', '-')}={value}"
    if order.seed:
        yield f"--seed={order.seed}"
    for name, value in order.arguments.items():
        yield f"--set={name}={orjson.dumps(value).decode()}"
