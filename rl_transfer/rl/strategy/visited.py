"""States that the source policy meets in its own environment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_transfer.rl.environments.build import make_env
from rl_transfer.rl.environments.evaluate import stack
from rl_transfer.rl.environments.spaces import Array, Observation
from rl_transfer.rl.policies.bundle import Policy

PLAYED_ENVS = 4


@dataclass(frozen=True)
class Visited:
    """States of a policy's own environment.

    Attributes:
        observations: ``[state, …]``, normalised as the policy sees them.
        actions: ``[state, …]``, what it did there, as its environment takes them.
    """

    observations: Observation
    actions: Array


def visited(source: Policy, samples: int, seed: int) -> Visited:
    """Let a policy play in its own environment, sampling its actions.

    Draws from torch's global generator.

    Args:
        source: the policy.
        samples: number of states.
        seed: of the environments.

    Returns:
        The first states that it met, of four environments side by side.

    Raises:
        RLTransferError: its environment cannot be built.
    """
    envs = [make_env(source.env) for _ in range(PLAYED_ENVS)]
    act = source.act(deterministic=False)
    current = [env.reset(seed=seed + index)[0] for index, env in enumerate(envs)]
    met: list[Observation] = []
    taken: list[Array] = []
    while len(met) < samples:
        met += current
        if getattr(source.algorithm, "use_sde", False):  # SB3 draws no exploration weights while predicting
            source.module.reset_noise(PLAYED_ENVS)  # type: ignore[operator]
        actions = act(stack(current, envs[0].observation_space))
        taken += [*actions]
        for index, env in enumerate(envs):
            current[index], _, terminated, truncated, _ = env.step(actions[index])
            if terminated or truncated:
                current[index] = env.reset()[0]
    space = envs[0].observation_space
    for env in envs:
        env.close()
    stacked = stack(met[:samples], space)
    seen = source.normalizer(stacked) if source.normalizer else stacked
    return Visited(seen, np.stack(taken[:samples]))
