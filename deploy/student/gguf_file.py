"""Writes the student as one file for LM Studio and llama.cpp: python deploy/student/gguf_file.py OUT.gguf.

Needs numpy and `pip install gguf`. llama.cpp's own converter knows tokenizers by a list of digests, and this
one is not on it, though its splitting rule is Llama 3's; so the file says which rule it is.
"""

from __future__ import annotations

import argparse
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

STUDENT = Path(__file__).resolve().parent
PRE_TOKENIZER = "llama-bpe"
# As gguf.TokenType numbers them.
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4

Tensor = npt.NDArray[np.float32]

OF_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


@dataclass(frozen=True)
class Vocabulary:
    """Every token's text and type by its id, and the merges in their order."""

    texts: list[str]
    types: list[int]
    merges: list[str]


def read_weights(path: Path) -> dict[str, Tensor]:
    """The bfloat16 tensors of a safetensors file, widened: NumPy has no such type of its own."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    weights = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "BF16":
            raise SystemExit(f"{path}: {name} is {entry['dtype']}, this script reads BF16 only")
        first, last = (8 + length + offset for offset in entry["data_offsets"])
        halves = np.frombuffer(data[first:last], "<u2").astype(np.uint32) << 16
        weights[name] = halves.view(np.float32).reshape(entry["shape"])
    return weights


def tensors(config: dict[str, Any], weights: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The same tensors under GGUF's names. The output layer is the embedding, so there is none of its own."""
    yield "token_embd.weight", weights["model.embed_tokens.weight"]
    yield "output_norm.weight", weights["model.norm.weight"]
    for layer in range(config["num_hidden_layers"]):
        for theirs, ours in OF_LAYER.items():
            tensor = weights[f"model.layers.{layer}.{theirs}.weight"]
            if ours in ("attn_q", "attn_k"):
                tensor = interleaved(tensor, config["num_attention_heads"])
            yield f"blk.{layer}.{ours}.weight", tensor


def interleaved(tensor: Tensor, heads: int) -> Tensor:
    """Rows as llama.cpp wants them: it rotates neighbours, transformers rotates the two halves of a head."""
    halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, tensor.shape[1])
    return halves.swapaxes(1, 2).reshape(tensor.shape)


def vocabulary(tokenizer: dict[str, Any]) -> Vocabulary:
    """What a `tokenizer.json` holds. Added pieces are found in any text, but for the special ones."""
    texts = {number: text for text, number in tokenizer["model"]["vocab"].items()}
    types = dict.fromkeys(texts, NORMAL)
    for added in tokenizer["added_tokens"]:
        texts[added["id"]] = added["content"]
        types[added["id"]] = CONTROL if added["special"] else USER_DEFINED
    order = range(len(texts))
    merges = [" ".join(pair) for pair in tokenizer["model"]["merges"]]
    return Vocabulary([texts[n] for n in order], [types[n] for n in order], merges)


def write(student: Path, out: Path) -> None:
    """The whole file. Weights become float16, which loses nothing of them but what is below 0.00006."""
    import gguf

    config, chat, tokenizer = (
        json.loads((student / name).read_text())
        for name in ("config.json", "tokenizer_config.json", "tokenizer.json")
    )
    words = vocabulary(tokenizer)
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_name("smallforge-student")
    writer.add_license("Apache-2.0")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE_TOKENIZER)
    writer.add_token_list(words.texts)
    writer.add_token_types(words.types)
    writer.add_token_merges(words.merges)
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    # Llama 3 begins every text with a token of its own; this student has none.
    writer.add_add_bos_token(False)
    writer.add_chat_template(chat["chat_template"])
    for name, tensor in tensors(config, read_weights(student / "model.safetensors")):
        # llama.cpp keeps vectors in full precision.
        writer.add_tensor(name, tensor if tensor.ndim == 1 else tensor.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the bundled student as one GGUF file.")
    parser.add_argument("out", type=Path, metavar="OUT.gguf")
    parser.add_argument("--student", type=Path, default=STUDENT, metavar="DIR", help="Another directory.")
    arguments = parser.parse_args()
    write(arguments.student, arguments.out)
    print(f"Wrote {arguments.out}, {arguments.out.stat().st_size / 1e6:.1f} MB.")


if __name__ == "__main__":
    main()
