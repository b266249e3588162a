"""The cache of Hugging Face's own tools: where it lies, how a model lies in it, what of it can be served.

    models--ORG--NAME/blobs/DIGEST            a file's content, by its digest
    models--ORG--NAME/refs/REVISION           the commit that a branch or tag was when it was fetched
    models--ORG--NAME/snapshots/COMMIT/FILE   a link to the content

Needs no library, so that whoever serves a model finds it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

MAIN = "main"
"""The revision that is meant when none is named."""

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_INDEX = "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tekken.json", "vocab.json", "vocab.txt", "spiece.model")


def is_hub_name(model: str) -> bool:
    """Whether the text has the form of a model's name on the hub, such as Qwen/Qwen3-1.7B."""
    return _HUB_NAME.fullmatch(model) is not None


def is_commit(revision: str) -> bool:
    """Whether the revision is a commit in full, which never moves."""
    return _COMMIT.fullmatch(revision) is not None


def cache_folder(variables: Mapping[str, str] = os.environ) -> Path:
    """Where Hugging Face's tools, the engines among them, keep what they fetch, by their own variables."""
    named = variables.get("HF_HUB_CACHE") or variables.get("HUGGINGFACE_HUB_CACHE")
    if named:
        return _expanded(named)
    home = variables.get("HF_HOME")
    if home:
        return _expanded(home) / "hub"
    return _expanded(variables.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface" / "hub"


def repository(cache: Path, model: str) -> Path:
    """Everything of one model; it need not exist."""
    return cache / f"models--{model.replace('/', '--')}"


def cached_snapshot(cache: Path, model: str, revision: str = MAIN) -> Path | None:
    """The model's directory in the cache if an engine can serve it without the hub."""
    folder = repository(cache, model)
    try:
        commit = revision if is_commit(revision) else (folder / "refs" / revision).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    snapshot = folder / "snapshots" / commit
    return snapshot if is_commit(commit) and is_whole(snapshot) else None


def is_whole(snapshot: Path) -> bool:
    """Whether the directory has what an engine needs. Other tools fetch single files only."""
    if not (snapshot / "config.json").exists() or not any((snapshot / name).exists() for name in TOKENIZERS):
        return False
    try:
        named = json.loads((snapshot / _INDEX).read_bytes())["weight_map"].values()
    except FileNotFoundError:
        # One shard of several says nothing of the others without their index.
        return any(file.exists() and "-of-" not in file.name for file in snapshot.glob("*.safetensors"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False
    return all((snapshot / str(name)).exists() for name in named)


def _expanded(path: str) -> Path:
    return Path(os.path.expandvars(path)).expanduser()
