"""The environments a local engine can run in: what each needs of the machine and what is installed into it.

Says what to install; `installation` does it.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

RecipeName = Literal["cpu", "gpu", "transformers"]
Backend = Literal["vllm", "transformers"]


@dataclass(frozen=True)
class Recipe:
    """One environment. `torch` stands apart from the hash-locked list: its builds differ by machine."""

    name: RecipeName
    backend: Backend
    title: str
    torch: str
    requirements: str
    proof: str
    machines: tuple[tuple[str, str], ...] = ()

    def unsupported(self) -> str | None:
        """Why this machine can't have it, as the end of a sentence; None if it can."""
        here = (platform.system(), platform.machine())
        if self.machines and here not in self.machines:
            return f"there is no build of it for {here[0]} on {here[1]}"
        if sys.version_info >= (3, 15):
            return f"there is no build of it for Python {sys.version_info.major}.{sys.version_info.minor}"
        return None

    def lock(self) -> Path:
        """The hash-locked requirement file: inside an installed package, or beside it in a checkout."""
        package = Path(__file__).parent
        places = (package / "requirements", package.parent / "requirements")
        return next(place / self.requirements for place in places if (place / self.requirements).exists())


_SERVER_IMPORTS = "import vllm.entrypoints.openai.api_server"

RECIPES: Mapping[RecipeName, Recipe] = {
    "cpu": Recipe(
        name="cpu",
        backend="vllm",
        title="vLLM for the CPU",
        torch="torch==2.13.0",
        requirements="engine-cpu.txt",
        proof=_SERVER_IMPORTS,
        machines=(("Linux", "x86_64"), ("Linux", "aarch64")),
    ),
    "gpu": Recipe(
        name="gpu",
        backend="vllm",
        title="vLLM for NVIDIA GPUs",
        torch="torch==2.13.0",
        requirements="engine-gpu.txt",
        proof=_SERVER_IMPORTS,
        machines=(("Linux", "x86_64"),),
    ),
    "transformers": Recipe(
        name="transformers",
        backend="transformers",
        title="transformers",
        torch="torch>=2.9",
        requirements="engine-transformers.txt",
        proof="import accelerate, fastapi, transformers, transformers.cli.serve",
    ),
}
