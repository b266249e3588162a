"""Two first layers that copy from the start: one looks back, one finds what came after the same words before.

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
CODE = 64  # places that tell a word that was before
PAIRS = 4  # of the fastest rotations, which agree at one distance alone
BACK, SAME = 30.0, 24.0  # scores before the softmax: of the word to look at, of a word that is the same
SAME_BEFORE = 0.85  # share of SAME, roughly squared, where the word before is the same too
SAID = 3.0  # length of what is copied, of an embedding's


@torch.no_grad()  # type: ignore[untyped-decorator]
def begin_copying(student: Student) -> None:
    """Writes the first two layers, and the constant into the embedding."""
    hold_constant(student)
    draw = torch.Generator().manual_seed(12)
    # The words before are told where embeddings differ least; the constant's place is in no part.
    directions = torch.linalg.svd(student.embedding[:, :-1], full_matrices=False).Vh
    turn = torch.linalg.qr(torch.randn(CODE, CODE, generator=draw)).Q
    code = turn @ _widened(directions[:CODE])
    rooms = _widened(directions[-CODE:]), _widened(directions[-2 * CODE : -CODE])
    write_layers(student, code, rooms)
    for layer in range(LAYERS):
        student.gains[layer].fill_(1.0)
        student.down[layer].zero_()


@torch.no_grad()  # type: ignore[untyped-decorator]
def write_layers(student: Student, code: Tensor, rooms: tuple[Tensor, Tensor]) -> None:
    """`code` (CODE x width) reads a word; `rooms`, of its shape, is where the last two words are told."""
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


def _look_back(student: Student, code: Tensor, rooms: tuple[Tensor, Tensor], length: float) -> None:
    """Each head scores one distance highest, one word back or two, and tells half of that word's code."""
    shape, words = student.shape, _normal(student.embedding)
    q, k, v, out = (torch.zeros(shape.width, shape.width) for _ in range(4))
    half, each = shape.head_width // 2, shape.heads // 2
    angles = shape.rope_base ** -(torch.arange(PAIRS) / half)
    # From a distance of one to its neighbours the score falls by the sum of 1 - cos(angle).
    strength = (BACK * shape.head_width**0.5 / float((1 - angles.cos()).sum())) ** 0.5
    strength /= float(words[:, -1].mean())
    part = CODE // each
    for head in range(shape.heads):
        back, at = head // each, head * shape.head_width
        mine = slice(head % each * part, (head % each + 1) * part)
        q[at : at + PAIRS, -1] = strength * (angles * (back + 1)).cos()
        q[at + half : at + half + PAIRS, -1] = -strength * (angles * (back + 1)).sin()
        k[at : at + PAIRS, -1] = strength
        v[at : at + part] = code[mine]
        out[:, at : at + part] = rooms[back][mine].T * length
    student.qkv[0].copy_(torch.cat((q, k, v)))
    student.out[0].copy_(out)


def _find_again(student: Student, code: Tensor, rooms: tuple[Tensor, Tensor], length: float) -> None:
    """Each head seeks this word's code where words before are told, and says the word that stands there.

    Of several such places it takes the one before which the same word stands as well.
    """
    shape, words = student.shape, _normal(student.embedding)
    q, k = (torch.zeros(shape.width, shape.width) for _ in range(2))
    half, part = shape.head_width // 2, CODE // shape.heads
    pairs, pairs_before = part // 2, part // 4
    for head in range(shape.heads):
        at, first = head * shape.head_width, head * part
        # The slowest rotations: over a thousand words they turn by about one radian.
        slow = _places(at + half - pairs, pairs, half)
        q[slow], k[slow] = code[first : first + part], rooms[0][first : first + part]
        before = _places(at + half - pairs - pairs_before, pairs_before, half)
        few = slice(first, first + 2 * pairs_before)
        q[before], k[before] = SAME_BEFORE * rooms[0][few], SAME_BEFORE * rooms[1][few]
    # How well a word's question fits the key that stands after that word; any other words may stand around.
    told = words @ code.T * length
    keys = _normal(student.embedding.roll(1, 0) + told @ rooms[0])
    fit = float(((words @ q.T) * (keys @ k.T)).sum(1).mean()) / shape.heads
    factor = (SAME * shape.head_width**0.5 / fit) ** 0.5
    student.qkv[1].copy_(torch.cat((q * factor, k * factor, torch.eye(shape.width))))
    said = SAID * float(student.embedding.norm(dim=1).mean() / words.norm(dim=1).mean())
    student.out[1].copy_(torch.eye(shape.width) * said)


def _places(start: int, pairs: int, half: int) -> list[int]:
    """The places of so many rotations: each turns two that lie half a head apart."""
    return [*range(start, start + pairs), *range(start + half, start + half + pairs)]
