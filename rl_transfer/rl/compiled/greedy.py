"""The likeliest actions of a policy through the engine, for evaluation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.dqn.policies import DQNPolicy

from rl_transfer.engine import acting, network
from rl_transfer.rl.compiled.actor_critic import groups
from rl_transfer.rl.compiled.fit import of_policy
from rl_transfer.rl.compiled.networks import Layout, chain
from rl_transfer.rl.compiled.worlds import Encoder

Observations = NDArray[np.generic]
Actions = NDArray[np.generic]


def greedy_act(policy: BasePolicy) -> Callable[[Observations], Actions] | None:
    """A policy as a function of stacked observations, without sampling.

    Its tensors are read once, now.

    Args:
        policy: any of SB3's.

    Returns:
        Observations ``[row, …]``, normalised where the policy expects that → actions ``[row, …]``, within
        the bounds; None where the engine cannot compute the policy.
    """
    if next(of_policy(policy), None) is not None:
        return None
    space = policy.observation_space
    if not isinstance(space, spaces.Box | spaces.Discrete):
        return None
    if isinstance(policy, ActorCriticPolicy):
        trunk = policy.mlp_extractor.policy_net.named_children()
        modules = [
            *((f"mlp_extractor.policy_net.{k}", m) for k, m in trunk),
            ("action_net", policy.action_net),
        ]
        sizes, _ = groups(policy)
    elif isinstance(policy, DQNPolicy) and isinstance(policy.action_space, spaces.Discrete):
        modules = [(f"q_net.q_net.{k}", m) for k, m in policy.q_net.q_net.named_children()]
        sizes = np.array([policy.action_space.n], dtype=np.int64)
    else:
        return None
    names = {f"{name}.{kind}" for name, _ in modules for kind in ("weight", "bias")}
    named = {name: each for name, each in policy.named_parameters() if name in names}
    layout = Layout(named)
    parameters = np.zeros(layout.size, dtype=np.float32)
    for name, start in layout.offsets.items():
        parameters[start : start + named[name].numel()] = named[name].detach().numpy().reshape(-1)
    found = chain(modules, 0, 1, layout)
    return _Greedy(
        network.table(found.layers), found.end, sizes, parameters, Encoder(space), policy.action_space
    )


class _Greedy:
    def __init__(
        self,
        layers: NDArray[np.int64],
        node: int,
        sizes: NDArray[np.int64],
        parameters: NDArray[np.float32],
        encode: Encoder,
        actions: spaces.Space[object],
    ) -> None:
        self._layers, self._node, self._sizes, self._parameters = layers, node, sizes, parameters
        self._encode, self._space = encode, actions
        self._dimensions = len(sizes) or int(layers[-1, network.OUTPUTS])
        self._rooms: dict[int, tuple[network.Workspace, NDArray[np.float32], NDArray[np.float32]]] = {}

    def __call__(self, observations: Observations) -> Actions:
        rows = len(observations)
        if rows not in self._rooms:
            room = network.Workspace(rows, network.row_size(self._layers))
            seen = np.zeros((rows, self._encode.size), dtype=np.float32)
            self._rooms[rows] = room, seen, np.zeros((rows, self._dimensions), dtype=np.float32)
        room, seen, actions = self._rooms[rows]
        self._encode(observations, seen)
        acting.greedy(
            self._layers,
            self._node,
            self._sizes,
            self._parameters,
            room.values,
            room.before,
            seen,
            actions,
        )
        if isinstance(self._space, spaces.Box):
            shaped = actions.reshape(rows, *self._space.shape)
            return np.clip(shaped, self._space.low, self._space.high)
        whole = actions.astype(np.int64)
        return whole if isinstance(self._space, spaces.MultiDiscrete) else whole[:, 0]
