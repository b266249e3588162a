"""What a build is asked to do, and the models it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from engine.settings import EngineSettings
from programs.execution import Model
from programs.program import Program

DEFAULT_OPTIMIZER = "BootstrapFewShotWithRandomSearch"


@dataclass(frozen=True)
class DataPaths:
    """JSONL files of the user's own; what is None comes from the program, or is cut from `train`."""

    train: Path | None = None
    dev: Path | None = None
    test: Path | None = None


@dataclass(frozen=True)
class BuildRequest:
    """One build. `arguments` go to the optimiser by name; `build_id` of an interrupted build resumes it."""

    program: Program
    data: DataPaths = field(default_factory=DataPaths)
    optimizer: str = DEFAULT_OPTIMIZER
    arguments: Mapping[str, object] = field(default_factory=dict)
    seed: int = 0
    concurrency: int = 16
    max_usd: float | None = None
    target: float | None = None
    """Test score below which the build ends with TargetMissed."""
    required_gain: float | None = None
    """Gain on the test examples below which the build ends with TargetMissed."""
    releases: Path = Path("releases")
    state: Path = Path(".smallforge")
    build_id: str | None = None


class Identified(Protocol):
    """What says which model this is: `engine.fingerprint.Fingerprint`."""

    def as_dict(self) -> dict[str, Any]: ...


class BoundModel(Protocol):
    """A model and what is known of it; `engine.local.Student` is one."""

    @property
    def client(self) -> Model: ...
    @property
    def fingerprint(self) -> Identified: ...
    @property
    def engine(self) -> EngineSettings: ...
    @property
    def name(self) -> str: ...
    @property
    def context_tokens(self) -> int | None: ...
