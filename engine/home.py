"""Where local engines keep their environments, logs and the notes that say which of them are up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_path


@dataclass(frozen=True)
class EngineHome:
    """One directory with everything that belongs to local engines of this user."""

    root: Path

    def environment(self, name: str) -> Path:
        """The virtual environment called `name`; it need not exist."""
        return self.root / name

    @property
    def running(self) -> Path:
        """One note per engine that is up."""
        return self.root / "running"

    @property
    def logs(self) -> Path:
        """What engines and installations said."""
        return self.root / "logs"


def default_home() -> EngineHome:
    """The user's data directory by the rules of the operating system."""
    return EngineHome(user_data_path("smallforge", appauthor=False) / "engine")
