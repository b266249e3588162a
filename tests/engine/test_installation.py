"""What environments of engines are made from."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from filelock import FileLock

from engine.errors import EngineNotInstalled
from engine.home import EngineHome
from engine.installation import digest, ensure, python_of
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


def complete(home: EngineHome, recipe: Recipe) -> None:
    """An environment that looks finished: its Python finds every module."""
    python = python_of(home.environment(recipe.name))
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 0\n")
    python.chmod(0o755)
    (home.environment(recipe.name) / "smallforge-recipe.sha256").write_text(digest(recipe))


def test_a_second_installation_waits_and_uses_what_the_first_has_made(
    tmp_path: Path, recipe: OfflineRecipe
) -> None:
    home, said, waits = EngineHome(tmp_path / "home"), list[str](), threading.Event()

    def say(line: str) -> None:
        said.append(line)
        waits.set()

    second = threading.Thread(target=ensure, args=(home, recipe, None, say))
    home.root.mkdir()
    with FileLock(home.root / "install.lock"):
        second.start()
        assert waits.wait(10)
        assert said == [f"Another `engine install` is at work in {home.root}; waiting until it is done ..."]
        complete(home, recipe)
    second.join(10)
    assert said[1:] == [f"nothing is installed in {home.environment('transformers')}."]


def test_an_installation_alone_waits_for_nobody(tmp_path: Path, recipe: OfflineRecipe) -> None:
    home, said = EngineHome(tmp_path / "home"), list[str]()
    complete(home, recipe)
    for _ in range(2):
        ensure(home, recipe, None, said.append)
    assert said == [f"nothing is installed in {home.environment('transformers')}."] * 2


def test_a_home_that_cannot_be_written_is_told(tmp_path: Path, recipe: OfflineRecipe) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(EngineNotInstalled, match="Nothing can be installed in"):
        ensure(EngineHome(tmp_path / "home"), recipe, None, lambda line: None)
