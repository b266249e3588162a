"""Two first layers that copy from the start: one looks back, one finds what came after the same word before.

Copying any word from the context takes heads that work together ("induction heads", Olsson et al. 2022),
which a student this small finds late or never; with them it reads from the first step on. The layers are
written here and held while the rest is trained around them. Knows `model.py`, and nothing of text.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deploy.student.model import Student

LAYERS = 2
CONSTANT = 1.0
"""What every embedding has in its last place: queries and keys have no bias, and looking back needs one."""
CODE = 64  # places that tell the word before
PAIRS = 4  # of the fastest rotations, which agree at one distance alone
BACK, SAME = 30.0, 20.0  # scores before the softmax: of the word before, of a word that is the same
SAID = 3.0  # length of what is copied, of an embedding's


@torch.no_grad()  # type: ignore[untyped-decorator]
def begin_copying(student: Student) -> None:
    """Writes the first two layers, and the constant into the embedding."""
    hold_constant(student)
    draw = torch.Generator().manual_seed(12)
    # The word before is told where embeddings differ least; the constant's place is in neither part.
    directions = torch.linalg.svd(student.embedding[:, :-1], full_matrices=False).Vh
    turn = torch.linalg.qr(torch.randn(CODE, CODE, generator=draw)).Q
    code, room = turn @ _widened(directions[:CODE]), _widened(directions[-CODE:])
    _look_back(student, code, room)
    _find_again(student, code, room)
    for layer in range(LAYERS):
        student.gains[layer].fill_(1.0)
        student.down[layer].zero_()


@torch.no_grad()  # type: ignore[untyped-decorator]
def hold_constant(student: Student) -> None:
    """After each step: the optimiser moves what the layers count on."""
    student.embedding[:, -1] = CONSTANT


def _widened(directions: Tensor) -> Tensor:
    return torch.cat((directions, torch.zeros(len(directions), 1)), 1)


def _normal(x: Tensor) -> Tensor:
    return x / x.pow(2).mean(1, keepdim=True).sqrt()


def _look_back(student: Student, code: Tensor, room: Tensor) -> None:
    """Each head scores the distance of one highest, and writes its part of that word's code into the room."""
    shape, words = student.shape, _normal(student.embedding)
    q, k, v, out = (torch.zeros(shape.width, shape.width) for _ in range(4))
    half, part = shape.head_width // 2, CODE // shape.heads
    angles = shape.rope_base ** -(torch.arange(PAIRS) / half)
    # From a distance of one to its neighbours the score falls by the sum of 1 - cos(angle).
    strength = (BACK * shape.head_width**0.5 / float((1 - angles.cos()).sum())) ** 0.5
    strength /= float(words[:, -1].mean())
    length = float(student.embedding.norm(dim=1).mean() / (words @ code.T).norm(dim=1).mean())
    for head in range(shape.heads):
        at, mine = head * shape.head_width, slice(head * part, (head + 1) * part)
        q[at : at + PAIRS, -1] = strength * angles.cos()
        q[at + half : at + half + PAIRS, -1] = -strength * angles.sin()
        k[at : at + PAIRS, -1] = strength
        v[at : at + part] = code[mine]
        out[:, at : at + part] = room[mine].T * length
    student.qkv[0].copy_(torch.cat((q, k, v)))
    student.out[0].copy_(out)


def _find_again(student: Student, code: Tensor, room: Tensor) -> None:
    """Each head seeks this word's code where words before are told, and says the word that stands there."""
    shape, words = student.shape, _normal(student.embedding)
    q, k = (torch.zeros(shape.width, shape.width) for _ in range(2))
    half, part = shape.head_width // 2, CODE // shape.heads
    for head in range(shape.heads):
        at, mine = head * shape.head_width, slice(head * part, (head + 1) * part)
        # The slowest rotations: over a thousand words they turn by less than one radian.
        slow = [at + half - part // 2 + place for place in range(part // 2)]
        slow += [place + half for place in slow]
        q[slow], k[slow] = code[mine], room[mine]
    # How well a word's question fits the key that stands after that word; any other word may stand there.
    told = words @ code.T * float(student.embedding.norm(dim=1).mean() / (words @ code.T).norm(dim=1).mean())
    keys = _normal(student.embedding.roll(1, 0) + told @ room)
    fit = float(((words @ q.T) * (keys @ k.T)).sum(1).mean()) / shape.heads
    factor = (SAME * shape.head_width**0.5 / fit) ** 0.5
    student.qkv[1].copy_(torch.cat((q * factor, k * factor, torch.eye(shape.width))))
    said = SAID * float(student.embedding.norm(dim=1).mean() / words.norm(dim=1).mean())
    student.out[1].copy_(torch.eye(shape.width) * said)
