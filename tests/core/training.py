"""Training loops and comparisons that the tests share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def train(
    model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 5, set_to_none: bool = True
) -> None:
    """The loop that libraries write around an image classifier: training mode before every update."""
    for _ in range(steps):
        model.train()
        optimizer.zero_grad(set_to_none=set_to_none)
        loss = functional.cross_entropy(model(torch.randn(16, 2, 6, 6) + 1), torch.arange(16) % 3)
        loss.backward()
        optimizer.step()


def update(model: Any, optimizer: torch.optim.Optimizer) -> None:
    """One update of an actor-critic on random observations."""
    optimizer.zero_grad()
    policy, value = model(torch.randn(6, 4))
    (policy.square().sum() + (value - 1).square().sum() + model.log_std.sum()).backward()
    optimizer.step()


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed(model: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
