"""A model made of random numbers, as small as engines accept: for what does not depend on what a model says.

Written byte by byte in the formats that engines read, so no training library is needed to make it.
"""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

_LAYERS, _HIDDEN, _INNER, _HEADS = 2, 64, 128, 2
_SPECIAL = ("<|end|>", "<|start|>", "<|stop|>")
_TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|stop|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def write_tiny_model(folder: Path) -> Path:
    """A Llama with one token per byte and a context of 2,048; the same one every time."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = [*_SPECIAL, *_byte_symbols()]
    stop = _SPECIAL.index("<|stop|>")
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(tokens),
        "hidden_size": _HIDDEN,
        "intermediate_size": _INNER,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _HEADS,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": stop,
        "dtype": "bfloat16",
    }
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [_special_token(place, name) for place, name in enumerate(_SPECIAL)],
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": {token: i for i, token in enumerate(tokens)}, "merges": []},
    }
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|stop|>",
        "pad_token": "<|end|>",
        "model_max_length": 2048,
        "chat_template": _TEMPLATE,
    }
    for name, content in (
        ("config.json", config),
        ("generation_config.json", {"eos_token_id": stop}),
        ("tokenizer.json", tokenizer),
        ("tokenizer_config.json", settings),
    ):
        (folder / name).write_text(json.dumps(content))
    _write_weights(folder / "model.safetensors", len(tokens))
    return folder


def _special_token(place: int, name: str) -> dict[str, object]:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": place, "content": name, **plain, "special": True}


def _byte_symbols() -> list[str]:
    """The printable stand-ins that byte-level tokenizers use for the 256 bytes."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = {byte: 256 + place for place, byte in enumerate(b for b in range(256) if b not in kept)}
    return [chr(moved.get(byte, byte)) for byte in range(256)]


def _write_weights(file: Path, vocabulary: int) -> None:
    """The safetensors format: the length of a JSON header, the header, then all numbers as bfloat16."""
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (vocabulary, _HIDDEN),
        "model.norm.weight": (_HIDDEN,),
    }
    for layer in range(_LAYERS):
        place = f"model.layers.{layer}"
        shapes |= {f"{place}.self_attn.{x}_proj.weight": (_HIDDEN, _HIDDEN) for x in "qkvo"}
        shapes |= {f"{place}.mlp.{x}_proj.weight": (_INNER, _HIDDEN) for x in ("gate", "up")}
        shapes |= {f"{place}.mlp.down_proj.weight": (_HIDDEN, _INNER)}
        shapes |= {f"{place}.{x}_layernorm.weight": (_HIDDEN,) for x in ("input", "post_attention")}
    numbers = random.Random(0)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = bytearray()
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) == 2 else 1)
        begin = len(data)
        for _ in range(count):
            value = numbers.gauss(0.0, 0.2) if len(shape) == 2 else 1.0
            data += struct.pack("<f", value)[2:]
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + bytes(data))
