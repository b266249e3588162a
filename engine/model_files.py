"""A model as a local engine loads it: a directory, or a name on the Hugging Face hub, fetched already or not.

Reads only `config.json` and, for the digest, the weights; loads nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import orjson

from engine.errors import EngineNotFound
from engine.hub_cache import MAIN, cached_snapshot, is_hub_name
from engine.student import STUDENT_NAME, bundled_student

_GIB = 2**30


@dataclass(frozen=True)
class ModelFiles:
    """One model to launch. What a hub name does not tell before its download is None.

    `directory` is where it lies on this machine; of a hub name that is the engines' own cache.
    """

    source: str
    name: str
    directory: Path | None = None
    context_tokens: int | None = None
    kv_bytes_per_token: int | None = None
    weight_bytes: int | None = None

    def weights_digest(self) -> str | None:
        """SHA-256 over the weight files in order of their names; None for a hub name not yet fetched."""
        if self.directory is None:
            return None
        digest = hashlib.sha256()
        for file in _weight_files(self.directory):
            with file.open("rb") as content:
                digest.update(f"{file.name}\n".encode())
                digest.update(hashlib.file_digest(content, "sha256").digest())
        return digest.hexdigest()

    def cache_gib(self) -> int:
        """Memory for keys and values: enough for one conversation of the greatest length, 1 GiB at least."""
        if self.context_tokens is None or self.kv_bytes_per_token is None:
            return 4
        return max(1, -(-self.context_tokens * self.kv_bytes_per_token // _GIB))

    def within(self, context_tokens: int | None) -> ModelFiles:
        """The same with another greatest length, where one is asked for."""
        return self if context_tokens is None else replace(self, context_tokens=context_tokens)


def find_model(model: str | None, cache: Path | None = None, revision: str = MAIN) -> ModelFiles:
    """The model by directory or hub name; None is the bundled student. Raises EngineNotFound.

    A hub name whose `revision` lies complete in `cache` is served from there, and the hub is not asked.
    """
    if model is None:
        return _from_directory(bundled_student(), STUDENT_NAME)
    directory = Path(model).expanduser()
    if directory.is_dir():
        return _from_directory(directory.resolve(), directory.resolve().name)
    if is_hub_name(model):
        snapshot = None if cache is None else cached_snapshot(cache, model, revision)
        if snapshot is None:
            return ModelFiles(source=model, name=model)
        # Engines know a cached model by its name on the hub, and so do its clients.
        return replace(_from_directory(snapshot, model), source=model)
    raise EngineNotFound(
        f"There is no model {model!r}: give a directory that holds a config.json, or a Hugging Face name "
        "such as 'Qwen/Qwen3-1.7B'."
    )


def _from_directory(directory: Path, name: str) -> ModelFiles:
    file = directory / "config.json"
    try:
        loaded = orjson.loads(file.read_bytes())
    except FileNotFoundError:
        raise EngineNotFound(f"{str(directory)!r} is no model directory: it holds no config.json.") from None
    except orjson.JSONDecodeError as exc:
        raise EngineNotFound(f"{str(file)!r} is no JSON: {exc}.") from None
    config = cast(dict[str, object], loaded if isinstance(loaded, dict) else {})
    return ModelFiles(
        source=str(directory),
        name=name,
        directory=directory,
        context_tokens=_integer(config, "max_position_embeddings"),
        kv_bytes_per_token=_kv_bytes_per_token(config),
        weight_bytes=sum(file.stat().st_size for file in _weight_files(directory)),
    )


def _kv_bytes_per_token(config: dict[str, object]) -> int | None:
    """Keys and values of every layer in 16 bits."""
    layers, heads = _integer(config, "num_hidden_layers"), _integer(config, "num_attention_heads")
    hidden = _integer(config, "hidden_size")
    if layers is None or heads is None or hidden is None:
        return None
    kv_heads = _integer(config, "num_key_value_heads") or heads
    head_size = _integer(config, "head_dim") or hidden // heads
    return 2 * layers * kv_heads * head_size * 2


def _integer(config: dict[str, object], name: str) -> int | None:
    value = config.get(name)
    return value if isinstance(value, int) else None


def _weight_files(directory: Path) -> list[Path]:
    for pattern in ("*.safetensors", "*.gguf", "*.bin"):
        if files := sorted(directory.glob(pattern)):
            return files
    return []
