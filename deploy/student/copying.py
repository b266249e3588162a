"""Two first layers that copy from the start: one looks back, one finds what came after the same words before.

Copying any word from the context takes heads that work together ("induction heads", Olsson et al. 2022),
which a student this small finds late or never; with them it reads from the first step on. The layers are
written here and held while the rest is trained around them. Knows `model.py`, and nothing of text.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from deploy.student.model import Student

LAYERS = 2
CONSTANT = 1.0
"""What every embedding has in its last place: queries and keys have no bias, and looking back needs one."""
CODE = 64  # places that tell the last word
TOLD = (CODE, CODE, CODE // 2)  # how much of it is told of the last word, the one before, and the third
# Shares of the rotations, from the fastest on, in what looks back. The first four alone agree at a distance
# of 402 as well as at one, which leads long prompts astray; by these no other in the window comes near.
TURNS = (0.5, *[0.5 / 17] * 17)
BACK, SAME = 30.0, 30.0  # scores before the softmax: of the word to look at, of a word that is the same
# What the search compares, this word and the two before it: by so many of the slowest rotations, with such
# shares of SAME, roughly squared. One word alone is found in too many places: "of the" less than "the".
SOUGHT = ((8, 1.0), (6, 0.93), (4, 0.85))
SAID = 3.0  # length of what is copied, of an embedding's


@torch.no_grad()  # type: ignore[untyped-decorator]
def begin_copying(student: Student) -> None:
    """Writes the first two layers, and the constant into the embedding."""
    hold_constant(student)
    draw = torch.Generator().manual_seed(12)
    # The words before are told where embeddings differ least; the constant's place is in no part.
    directions = _widened(torch.linalg.svd(student.embedding[:, :-1], full_matrices=False).Vh)
    turn = torch.linalg.qr(torch.randn(CODE, CODE, generator=draw)).Q
    *_, third, second, first = directions[-sum(TOLD) :].split(TOLD[::-1])
    write_layers(student, turn @ directions[:CODE], (first, second, third))
    for layer in range(LAYERS):
        student.gains[layer].fill_(1.0)
        student.down[layer].zero_()


@torch.no_grad()  # type: ignore[untyped-decorator]
def write_layers(student: Student, code: Tensor, rooms: Sequence[Tensor]) -> None:
    """`code` (CODE x width) reads a word; `rooms` (TOLD x width) are where the words before are told."""
    words = _normal(student.embedding)
    length = float(student.embedding.norm(dim=1).mean() / (words @ code.T).norm(dim=1).mean())
    _look_back(student, code, rooms, length)
    _find_again(student, code, rooms, length)


@torch.no_grad()  # type: ignore[untyped-decorator]
def hold_constant(student: Student) -> None:
    """After each step: the optimiser moves what the layers count on."""
    student.embedding[:, -1] = CONSTANT


def _widened(directions: Tensor) -> Tensor:
    return torch.cat((directions, torch.zeros(len(directions), 1)), 1)


def _normal(x: Tensor) -> Tensor:
    return x / x.pow(2).mean(1, keepdim=True).sqrt()


def _look_back(student: Student, code: Tensor, rooms: Sequence[Tensor], length: float) -> None:
    """Each head scores one distance highest, one word back, two or three, and tells that word's code."""
    shape, words = student.shape, _normal(student.embedding)
    q, k, v, out = (torch.zeros(shape.width, shape.width) for _ in range(4))
    half, pairs, shares = shape.head_width // 2, len(TURNS), torch.tensor(TURNS)
    angles = shape.rope_base ** -(torch.arange(pairs) / half)
    # From the right distance to the next the score falls by the sum of 1 - cos(angle).
    peak = BACK * shape.head_width**0.5 / float((shares * (1 - angles.cos())).sum())
    strength = (shares * peak).sqrt() / float(words[:, -1].mean())
    for head, room in enumerate(rooms):
        at, told = head * shape.head_width, len(room)
        q[at : at + pairs, -1] = strength * (angles * (head + 1)).cos()
        q[at + half : at + half + pairs, -1] = -strength * (angles * (head + 1)).sin()
        k[at : at + pairs, -1] = strength
        v[at : at + told] = code[:told]
        out[:, at : at + told] = room.T * length
    student.qkv[0].copy_(torch.cat((q, k, v)))
    student.out[0].copy_(out)


def _find_again(student: Student, code: Tensor, rooms: Sequence[Tensor], length: float) -> None:
    """Each head seeks this word's code where words before are told, and says the word that stands there.

    Of several such places it takes the one before which the same words stand as well.
    """
    shape, words = student.shape, _normal(student.embedding)
    q, k = (torch.zeros(shape.width, shape.width) for _ in range(2))
    half = shape.head_width // 2
    for head in range(shape.heads):
        start = head * shape.head_width + half
        for (pairs, share), here, there in zip(SOUGHT, (code, *rooms[:-1]), rooms, strict=True):
            # From the slowest rotations on: over a thousand words those for this word turn by a radian at
            # most, those for the words before it over a hundred or two: they tell near places apart.
            start -= pairs
            part = [(head * CODE // shape.heads + n) % len(there) for n in range(2 * pairs)]
            places = [*range(start, start + pairs), *range(start + half, start + half + pairs)]
            q[places], k[places] = share * here[part], share * there[part]
    # How well a word's question fits the key that stands after that word; any other words may stand around.
    told = words @ code.T * length
    keys = _normal(student.embedding.roll(1, 0) + told @ rooms[0])
    fit = float(((words @ q.T) * (keys @ k.T)).sum(1).mean()) / shape.heads
    factor = (SAME * shape.head_width**0.5 / fit) ** 0.5
    student.qkv[1].copy_(torch.cat((q * factor, k * factor, torch.eye(shape.width))))
    said = SAID * float(student.embedding.norm(dim=1).mean() / words.norm(dim=1).mean())
    student.out[1].copy_(torch.eye(shape.width) * said)
