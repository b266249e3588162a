"""A Llama as plain matrices, for training many short chats in one flat row of tokens.

Knows nothing of text or optimisers. Chats of any length lie end to end; attention is computed chat by chat,
so nothing is padded and no chat sees another. `as_llama` gives the same weights under Llama's usual names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCK = 256  # queries that are multiplied at once


@dataclass(frozen=True)
class Shape:
    vocabulary: int
    width: int = 256
    layers: int = 7
    heads: int = 4
    hidden: int = 640
    context: int = 8192
    rope_base: float = 10_000.0
    copying: bool = False
    """Whether the first layers are those of `copying.py`, which training leaves as they are."""

    @property
    def head_width(self) -> int:
        return self.width // self.heads


class _ChatAttention(torch.autograd.Function):
    """Causal attention inside each chat of a flat row; plain products beat fused kernels on short chats."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, lengths: list[int]) -> Tensor:
        out, weights = torch.empty_like(q), []
        scale = q.shape[-1] ** -0.5
        q, k, v, rows = (t.transpose(0, 1) for t in (q, k, v, out))
        for start, first, end in _blocks(lengths):
            size, seen = end - first, slice(start, end)
            future = torch.full((size, size), float("-inf"), dtype=q.dtype, device=q.device).triu_(1)
            scores = torch.bmm(q[:, first:end], k[:, seen].transpose(1, 2)).mul_(scale)
            scores[:, :, first - start :].add_(future)
            weight = torch.softmax(scores, -1)
            rows[:, first:end] = torch.bmm(weight, v[:, seen])
            weights.append(weight)
        ctx.save_for_backward(q, k, v, *weights)
        ctx.lengths, ctx.scale = lengths, scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, *weights = ctx.saved_tensors
        grad = grads[0].transpose(0, 1)
        dq, dk, dv = (torch.zeros_like(t.transpose(0, 1)).transpose(0, 1) for t in (q, k, v))
        for (start, first, end), weight in zip(_blocks(ctx.lengths), weights, strict=True):
            seen, g = slice(start, end), grad[:, first:end]
            dv[:, seen] += torch.bmm(weight.transpose(1, 2), g)
            dweight = torch.bmm(g, v[:, seen].transpose(1, 2))
            ds = torch._softmax_backward_data(dweight, weight, -1, weight.dtype).mul_(ctx.scale)
            dq[:, first:end] = torch.bmm(ds, k[:, seen])
            dk[:, seen] += torch.bmm(ds.transpose(1, 2), q[:, first:end])
        return dq.transpose(0, 1), dk.transpose(0, 1), dv.transpose(0, 1), None


def _blocks(lengths: list[int]) -> Iterator[tuple[int, int, int]]:
    """Where a chat starts, and where each block of its queries begins and ends; later keys don't count."""
    start = 0
    for n in lengths:
        for first in range(0, n, BLOCK):
            yield start, start + first, start + min(first + BLOCK, n)
        start += n


def _norm(x: Tensor, gain: Tensor) -> Tensor:
    y = x.float()
    return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-5) * gain).to(x.dtype)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.float().chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).to(x.dtype)


