"""The terminal at which a gateway was started: it is told how the gateway goes, and it may close."""

from __future__ import annotations

import os
from collections.abc import Callable

import click


class Terminal:
    """`greet` is given the names of the models once they are served."""

    def __init__(self, greet: Callable[[str], None]) -> None:
        self._greet = greet
        self._was_there = os.isatty(0)

    @property
    def closed(self) -> bool:
        """SIGHUP says so too. A gateway that never had a terminal is still there when all have closed."""
        return self._was_there and not os.isatty(0)

    def serves(self, models: str) -> None:
        self._greet(models)

    def fails(self, sentence: str) -> None:
        click.echo(sentence, err=True)

    def leaves(self) -> None:
        """Nothing to tell; who ended it knows."""
