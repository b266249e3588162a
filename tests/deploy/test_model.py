from __future__ import annotations

import torch
import torch.nn.functional as F

from deploy.student.model import Shape, Student, as_llama, llama_config
from deploy.student.muon import orthogonalise

TINY = Shape(vocabulary=64, width=32, layers=2, heads=2, hidden=48)


def wide_awake() -> Student:
    """A student whose residual branches are not zero."""
    torch.manual_seed(0)
    student = Student(TINY)
    for parameter in student.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return student


def test_llama_with_the_exported_weights_has_the_same_loss() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM  # a second, which only this test needs

    student = wide_awake()
    ids = torch.randint(64, (1, 20))
    llama = LlamaForCausalLM(LlamaConfig(**llama_config(TINY)))
    missing, unexpected = llama.load_state_dict(as_llama(dict(student.state_dict())), strict=False)
    assert set(missing) <= {"lm_head.weight"} and not unexpected
    llama.tie_weights()
    logits = llama.float()(ids).logits[0, :-1]
    ours = student(ids[0], [20], torch.arange(1, 20))
    assert torch.isclose(ours, F.cross_entropy(logits, ids[0, 1:]), rtol=0.03)


def test_chats_in_one_row_do_not_see_each_other() -> None:
    student, ids = wide_awake(), torch.randint(64, (30,))
    alone = student(ids[10:], [20], torch.arange(5, 20))
    together = student(ids, [10, 20], torch.arange(15, 30))
    assert torch.isclose(alone, together, rtol=1e-3)


def test_attention_gradients_agree_with_the_library() -> None:
    from deploy.student.model import _ChatAttention

    q, k, v = (torch.randn(7, 2, 8, requires_grad=True) for _ in range(3))
    mine = torch.autograd.grad(_ChatAttention.apply(q, k, v, [7]).square().sum(), (q, k, v))
    swapped = (t.transpose(0, 1) for t in (q, k, v))
    theirs = torch.autograd.grad(
        F.scaled_dot_product_attention(*swapped, is_causal=True).square().sum(), (q, k, v)
    )
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(mine, theirs, strict=True))


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    values = torch.linalg.svdvals(orthogonalise(torch.randn(3, 16, 40)).float())
    assert bool(((values > 0.5) & (values < 1.5)).all())
