"""SB3's Q-network and its target network as the engine's tables, their tensors views of its arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import Tensor

from rl_transfer.engine.network import INPUTS, row_size, table
from rl_transfer.rl.compiled.networks import Layout, Store, chain
from rl_transfer.rl.compiled.optimization import OptimizerState


class QNetworks:
    """The networks of a policy, compiled.

    Args:
        policy: with dense networks.

    Attributes:
        parameters: all tensors of the Q-network, one after another.
        target: those of the target network, likewise.
        gradient: workspace of the same size.
        moments: the optimizer's.
        layers: ``[layer, column]``.
        node: of the action values.
        spans: ``[tensor, column]``.
        inputs: width of the observation.
        row_size: numbers of one row's values.
    """

    def __init__(self, policy: DQNPolicy) -> None:
        self._net: QNetwork = policy.q_net
        self._named = dict(policy.q_net.named_parameters())
        self._targets = dict(policy.q_net_target.named_parameters())
        self._layout = Layout(self._named)
        self._stores = Store(self._named, self._layout), Store(self._targets, self._layout)
        self.parameters, self.target = (store.array for store in self._stores)
        self.gradient = np.zeros_like(self.parameters)
        self.moments = OptimizerState(policy.optimizer, self._named, self._layout)
        self._flags: list[bool] = []
        self.bind()

    def bind(self) -> None:
        """Take over what changed since the last time: tensors that moved, what is trained."""
        for store in self._stores:
            store.adopt()
        self.moments.bind()
        flags = [each.requires_grad for each in self._named.values()]
        if flags == self._flags:
            return
        self._flags = flags
        self.spans = self._layout.spans(self._named)
        self._held = [slice(start, end) for start, end, trained in self.spans if not trained]
        named = [(f"q_net.{name}", module) for name, module in self._net.q_net.named_children()]
        found = chain(named, 0, 1, self._layout)
        self.layers, self.node = table(found.layers), found.end
        self.inputs, self.row_size = int(self.layers[0, INPUTS]), row_size(self.layers)

    def pull_to(self, springs: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Pull parameters to values.

        Args:
            springs: name in the policy → value and stiffness.
        """
        start = "q_net."
        own = {name.removeprefix(start): each for name, each in springs.items() if name.startswith(start)}
        self.moments.pull_to(own)

    def hold_target(self) -> None:
        """Copy what is frozen into the target network, which drifts by rounding where it is averaged."""
        for span in self._held:
            self.target[span] = self.parameters[span]
