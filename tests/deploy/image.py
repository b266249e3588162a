"""The Dockerfile and the compose file as data: what they would run, and where its files would lie."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
COMPOSE = ROOT / "deploy" / "compose.yaml"


def instructions() -> Iterator[tuple[str, str]]:
    """Each instruction with what follows it, lines that go on joined."""
    text = re.sub(r"(?m)^#.*\n", "", DOCKERFILE.read_text())
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.partition(" ")
            yield word, " ".join(rest.split())


def of(word: str) -> list[str]:
    return [rest for name, rest in instructions() if name == word]


def command(word: str) -> list[str]:
    """The last command of this kind, written as a list."""
    rest = of(word)[-1]
    found: list[str] = json.loads(rest[rest.index("[") :])
    return found


def environment() -> dict[str, str]:
    """The variables of the image that is left in the end."""
    return dict(pair.partition("=")[::2] for pair in shlex.split(of("ENV")[-1]))


def copied() -> Iterator[tuple[list[str], str]]:
    """What is copied out of the repository, and where to."""
    for rest in of("COPY"):
        words = rest.split()
        if not words[0].startswith("--from"):
            yield words[:-1], words[-1]


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found
