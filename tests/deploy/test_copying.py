from __future__ import annotations

import math

import torch

from deploy.student.copying import CONSTANT, LAYERS, begin_copying
from deploy.student.model import Shape, Student
from deploy.student.rows import Row
from deploy.student.train import Run, Trainer

PIECES = 500
SHAPE = Shape(PIECES, width=256, layers=LAYERS + 1, heads=4, hidden=64, copying=True)


def fresh() -> Student:
    torch.manual_seed(1)
    student = Student(SHAPE)
    begin_copying(student)
    return student


def loss_of_saying_again(student: Student, length: int, words: int = PIECES, before: int = 0) -> float:
    """From the third word of the second time on, over a random passage of so many words said twice."""
    draw = torch.Generator().manual_seed(2)
    passage = torch.randint(0, words, (length,), generator=draw)
    ids = torch.cat((torch.randint(0, PIECES, (before,), generator=draw), passage.repeat(2)))
    with torch.no_grad():
        return float(student(ids, [len(ids)], torch.arange(before + length + 2, len(ids))))


def test_a_student_copies_any_passage_before_it_has_learned_anything() -> None:
    blank = Student(SHAPE)
    for length in (24, 80):
        assert loss_of_saying_again(fresh(), length) < 0.6 * math.log(PIECES)
        assert loss_of_saying_again(blank, length) > math.log(PIECES)


def test_much_that_stands_before_leads_nothing_astray() -> None:
    """What looks back must score no far distance as high as the near one."""
    alone = loss_of_saying_again(fresh(), 40)
    for before in (450, 2000):
        assert loss_of_saying_again(fresh(), 40, before=before) < 1.3 * alone


def test_of_several_places_it_copies_from_the_one_before_which_the_same_words_stand() -> None:
    """In a passage of twenty words each is said four times, and two in a row seldom twice."""
    student = fresh()
    without = fresh()
    with torch.no_grad():
        without.out[0][:, SHAPE.head_width :] = 0  # nothing is told of the words before the last
    assert loss_of_saying_again(student, 80, 20) < 0.75 * loss_of_saying_again(without, 80, 20)


def test_training_goes_on_around_the_copying_layers() -> None:
    trainer = Trainer(SHAPE, Run(row=256))
    begin_copying(trainer.student)
    student = trainer.student
    before = [tensor.clone() for tensor in (student.qkv[0], student.out[1], student.up[0], student.gains[1])]
    third = student.out[LAYERS].clone()
    ids = torch.randint(0, PIECES, (64,), generator=torch.Generator().manual_seed(3))
    loss = student(ids, [64], torch.arange(1, 64))
    loss.backward()
    trainer.optimiser.step(0.01, 0.01)
    after = (student.qkv[0], student.out[1], student.up[0], student.gains[1])
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert not torch.equal(third, student.out[LAYERS])


def test_every_embedding_keeps_the_constant_that_looking_back_needs() -> None:

    trainer = Trainer(SHAPE, Run(row=256))
    begin_copying(trainer.student)
    ids = torch.randint(0, PIECES, (64,), generator=torch.Generator().manual_seed(4))
    trainer.train(Row(ids, [64], torch.arange(1, 64)), 1.0)
    assert bool((trainer.student.embedding[:, -1] == CONSTANT).all())
