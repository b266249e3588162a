"""What of Hugging Face's cache an engine can serve without the hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.home import EngineHome
from engine.hub_cache import cache_folder, cached_snapshot, is_hub_name, repository
from engine.launch import Address, launch
from engine.model_files import find_model
from engine.recipes import RECIPES
from tests.integration.tiny_model import write_tiny_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL = "acme/tiny"


def cached(cache: Path, revision: str = "main") -> Path:
    """The directory of a whole model in the cache."""
    folder = repository(cache, MODEL)
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / revision).write_text(COMMIT)
    return write_tiny_model(folder / "snapshots" / COMMIT)


def test_a_whole_model_is_found_by_branch_and_by_commit(tmp_path: Path) -> None:
    snapshot = cached(tmp_path)
    assert cached_snapshot(tmp_path, MODEL) == cached_snapshot(tmp_path, MODEL, COMMIT) == snapshot
    assert cached_snapshot(tmp_path, MODEL, "v1") is None
    assert cached_snapshot(tmp_path, "acme/other") is None


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_model_that_lacks_a_part_is_not_found(name: str, tmp_path: Path) -> None:
    (cached(tmp_path) / name).unlink()
    assert cached_snapshot(tmp_path, MODEL) is None


def test_of_a_model_in_several_files_all_that_its_index_names_must_be_there(tmp_path: Path) -> None:
    snapshot = cached(tmp_path)
    first = "model-00001-of-00002.safetensors"
    (snapshot / "model.safetensors").rename(snapshot / first)
    assert cached_snapshot(tmp_path, MODEL) is None
    index = snapshot / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": first, "b": "model-00002-of-00002.safetensors"}}))
    assert cached_snapshot(tmp_path, MODEL) is None
    index.write_text(json.dumps({"weight_map": {"a": first}}))
    assert cached_snapshot(tmp_path, MODEL) == snapshot
    index.write_text("[]")
    assert cached_snapshot(tmp_path, MODEL) is None


def test_a_reference_that_is_no_commit_leads_nowhere(tmp_path: Path) -> None:
    cached(tmp_path)
    (repository(tmp_path, MODEL) / "refs" / "main").write_text("../../..")
    assert cached_snapshot(tmp_path, MODEL) is None


@pytest.mark.parametrize("backend", ["cpu", "transformers"])
def test_a_cached_model_is_launched_by_its_name_and_without_the_hub(backend: str, tmp_path: Path) -> None:
    snapshot = cached(tmp_path)
    model = find_model(MODEL, tmp_path)
    assert (model.directory, model.context_tokens) == (snapshot, 2048)
    recipe = next(recipe for name, recipe in RECIPES.items() if name == backend)
    start = launch(EngineHome(tmp_path), recipe, model, Address("127.0.0.1", 8100))
    assert start.model == MODEL and MODEL in start.command
    assert start.environment["HF_HUB_OFFLINE"] == "1"


def test_a_model_that_is_not_cached_is_left_to_the_engine_to_fetch(tmp_path: Path) -> None:
    model = find_model(MODEL, tmp_path)
    start = launch(EngineHome(tmp_path), RECIPES["cpu"], model, Address("127.0.0.1", 8100))
    assert model.directory is None and "HF_HUB_OFFLINE" not in start.environment


def test_a_shorter_context_takes_less_memory(tmp_path: Path) -> None:
    cached(tmp_path)
    config = repository(tmp_path, MODEL) / "snapshots" / COMMIT / "config.json"
    long = json.loads(config.read_text()) | {"max_position_embeddings": 40_960, "num_hidden_layers": 560}
    config.write_text(json.dumps(long))
    model = find_model(MODEL, tmp_path)
    assert (model.cache_gib(), model.within(2048).cache_gib(), model.within(None)) == (6, 1, model)


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ({"HUGGINGFACE_HUB_CACHE": "/c", "HF_HOME": "/b"}, "/c"),
        ({"HF_HOME": "/b", "XDG_CACHE_HOME": "/d"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/d"}, "/d/huggingface/hub"),
        ({}, str(Path.home() / ".cache" / "huggingface" / "hub")),
    ],
)
def test_the_cache_is_where_its_own_tools_look(variables: dict[str, str], folder: str) -> None:
    assert cache_folder(variables) == Path(folder)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Qwen/Qwen3-1.7B", True), ("./model", False), ("gpt2", False), ("a/b/c", False), ("../x", False)],
)
def test_a_name_of_the_hub_has_an_owner(name: str, expected: bool) -> None:
    assert is_hub_name(name) == expected
