"""A torch optimizer whose moments, step counts and rates are the engine's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from torch import Tensor

from rl_transfer.engine.optimizers import ADAM, RMSPROP, RMSPROP_TF
from rl_transfer.rl.compiled.networks import Layout, adopt

KINDS: Mapping[type[torch.optim.Optimizer], int] = {
    torch.optim.Adam: ADAM,
    torch.optim.RMSprop: RMSPROP,
    RMSpropTFLike: RMSPROP_TF,
}


class OptimizerState:
    """The state of an optimizer in flat arrays.

    Args:
        optimizer: of the parameters.
        named: name → parameter.
        layout: where the parameters lie.

    Attributes:
        kind: number of the optimizer.
        constants: β₁, β₂ (or α) and ε.
        first: moving means of gradients.
        second: moving means of their squares.
        steps: ``[tensor]``, steps taken.
        rates: ``[tensor]``, learning rates.
        anchor: what parameters are pulled to; empty for nothing.
        stiffness: how hard.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, named: Mapping[str, Tensor], layout: Layout) -> None:
        self._optimizer, self._named, self._layout = optimizer, dict(named), layout
        self.kind = KINDS[type(optimizer)]
        group = optimizer.param_groups[0]
        beta1, beta2 = group["betas"] if self.kind == ADAM else (0.0, group["alpha"])
        self.constants = np.array([beta1, beta2, group["eps"]])
        initial = 1.0 if self.kind == RMSPROP_TF else 0.0
        self.first = np.zeros(layout.size, dtype=np.float32)
        self.second = np.full(layout.size, initial, dtype=np.float32)
        self.steps: NDArray[np.float32] = np.zeros(len(layout.offsets), dtype=np.float32)
        self._counts = torch.from_numpy(self.steps)
        self.rates = np.zeros(len(layout.offsets))
        self._group_rates: list[float] = []
        self.anchor: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self.stiffness: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self._bound: object = None
        self._trained: list[bool] = []

    def bind(self) -> None:
        """Let the optimizer's tensors lie in the arrays; a state that was loaded is taken over."""
        trained = [each.requires_grad for each in self._named.values()]
        if self._bound is self._optimizer.state and trained == self._trained:
            return
        self._bound, self._trained = self._optimizer.state, trained
        second = "exp_avg_sq" if self.kind == ADAM else "square_avg"
        for index, (name, start) in enumerate(self._layout.offsets.items()):
            parameter = self._named[name]
            state = self._optimizer.state.get(parameter)
            if not state:
                if not parameter.requires_grad:
                    continue
                end = start + parameter.numel()
                self.first[start:end] = 0.0
                self.second[start:end] = 1.0 if self.kind == RMSPROP_TF else 0.0
                self.steps[index] = 0.0
                state = self._optimizer.state[parameter]
                state["step"] = 0 if self.kind == RMSPROP_TF else torch.tensor(0.0)
                state[second] = torch.from_numpy(self.second[start:end]).view(parameter.shape)
                if self.kind == ADAM:
                    state["exp_avg"] = torch.from_numpy(self.first[start:end]).view(parameter.shape)
            self.steps[index] = float(state["step"])
            if self.kind != RMSPROP_TF:
                state["step"] = self._counts[index]
            adopt(state[second], self.second, start)
            if self.kind == ADAM:
                adopt(state["exp_avg"], self.first, start)

    def pull_to(self, springs: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Pull parameters to values, besides what pulls them already.

        Args:
            springs: name of a parameter → value and stiffness; other names are passed over.
        """
        if not self.anchor.size:
            self.anchor, self.stiffness = (np.zeros(self._layout.size, dtype=np.float32) for _ in range(2))
        for name, (value, stiffness) in springs.items():
            if name in self._layout.offsets:
                start = self._layout.offsets[name]
                span = slice(start, start + value.numel())
                self.anchor[span] = value.detach().numpy().reshape(-1)
                self.stiffness[span] = stiffness.detach().numpy().reshape(-1)

    def read_rates(self) -> None:
        """Take over the learning rates of the parameter groups."""
        rates = [float(group["lr"]) for group in self._optimizer.param_groups]
        if rates == self._group_rates:
            return
        self._group_rates = rates
        rate = {
            id(parameter): group["lr"]
            for group in self._optimizer.param_groups
            for parameter in group["params"]
        }
        for index, name in enumerate(self._layout.offsets):
            self.rates[index] = rate.get(id(self._named[name]), 0.0)

    def write_steps(self) -> None:
        """Let the optimizer know how many steps were taken, where its count is no tensor."""
        if self.kind != RMSPROP_TF:
            return
        for index, name in enumerate(self._layout.offsets):
            state = self._optimizer.state.get(self._named[name])
            if state:
                state["step"] = int(self.steps[index])
