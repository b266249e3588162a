"""Which files of a model on the hub are fetched: weights in safetensors, configuration, tokenizer, licence.

A pickle can execute whatever it likes when it is loaded, and nothing here loads one. Fetches nothing itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from compiler.errors import ArgumentInvalid, FetchFailed, UserMistake
from compiler.hub import HubFile, Listing
from engine.hub_cache import MAIN, TOKENIZERS, is_hub_name

_READ = (".json", ".jinja", ".txt", ".model", ".tiktoken")
_WEIGHTS = ".safetensors"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_INDEX_OF_PICKLES = ".bin.index.json"
_PAPERS = re.compile(r"(LICEN[CS]E|NOTICE)([.-].*)?", re.IGNORECASE)
_REVISION = re.compile(r"\w[\w./+@=-]*", re.ASCII)
_UNSAFE = re.compile(r"(^|[/\\])\.\.([/\\]|$)|^[/\\]|^\w:|[\x00-\x1f\x7f]|^\.?$")
_FOLDERS = re.compile(r"[/\\]")


@dataclass(frozen=True)
class Wanted:
    """A model by its name on the hub; the revision is a branch, a tag or a commit."""

    model: str
    revision: str = MAIN

    def check(self) -> None:
        """Raises ArgumentInvalid for what can be no name."""
        if not is_hub_name(self.model):
            inner = re.search(r"//[^/]+/([\w-][\w.-]*/[\w.-]+)", self.model)
            hint = f"; do you mean {inner[1]!r}?" if inner else ""
            raise ArgumentInvalid(
                f"{self.model!r} is no name of the Hugging Face hub: that has an owner and a name, such as "
                f"'Qwen/Qwen3-1.7B'{hint}"
            )
        if not _REVISION.fullmatch(self.revision) or ".." in self.revision:
            raise ArgumentInvalid(f"{self.revision!r} is no revision: give a branch, a tag or a commit")


def choose(listing: Listing) -> tuple[HubFile, ...]:
    """What an engine reads of a model.

    Raises:
        FetchFailed: a file of the list would be written elsewhere, or its name does something to a terminal.
        UserMistake: it is no model that an engine here can serve; says why.
    """
    unsafe = next((file.name for file in listing.files if _UNSAFE.search(file.name)), None)
    if unsafe is not None:
        raise FetchFailed(
            f"the hub lists a file {unsafe!r} of {listing.model!r}, a name that leads out of its place or "
            "can't be shown; nothing is fetched"
        )
    flat = [file for file in listing.files if not _FOLDERS.search(file.name)]
    weights = [file for file in flat if file.name.endswith(_WEIGHTS)]
    # Some have their weights twice, again under the names of another library, or an adapter beside them.
    weights = [file for file in weights if file.name.startswith("model")] or weights
    names = {file.name for file in flat}
    if not weights:
        raise UserMistake(_no_weights(listing))
    if "config.json" not in names:
        adapter = "; it is an adapter for another model" if "adapter_config.json" in names else ""
        raise UserMistake(f"{listing.model!r} has no config.json, so no engine can serve it{adapter}")
    if not names & set(TOKENIZERS):
        raise UserMistake(f"{listing.model!r} has no tokenizer, so no engine can serve it")
    return (*(file for file in flat if _is_read(file.name)), *weights)


def _is_read(name: str) -> bool:
    """Whether it is configuration, tokenizer or licence."""
    if name.endswith(_INDEX_OF_PICKLES):
        return False
    return name.endswith(_READ) or _PAPERS.fullmatch(name) is not None


def _no_weights(listing: Listing) -> str:
    names = sorted(file.name for file in listing.files)
    if any(name.endswith(".gguf") for name in names):
        return (
            f"{listing.model!r} has its weights as GGUF, which LM Studio and llama.cpp run and vLLM does "
            "not; take the model that it was made from, or make such a server's URL the student"
        )
    pickle = next((name for name in names if name.endswith(_PICKLES)), None)
    if pickle is not None:
        return (
            f"{listing.model!r} has no weights in safetensors, only {pickle!r}: a pickle, which can execute "
            "whatever it likes when it is loaded; take another model, or ask its owners for safetensors"
        )
    return f"{listing.model!r} has no weights in safetensors, so no engine can serve it"
