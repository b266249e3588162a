"""Where the bundled student lies."""

from __future__ import annotations

from pathlib import Path

from engine.errors import EngineNotFound

STUDENT_NAME = "smallforge-student"


def bundled_student() -> Path:
    """The bundled student's directory: inside an installed package, or in a checkout's deploy/student."""
    package = Path(__file__).parent
    places = (package / "bundled_student", package.parent / "deploy" / "student")
    for place in places:
        if (place / "config.json").exists():
            return place
    raise EngineNotFound(
        f"The bundled student is not here: neither {places[0]} nor {places[1]} holds a config.json. "
        "Install the package again, or name a model: engine serve MODEL"
    )
