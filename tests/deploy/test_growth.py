from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast

from deploy.student import growth
from deploy.student import tokenizer as pieces
from deploy.student.copying import CONSTANT
from deploy.student.corpus import Corpus
from deploy.student.growth import shape_of, take_over
from deploy.student.model import Student, as_llama

STUDENT = Path(growth.__file__).parent
TEXT = "[[ ## answer ## ]]\nThe zyzzyx is 12.\n\n[[ ## completed ## ]]\n"


@pytest.fixture(scope="module")
def grown() -> PreTrainedTokenizerFast:
    return pieces.grow(pieces.load(STUDENT), ["zyzzyx zyzzyx\n"] * 5, ["a whole phrase"])


def loss(student: Student, tokenizer: PreTrainedTokenizerFast) -> float:
    ids = torch.tensor(tokenizer.encode("The answer is 12. The answer is 12."))
    return float(student(ids, [len(ids)], torch.arange(1, len(ids))).detach())


def test_new_words_and_phrases_are_single_pieces_and_old_text_keeps_its_own() -> None:
    known = pieces.build(Corpus().sample(3, 100))
    grown = pieces.grow(known, ["zyzzyx zyzzyx\n"] * 5, ["a whole phrase"])
    assert len(grown.encode(" zyzzyx")) == len(grown.encode("a whole phrase")) == 1
    assert len(known.encode(" zyzzyx")) > 1
    old = "Anna has 12 apples.\n\n[[ ## completed ## ]]\n"
    assert grown.tokenize(old) == known.tokenize(old)
    assert grown.decode(grown.encode(TEXT)) == TEXT


def test_a_student_with_more_pieces_and_layers_says_what_it_said_before(
    grown: PreTrainedTokenizerFast,
) -> None:
    shape = shape_of(STUDENT, len(grown), None)
    same, deeper = Student(shape), Student(shape_of(STUDENT, len(grown), shape.layers + 2))
    for student in (same, deeper):
        take_over(student, STUDENT, grown)
    # The new pieces share the softmax, so a first loss is near the old one and not equal to it.
    assert loss(same, grown) == pytest.approx(loss(deeper, grown), abs=0.02)
    kept = as_llama(dict(same.state_dict()))
    weights = load_file(STUDENT / "model.safetensors")
    assert torch.equal(
        kept["model.layers.1.mlp.up_proj.weight"], weights["model.layers.1.mlp.up_proj.weight"]
    )
    number = grown.get_vocab()["Anna"]
    old = pieces.load(STUDENT).get_vocab()["Anna"]
    assert torch.equal(kept["model.embed_tokens.weight"][number], weights["model.embed_tokens.weight"][old])


def test_one_with_layers_that_copy_keeps_its_constant_for_new_pieces_too(
    grown: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    weights = load_file(STUDENT / "model.safetensors")
    weights[growth.EMBEDDING][:, -1] = CONSTANT
    save_file(weights, tmp_path / "model.safetensors")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(STUDENT / name, tmp_path)
    shape = shape_of(tmp_path, len(grown), None)
    assert shape.copying
    student = Student(shape)
    take_over(student, tmp_path, grown)
    assert bool((student.embedding[:, -1] == CONSTANT).all())


def test_fewer_layers_than_a_student_has_are_refused() -> None:
    with pytest.raises(SystemExit, match="--layers 1 would take some away"):
        shape_of(STUDENT, 100, 1)
    assert (
        shape_of(STUDENT, 100, None).layers
        == json.loads((STUDENT / "config.json").read_text())["num_hidden_layers"]
    )
