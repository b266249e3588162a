"""What a build is asked to do, and the models it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from compiler.events import Role
from compiler.spending import NO_CEILING, Ceiling
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
    """One build. `arguments` go to the optimiser by name; `build_id` of one that was begun resumes it."""

    program: Program
    data: DataPaths = field(default_factory=DataPaths)
    optimizer: str = DEFAULT_OPTIMIZER
    arguments: Mapping[str, object] = field(default_factory=dict)
    seed: int = 0
    concurrency: int = 16
    ceiling: Ceiling = NO_CEILING
    target: float | None = None
    """Dev score that ends the search early; a test score below it ends the build with TargetMissed."""
    required_gain: float | None = None
    """Gain on the test examples below which the build ends with TargetMissed."""
    token_price_weight: float = 0.0
    """What 1,000 tokens of a candidate's prompt take from its dev score when candidates are compared."""
    keep_aliases: bool = False
    """Points no alias elsewhere; one that is not set yet is set all the same."""
    only_estimate: bool = False
    """Ends with OnlyEstimated, before the search begins."""
    tables: Path | None = None
    """Folder of the tables in which a program's rows look verses up."""
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


def told_name(model: BoundModel) -> str:
    """What a reader is told it is called; one given by its address alone goes by its model's name."""
    return (model.engine.model or model.name) if model.name == "default" else model.name


class Cast(NamedTuple):
    """The models of a build by the role they play; without others the student plays all."""

    student: BoundModel
    teacher: BoundModel | None = None
    proposer: BoundModel | None = None
    """Writes instructions, for optimisers that try others than the program's own."""

    def roles(self) -> tuple[tuple[Role, BoundModel], ...]:
        teacher = self.teacher or self.student
        return ("student", self.student), ("teacher", teacher), ("proposer", self.proposer or teacher)