def _queries(x: Tensor, gain: Tensor, qkv: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    width = 2 * cos.shape[-1]
    q, k, v = F.linear(_norm(x, gain), qkv).view(x.shape[0], 3, -1, width).unbind(1)
    return _rotate(q, cos, sin), _rotate(k, cos, sin), v


def _mix(x: Tensor, seen: Tensor, out: Tensor, gain: Tensor, up: Tensor, down: Tensor) -> Tensor:
    x = x + F.linear(seen, out)
    gate, value = F.linear(_norm(x, gain), up).chunk(2, -1)
    return x + F.linear(F.silu(gate) * value, down)


def _loss(x: Tensor, gain: Tensor, embedding: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(_norm(x, gain), embedding.to(x.dtype)).float(), targets)


class Student(nn.Module):
    """Matrices in bfloat16, embedding and gains in float32; `fuse` (torch.compile) wraps the rest."""

    def __init__(self, shape: Shape, fuse: Callable[..., Any] | None = None) -> None:
        super().__init__()
        self.shape = shape
        wrap: Callable[..., Any] = fuse or (lambda f: f)
        self._queries, self._mix, self._loss = wrap(_queries), wrap(_mix), _loss
        w, h = shape.width, shape.hidden
        self.embedding = nn.Parameter(torch.randn(shape.vocabulary, w) / 16)
        self.final_gain = nn.Parameter(torch.ones(w))
        self.gains = nn.ParameterList(nn.Parameter(torch.ones(2, w)) for _ in range(shape.layers))
        # Residual branches start at zero: the first steps train the embedding and the head.
        self.qkv = nn.ParameterList(_matrix(3 * w, w) for _ in range(shape.layers))
        self.out = nn.ParameterList(_matrix(w, w, zero=True) for _ in range(shape.layers))
        self.up = nn.ParameterList(_matrix(2 * h, w) for _ in range(shape.layers))
        self.down = nn.ParameterList(_matrix(w, h, zero=True) for _ in range(shape.layers))

    def forward(self, ids: Tensor, lengths: list[int], learned: Tensor) -> Tensor:
        """Mean loss of predicting the tokens at the positions `learned` from the ones before them."""
        cos, sin = self._angles(lengths, ids.device)
        x = F.embedding(ids, self.embedding).to(torch.bfloat16)
        for gains, qkv, out, up, down in zip(self.gains, self.qkv, self.out, self.up, self.down, strict=True):
            q, k, v = self._queries(x, gains[0], qkv, cos, sin)
            seen = _ChatAttention.apply(q, k, v, lengths).reshape(x.shape)
            x = self._mix(x, seen, out, gains[1], up, down)
        loss: Tensor = self._loss(x[learned - 1], self.final_gain, self.embedding, ids[learned])
        return loss

    def _angles(self, lengths: list[int], device: torch.device) -> tuple[Tensor, Tensor]:
        at = torch.cat([torch.arange(n, device=device) for n in lengths]).float()
        steps = torch.arange(0, self.shape.head_width, 2, device=device) / self.shape.head_width
        angle = at[:, None] * self.shape.rope_base**-steps
        return angle.cos()[:, None], angle.sin()[:, None]


def _matrix(rows: int, columns: int, zero: bool = False) -> nn.Parameter:
    weight = torch.zeros(rows, columns) if zero else torch.randn(rows, columns) / columns**0.5
    return nn.Parameter(weight.to(torch.bfloat16))


def llama_config(shape: Shape) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.head_width,
        "max_position_embeddings": shape.context,
        "rope_theta": shape.rope_base,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "torch_dtype": "bfloat16",
        "bos_token_id": None,
        "eos_token_id": 0,
        "pad_token_id": 1,
    }


def as_llama(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The student's state under Llama's names, in bfloat16."""
    named = {"model.embed_tokens.weight": weights["embedding"], "model.norm.weight": weights["final_gain"]}
    layers = sum(name.startswith("qkv.") for name in weights)
    for i in range(layers):
        at = f"model.layers.{i}."
        named[at + "input_layernorm.weight"], named[at + "post_attention_layernorm.weight"] = weights[
            f"gains.{i}"
        ]
        for name, part in zip("qkv", weights[f"qkv.{i}"].chunk(3), strict=True):
            named[f"{at}self_attn.{name}_proj.weight"] = part
        named[at + "self_attn.o_proj.weight"] = weights[f"out.{i}"]
        for name, part in zip(("gate", "up"), weights[f"up.{i}"].chunk(2), strict=True):
            named[f"{at}mlp.{name}_proj.weight"] = part
        named[at + "mlp.down_proj.weight"] = weights[f"down.{i}"]
    return {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in named.items()}
