"""Generalised advantage estimation."""

from __future__ import annotations

import numpy as np

from rl_transfer.engine.arrays import Matrix, Vector
from rl_transfer.engine.compiling import kernel


@kernel
def advantages(
    rewards: Matrix,
    values: Matrix,
    starts: Matrix,
    last_values: Vector,
    last_dones: Vector,
    gamma: float,
    lam: float,
    found: Matrix,
    returns: Matrix,
) -> None:
    """Advantages and returns of a rollout (Schulman et al. 2016).

    Â_t = δ_t + γλ (1 − d_{t+1}) Â_{t+1} with δ_t = r_t + γ (1 − d_{t+1}) V_{t+1} − V_t.

    Args:
        rewards: ``[step, environment]``.
        values: ``[step, environment]``, V of the observations acted on.
        starts: ``[step, environment]``, 1 where an episode began with that observation.
        last_values: ``[environment]``, V of the observation after the last step.
        last_dones: ``[environment]``, 1 where the last step ended an episode.
        gamma: discount.
        lam: λ.
        found: ``[step, environment]``, gets Â.
        returns: ``[step, environment]``, gets Â + V.
    """
    discount, decay = np.float32(gamma), np.float32(gamma * lam)
    steps, count = rewards.shape
    for e in range(count):
        ahead = np.float32(0.0)
        for back in range(steps):
            t = steps - 1 - back
            last = back == 0
            going = np.float32(1.0) - (last_dones[e] if last else starts[t + 1, e])
            value = last_values[e] if last else values[t + 1, e]
            ahead = rewards[t, e] + discount * value * going - values[t, e] + decay * going * ahead
            found[t, e] = ahead
            returns[t, e] = ahead + values[t, e]
