"""A trained student that gets more pieces or layers, and goes on from what it knows.

Knows nothing of training. A new piece begins near the mean of the pieces that spelled it before, a new layer
as one that changes nothing.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from deploy.student import tokenizer as pieces
from deploy.student.copying import CONSTANT, hold_constant
from deploy.student.model import Shape, Student

EMBEDDING = "model.embed_tokens.weight"


def shape_of(folder: Path, vocabulary: int, layers: int | None) -> Shape:
    """The shape of the student in `folder`, with so many pieces and, where given, layers.

    One that has the layers that copy keeps them as they are: the constant in its embedding tells.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    had = config["num_hidden_layers"]
    if layers is not None and layers < had:
        raise SystemExit(f"{folder} has {had} layers; --layers {layers} would take some away")
    return Shape(
        vocabulary,
        width=config["hidden_size"],
        layers=layers or had,
        heads=config["num_attention_heads"],
        hidden=config["intermediate_size"],
        context=config["max_position_embeddings"],
        rope_base=config["rope_theta"],
        copying=bool((load_file(folder / "model.safetensors")[EMBEDDING][:, -1] == CONSTANT).all()),
    )


@torch.no_grad()  # type: ignore[untyped-decorator]
def take_over(student: Student, folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """Puts the weights of the student in `folder` into one that has at least its pieces and layers."""
    weights = load_file(folder / "model.safetensors")
    student.final_gain.copy_(weights["model.norm.weight"])
    for layer, gains in enumerate(student.gains):
        at = f"model.layers.{layer}."
        if f"{at}input_layernorm.weight" not in weights:
            break
        gains[0].copy_(weights[f"{at}input_layernorm.weight"])
        gains[1].copy_(weights[f"{at}post_attention_layernorm.weight"])
        stacks = {
            student.qkv[layer]: ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
            student.out[layer]: ("self_attn.o_proj",),
            student.up[layer]: ("mlp.gate_proj", "mlp.up_proj"),
            student.down[layer]: ("mlp.down_proj",),
        }
        for matrix, names in stacks.items():
            matrix.copy_(torch.cat([weights[f"{at}{name}.weight"] for name in names]))
    known = pieces.load(folder)
    student.embedding.copy_(_embedding(weights[EMBEDDING].float(), known, tokenizer))
    if student.shape.copying:
        hold_constant(student)


def _embedding(table: Tensor, known: PreTrainedTokenizerFast, grown: PreTrainedTokenizerFast) -> Tensor:
    """Rows by their pieces' texts. New words differ at random, for what is copied must be told apart."""
    old = known.get_vocab()
    draw = torch.Generator().manual_seed(11)
    spread = float(table.std())
    words: dict[str, Tensor] = {}
    rows = torch.empty(len(grown), table.shape[1])
    for piece, index in sorted(grown.get_vocab().items(), key=lambda entry: entry[1]):
        if piece in old:
            rows[index] = table[old[piece]]
            continue
        text = grown.convert_tokens_to_string([piece])
        spelled = table[known.encode(text, add_special_tokens=False)].mean(0)
        own = words.setdefault(text.strip(), torch.randn(table.shape[1], generator=draw) * spread)
        rows[index] = 0.6 * spelled + 0.8 * own
    return rows
