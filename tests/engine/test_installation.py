"""What environments of engines are made from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from engine.installation import digest
from engine.recipes import RECIPES, Recipe


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


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_everything_is_locked_by_hash_and_pytorch_stands_apart(recipe: Recipe) -> None:
    text = recipe.lock().read_text()
    pins = re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE)
    assert len(pins) > 30 and not {"torch", "torchvision", "torchaudio"} & set(pins)
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=[a-z])", text) if "==" in block)
    assert "http" not in re.sub(r"^[a-z0-9-]*http[a-z0-9-]*==", "", text, flags=re.MULTILINE)


def test_another_list_is_another_environment(recipe: OfflineRecipe) -> None:
    before = digest(recipe)
    recipe.list_file.write_text("# something else\n")
    assert digest(recipe) != before


def test_a_machine_without_a_build_is_told() -> None:
    assert "no build of it for" in (
        replace(RECIPES["cpu"], machines=(("Plan9", "mips"),)).unsupported() or ""
    )
    assert RECIPES["transformers"].unsupported() is None
