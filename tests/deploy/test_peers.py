from __future__ import annotations

import torch

from deploy.student import peers
from deploy.student.peers import Peers


def add_three(rank: int, count: int, port: int) -> None:
    other = peers.join(rank, count, port)
    other.average([torch.full((2,), 3.0)])
    other.gather([torch.tensor([0.0, 5.0])])
    other.agree(0.0)


def test_alone_nothing_changes() -> None:
    tensor = torch.ones(3)
    Peers().average([tensor])
    Peers().gather([tensor])
    assert tensor.tolist() == [1.0, 1.0, 1.0] and Peers().agree(0.5) == 0.5


def test_two_processes_average_gather_and_agree() -> None:
    first = peers.start(2, add_three)
    mean, parts = torch.ones(2), torch.tensor([4.0, 0.0])
    first.average([mean])
    first.gather([parts])
    assert first.agree(0.25) == 0.25
    assert mean.tolist() == [2.0, 2.0] and parts.tolist() == [4.0, 5.0]
    torch.distributed.destroy_process_group()
