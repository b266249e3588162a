"""Training processes that share one step: each takes a part of the row, all keep the same weights.

Knows nothing of models. On a CPU a process for each core wastes far less time than one with many threads.
"""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Peers:
    rank: int = 0
    count: int = 1

    def average(self, tensors: list[Tensor]) -> None:
        """Replaces each tensor by its mean over all processes."""
        if self.count == 1:
            return
        flat = torch.cat([t.reshape(-1).float() for t in tensors]) / self.count
        dist.all_reduce(flat)
        for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def gather(self, parts: list[Tensor]) -> None:
        """Fills in, in place, what other processes have computed; each leaves zeros for what it has not."""
        if self.count == 1:
            return
        flat = torch.cat([part.reshape(-1) for part in parts])
        dist.all_reduce(flat)
        for part, whole in zip(parts, flat.split([p.numel() for p in parts]), strict=True):
            part.copy_(whole.view_as(part))

    def agree(self, value: float) -> float:
        """The first process's value, in all of them."""
        shared = torch.tensor([value])
        if self.count > 1:
            dist.broadcast(shared, 0)
        return float(shared)


def join(rank: int, count: int, port: int) -> Peers:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=count)
    return Peers(rank, count)


def start(count: int, work: Callable[..., None], *given: object) -> Peers:
    """Starts the other processes with `work(rank, count, port, *given)` each and joins them as the first."""
    if count == 1:
        return Peers()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn = multiprocessing.get_context("spawn")
    for rank in range(1, count):
        spawn.Process(target=work, args=(rank, count, port, *given), daemon=True).start()
    return join(0, count, port)
