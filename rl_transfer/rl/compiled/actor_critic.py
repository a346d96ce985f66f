"""An SB3 actor-critic as the engine's table of layers, its tensors views of the engine's arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.distributions import (
    CategoricalDistribution,
    DiagGaussianDistribution,
    MultiCategoricalDistribution,
)
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor

from rl_transfer.engine.acting import DIMENSIONS
from rl_transfer.engine.distributions import CATEGORICAL, GAUSSIAN
from rl_transfer.engine.network import CONSTANT, INPUTS, STATE, DenseLayer, gathered, row_size, table
from rl_transfer.rl.compiled.networks import Layout, Store, chain
from rl_transfer.rl.compiled.optimization import OptimizerState


class ActorCritic:
    """The networks of a policy, compiled.

    Args:
        policy: with dense networks.

    Attributes:
        parameters: all tensors, one after another.
        gradient: workspace of the same size.
        moments: the optimizer's.
        layers: ``[layer, column]``.
        shape: ``[entry]``, where heads and ``log_std`` are.
        sizes: ``[group]``, choices of each categorical.
        spans: ``[tensor, column]``.
        gathered: nodes that minibatches need not compute.
        inputs: width of the observation.
        row_size: numbers of one row's values.
        still_size: numbers of one row's values that are kept over a rollout.
    """

    def __init__(self, policy: ActorCriticPolicy) -> None:
        self._policy = policy
        self._named = dict(policy.named_parameters())
        self._layout = Layout(self._named)
        self._store = Store(self._named, self._layout)
        self.parameters = self._store.array
        self.gradient = np.zeros_like(self.parameters)
        self.moments = OptimizerState(policy.optimizer, self._named, self._layout)
        self.sizes, self._kind = groups(policy)
        self._flags: list[bool] = []
        self.bind()

    @property
    def dimensions(self) -> int:
        """Numbers of one action."""
        return len(self.sizes) if self._kind == CATEGORICAL else int(self.shape[DIMENSIONS])

    def bind(self) -> bool:
        """Take over what changed since the last time: tensors that moved, what is trained.

        Returns:
            Whether the layers changed.
        """
        self._store.adopt()
        self.moments.bind()
        flags = [each.requires_grad for each in self._named.values()]
        if flags == self._flags:
            return False
        self._flags = flags
        self.spans = self._layout.spans(self._named)
        self._build()
        return True

    def pull_to(self, springs: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Pull parameters to values.

        Args:
            springs: name in the policy → value and stiffness.
        """
        self.moments.pull_to(springs)

    def _build(self) -> None:
        extractor, layout = self._policy.mlp_extractor, self._layout
        layers: list[DenseLayer] = []
        ends: list[int] = []
        for trunk, head in (("policy_net", "action_net"), ("value_net", "value_net")):
            named = [
                (f"mlp_extractor.{trunk}.{name}", module)
                for name, module in extractor.get_submodule(trunk).named_children()
            ]
            found = chain([*named, (head, self._policy.get_submodule(head))], 0, len(layers) + 1, layout)
            layers += found.layers
            ends.append(found.end)
        self.layers = table(layers)
        log_std = self._named.get("log_std")
        start = layout.offsets.get("log_std", 0)
        self.shape = np.array(
            [*ends, start, 0 if log_std is None else log_std.numel(), self._kind], dtype=np.int64
        )
        self.gathered = gathered(self.layers, ends)
        self.inputs, self.row_size = int(self.layers[0, INPUTS]), row_size(self.layers)
        still = bool((self.layers[:, STATE] == CONSTANT).any())
        self.still_size = self.row_size if still else self.inputs


def groups(policy: ActorCriticPolicy) -> tuple[NDArray[np.int64], int]:
    """The action distribution of a policy.

    Args:
        policy: any.

    Returns:
        Choices of each categorical (none for a Gaussian), and the number of its kind.

    Raises:
        ValueError: it is neither.
    """
    made = policy.action_dist
    if isinstance(made, CategoricalDistribution):
        return np.array([made.action_dim], dtype=np.int64), CATEGORICAL
    if isinstance(made, MultiCategoricalDistribution):
        return np.array(made.action_dims, dtype=np.int64), CATEGORICAL
    if isinstance(made, DiagGaussianDistribution):
        return np.zeros(0, dtype=np.int64), GAUSSIAN
    raise ValueError(f"actions are distributed as {type(made).__name__}")
