"""The student as GGUF: what is written, and that nothing of the model is lost on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.student import gguf_file
from deploy.student import tokenizer as pieces

STUDENT = gguf_file.STUDENT


@pytest.fixture(scope="module")
def weights() -> dict[str, gguf_file.Tensor]:
    return gguf_file.read_weights(STUDENT / "model.safetensors")


def read(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((STUDENT / name).read_text())
    return data


def test_every_weight_is_written_once(weights: dict[str, gguf_file.Tensor]) -> None:
    written = dict(gguf_file.tensors(read("config.json"), weights))
    assert sum(tensor.size for tensor in written.values()) == sum(tensor.size for tensor in weights.values())
    assert len(written) == len(weights) == 2 + 9 * read("config.json")["num_hidden_layers"]


def test_half_precision_keeps_what_a_reply_could_depend_on(weights: dict[str, gguf_file.Tensor]) -> None:
    for tensor in weights.values():
        assert np.abs(tensor.astype(np.float16).astype(np.float32) - tensor).max() < 6e-5


def test_rotated_rows_are_neighbours() -> None:
    rows = np.arange(16, dtype=np.float32).reshape(16, 1)
    # Two heads of eight: transformers pairs row 0 with row 4, llama.cpp with the next one.
    assert gguf_file.interleaved(rows, 2).ravel().tolist()[:8] == [0, 4, 1, 5, 2, 6, 3, 7]


def test_tokens_keep_their_numbers_and_only_roles_are_control_tokens() -> None:
    words = gguf_file.vocabulary(read("tokenizer.json"))
    assert len(words.texts) == len(words.types) == read("config.json")["vocab_size"]
    control = [text for text, kind in zip(words.texts, words.types, strict=True) if kind == gguf_file.CONTROL]
    assert control == ["<|end|>", "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>"]
    phrase = words.texts.index("Your input fields are:\n")
    assert words.types[phrase] == gguf_file.USER_DEFINED
    assert pieces.load(STUDENT).convert_tokens_to_ids("Your input fields are:\n") == phrase


def test_the_splitting_rule_is_the_one_that_the_file_names() -> None:
    rules = read("tokenizer.json")["pre_tokenizer"]["pretokenizers"]
    llama_3 = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    assert gguf_file.PRE_TOKENIZER == "llama-bpe" and rules[0]["pattern"]["Regex"] == llama_3
    assert read("tokenizer.json")["model"]["ignore_merges"] is True


def test_other_precisions_are_refused(tmp_path: Path) -> None:
    header = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0\0\0")
    with pytest.raises(SystemExit, match="x is F32, this script reads BF16 only"):
        gguf_file.read_weights(path)


def test_the_file_is_read_back_by_the_library_that_writes_it(tmp_path: Path) -> None:
    import gguf

    gguf_file.write(STUDENT, tmp_path / "student.gguf")
    read_back = gguf.GGUFReader(tmp_path / "student.gguf")
    assert {tensor.name for tensor in read_back.tensors} >= {"token_embd.weight", "blk.4.ffn_down.weight"}
    assert read_back.fields["tokenizer.ggml.pre"].contents() == "llama-bpe"
