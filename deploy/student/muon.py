"""The optimiser: orthogonalised momentum for matrices, Adam for the rest, float32 masters of all.

Knows nothing of the model beyond its parameters. Orthogonalising the momentum of a matrix (Muon,
Jordan et al. 2024) saves about half the tokens that a small model needs; embedding and gains take Adam.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deploy.student.peers import Peers

# Quintic iteration that drives all singular values near 1; coefficients from the Muon write-up.
_A, _B, _C = 3.4445, -4.7750, 2.0315


def orthogonalise(stack: Tensor, rounds: int = 5) -> Tensor:
    """Nearest semi-orthogonal matrices of a stack (n, rows, columns), roughly, in bfloat16."""
    x = stack.to(torch.bfloat16)
    tall = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2) if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(rounds):
        gram = x @ x.transpose(1, 2)
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x.transpose(1, 2) if tall else x


class Optimiser:
    """Steps all parameters; a matrix of `k` stacked square-ish blocks is orthogonalised block by block."""

    def __init__(
        self, matrices: list[tuple[nn.Parameter, int]], others: list[nn.Parameter], peers: Peers
    ) -> None:
        self.matrices, self.others, self.peers = matrices, others, peers
        self.masters = [p.detach().float().clone() for p, _ in matrices]
        self.momenta = [torch.zeros_like(m) for m in self.masters]
        self.adam = torch.optim.Adam(others, lr=0.0, betas=(0.9, 0.98), eps=1e-10)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, matrix_rate: float, other_rate: float) -> None:
        parameters = [*(p for p, _ in self.matrices), *self.others]
        self.peers.average([p.grad for p in parameters if p.grad is not None])
        for group in self.adam.param_groups:
            group["lr"] = other_rate
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        directions = self._directions()
        for (parameter, _), master, direction in zip(self.matrices, self.masters, directions, strict=True):
            master.add_(direction, alpha=-matrix_rate)
            parameter.copy_(master)
            parameter.grad = None

    def _directions(self) -> list[Tensor]:
        """One update per matrix; blocks of one shape are orthogonalised in one batch, each by one process."""
        groups: dict[tuple[int, int], list[Tensor]] = {}
        directions = [torch.zeros_like(momentum) for momentum in self.momenta]
        targets: dict[tuple[int, int], list[Tensor]] = {}
        for (parameter, blocks), momentum, direction in zip(
            self.matrices, self.momenta, directions, strict=True
        ):
            gradient = torch.zeros_like(momentum) if parameter.grad is None else parameter.grad.float()
            momentum.lerp_(gradient, 0.05)
            ahead = gradient.lerp(momentum, 0.95)
            for block, target in zip(ahead.chunk(blocks), direction.chunk(blocks), strict=True):
                groups.setdefault((block.shape[0], block.shape[1]), []).append(block)
                targets.setdefault((block.shape[0], block.shape[1]), []).append(target)
        mine = slice(self.peers.rank, None, self.peers.count)
        for (rows, columns), entries in groups.items():
            scale = max(1.0, rows / columns) ** 0.5
            if own := entries[mine]:
                for target, done in zip(
                    targets[rows, columns][mine], orthogonalise(torch.stack(own)), strict=True
                ):
                    target.copy_(done * scale)
        self.peers.gather(directions)
        return directions

    def state(self) -> dict[str, object]:
        return {"masters": self.masters, "momenta": self.momenta, "adam": self.adam.state_dict()}

    def restore(self, state: dict[str, object]) -> None:
        for mine, saved in ((self.masters, state["masters"]), (self.momenta, state["momenta"])):
            for tensor, value in zip(mine, saved, strict=True):  # type: ignore[call-overload]
                tensor.copy_(value)
        self.adam.load_state_dict(state["adam"])
