"""Which files of a model are fetched, and which models are refused."""

from __future__ import annotations

import pytest

from compiler.errors import ArgumentInvalid, FetchFailed, UserMistake
from compiler.hub import HubFile, Listing
from compiler.model_choice import Wanted, choose

USUAL = ("config.json", "tokenizer.json", "model.safetensors")


def listing(*names: str) -> Listing:
    return Listing("acme/tiny", "main", "0" * 40, tuple(HubFile(name, 1, "0" * 40) for name in names))


def chosen(*names: str) -> set[str]:
    return {file.name for file in choose(listing(*names))}


def test_what_an_engine_reads_is_taken_and_no_pickle() -> None:
    others = ("tokenizer_config.json", "chat_template.jinja", "merges.txt", "tokenizer.model", "LICENSE.txt")
    left = (
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "flax_model.msgpack",
        "README.md",
        "modeling.py",
    )
    folders = ("onnx/model.onnx", "original/config.json", "original/model.safetensors")
    assert chosen(*USUAL, *others, *left, *folders) == {*USUAL, *others}


def test_weights_that_are_there_twice_are_taken_once() -> None:
    index = "model.safetensors.index.json"
    shards = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    names = ("config.json", "tokenizer.json", index, *shards)
    assert chosen(*names, "consolidated.safetensors", "adapter_model.safetensors") == set(names)
    assert chosen("config.json", "tokenizer.json", "weights.safetensors") == {
        "config.json",
        "tokenizer.json",
        "weights.safetensors",
    }


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("config.json", "pytorch_model.bin"), r"only 'pytorch_model.bin': a pickle, which can execute"),
        (("tiny-q4.gguf", "README.md"), "as GGUF, which LM Studio and llama.cpp run and vLLM does not"),
        (("config.json", "tokenizer.json"), "no weights in safetensors, so no engine"),
        (("adapter_config.json", "adapter_model.safetensors"), "no config.json.*adapter for another model"),
        (("config.json", "model.safetensors"), "has no tokenizer"),
    ],
)
def test_a_model_that_no_engine_can_serve_is_refused_with_the_reason(
    names: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(UserMistake, match=f"'acme/tiny' .*{sentence}"):
        choose(listing(*names))


@pytest.mark.parametrize(
    "name",
    [
        "../config.json",
        "a/../../b.json",
        "/etc/passwd",
        "..",
        "..\\b.json",
        "C:\\b.json",
        "a\0b",
        "a\x1b[2J.json",
        "",
    ],
)
def test_a_file_that_would_be_written_outside_is_refused(name: str) -> None:
    with pytest.raises(FetchFailed, match="leads out of its place or can't be shown; nothing is fetched"):
        choose(listing(*USUAL, name))


@pytest.mark.parametrize("model", ["gpt2", "./model", "a/b/c", "../../etc", ""])
def test_what_is_no_name_is_told_before_anything_is_asked(model: str) -> None:
    with pytest.raises(ArgumentInvalid, match="is no name of the Hugging Face hub"):
        Wanted(model).check()


def test_the_address_of_a_models_page_leads_to_its_name() -> None:
    with pytest.raises(ArgumentInvalid, match=r"do you mean 'Qwen/Qwen3-0\.6B'"):
        Wanted("https://huggingface.co/Qwen/Qwen3-0.6B/tree/main").check()


@pytest.mark.parametrize("revision", ["../../main", "", "/main", "a b"])
def test_what_can_be_no_revision_is_refused(revision: str) -> None:
    with pytest.raises(ArgumentInvalid, match="is no revision"):
        Wanted("acme/tiny", revision).check()
