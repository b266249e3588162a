"""Environments of engines, really made: recognised, mended, refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from engine.errors import EngineNotInstalled
from engine.home import EngineHome
from engine.installation import digest, ensure, installed, python_of
from engine.recipes import Recipe

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class OfflineRecipe(Recipe):
    """A recipe that needs nothing from anywhere: what it wants, every new environment has."""

    list_file: Path = Path()

    def lock(self) -> Path:
        return self.list_file


@pytest.fixture
def recipe(tmp_path: Path) -> Iterator[OfflineRecipe]:
    file = tmp_path / "list.txt"
    file.write_text("# nothing\n")
    yield OfflineRecipe("transformers", "transformers", "nothing", "pip", "", "import pip", list_file=file)


def test_an_environment_is_made_once_and_mended_when_broken(tmp_path: Path, recipe: OfflineRecipe) -> None:
    home, said = EngineHome(tmp_path / "home"), list[str]()
    ensure(home, recipe, None, said.append)
    marker = home.environment("transformers") / "smallforge-recipe.sha256"
    assert marker.read_text().strip() == digest(recipe)
    assert [line.strip()[:3] for line in said[1:4]] == ["1/3", "2/3", "3/3"]
    python_of(home.environment("transformers")).unlink()
    assert not installed(home, recipe)
    ensure(home, recipe, None, said.append)
    assert "The environment there is broken and is made anew." in said
    assert python_of(home.environment("transformers")).exists()


def test_a_failing_step_shows_its_own_words_and_leaves_no_marker(
    tmp_path: Path, recipe: OfflineRecipe
) -> None:
    home = EngineHome(tmp_path / "home")
    with pytest.raises(EngineNotInstalled, match="no_such_module"):
        ensure(home, replace(recipe, proof="import no_such_module"), None, lambda line: None)
    assert not installed(home, recipe)
