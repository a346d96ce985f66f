"""Running moments and normalisation of ``VecNormalize``, compiled; to the bit the numbers of SB3.

SB3 takes mean and variance of every batch with NumPy, whose sums have an order of their own: along a
vector in pairs of eighths, down the columns of a matrix row after row. The sums here have the same order,
and the same precision: that of the observations, from which the moments in double precision are updated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize

from rl_transfer.engine.compiling import kernel
from rl_transfer_envs.aliases import Array

Doubles = NDArray[np.float64]
Singles = NDArray[np.float32]
Flags = NDArray[np.bool_]

BLOCK = 128
"""Numbers that NumPy sums in eight partial sums before it halves a vector."""
DEPTH = 64
"""Halvings of any vector, at most."""


@kernel(exact=True)
def _block(values: Array, first: int, count: int) -> np.float64:
    """The sum of up to ``BLOCK`` numbers of a vector in NumPy's order."""
    total: np.float64 = values[first]
    if count < 8:
        for i in range(first + 1, first + count):
            total += values[i]
        return total
    eight = values[first : first + 8].copy()
    whole = count - count % 8
    for i in range(8, whole, 8):
        for j in range(8):
            eight[j] += values[first + i + j]
    total = ((eight[0] + eight[1]) + (eight[2] + eight[3])) + ((eight[4] + eight[5]) + (eight[6] + eight[7]))
    for i in range(first + whole, first + count):
        total += values[i]
    return total


@kernel(exact=True)
def _pairwise(values: Array) -> np.float64:
    """The sum of a vector in NumPy's order: halved down to blocks, the halves' sums added.

    It keeps its own stack: compiled functions that call themselves crash when they come from the disk.
    """
    if values.size <= BLOCK:
        return _block(values, 0, values.size)
    spans, left = np.zeros((DEPTH, 3), np.int64), np.zeros(DEPTH, values.dtype)
    spans[0, 1] = values.size
    top = 0
    total: np.float64 = values[0]
    while True:
        while spans[top, 1] > BLOCK:
            half = spans[top, 1] // 2
            half -= half % 8
            spans[top + 1, 0], spans[top + 1, 1], spans[top + 1, 2] = spans[top, 0], half, 0
            top += 1
        total = _block(values, spans[top, 0], spans[top, 1])
        top -= 1
        while top >= 0 and spans[top, 2] == 1:
            total = left[top] + total
            top -= 1
        if top < 0:
            return total
        left[top], spans[top, 2] = total, 1
        half = spans[top, 1] // 2
        half -= half % 8
        spans[top + 1, 0], spans[top + 1, 1] = spans[top, 0] + half, spans[top, 1] - half
        spans[top + 1, 2] = 0
        top += 1


@kernel(exact=True)
def _total(values: Array, alone: bool) -> np.float64:
    """The sum of one column: of a matrix, or of one that has no other."""
    if alone:
        return _pairwise(values)
    total: np.float64 = values[0]
    for i in range(1, values.size):
        total += values[i]
    return total


@kernel(exact=True)
def update(batch: Array, mean: Doubles, variance: Doubles, count: float) -> float:
    """Take a batch into running moments (the parallel algorithm, as ``RunningMeanStd.update``).

    Args:
        batch: ``[row, entry]``, of either precision.
        mean: ``[entry]``, updated in place.
        variance: ``[entry]``, updated in place.
        count: of what the moments rest on.

    Returns:
        The new count.
    """
    rows, entries = batch.shape
    rounded = batch.dtype.type
    column = np.empty(rows, batch.dtype)
    after: float = count + rows
    for k in range(entries):
        for i in range(rows):
            column[i] = batch[i, k]
        center = rounded(_total(column, entries == 1) / rows)
        for i in range(rows):
            column[i] = column[i] - center
            column[i] = column[i] * column[i]
        spread = rounded(_total(column, entries == 1) / rows)
        delta = np.float64(center) - mean[k]
        mean[k] = mean[k] + delta * rows / after
        own = variance[k] * count
        theirs = np.float64(rounded(spread * rounded(rows)))
        variance[k] = (own + theirs + delta * delta * count * rows / after) / after
    return after


@kernel(exact=True)
def normalize(
    batch: Array, mean: Doubles, variance: Doubles, epsilon: float, clip: float, found: Singles
) -> None:
    """(x − mean) / √(variance + ε), clipped.

    Args:
        batch: ``[row, entry]``, of either precision.
        mean: ``[entry]``.
        variance: ``[entry]``.
        epsilon: ε.
        clip: the largest absolute value.
        found: ``[row, entry]``, gets the result.
    """
    rows, entries = batch.shape
    for k in range(entries):
        scale = np.sqrt(variance[k] + epsilon)
        for i in range(rows):
            found[i, k] = np.minimum(np.maximum((batch[i, k] - mean[k]) / scale, -clip), clip)


@kernel(exact=True)
def _rewards(
    rewards: Singles,
    dones: Flags,
    returns: Doubles,
    moments: Doubles,
    gamma: float,
    epsilon: float,
    clip: float,
    training: bool,
    scaled: bool,
    found: Singles,
) -> None:
    """Returns so far, their moments ``[mean, variance, count]``, and the scaled rewards."""
    if training:
        for i in range(rewards.size):
            returns[i] = returns[i] * gamma + rewards[i]
        moments[2] = update(returns.reshape((-1, 1)), moments[0:1], moments[1:2], moments[2])
    scale = np.sqrt(moments[1] + epsilon)
    for i in range(rewards.size):
        value = rewards[i] / scale
        found[i] = np.minimum(np.maximum(value, -clip), clip) if scaled else rewards[i]
        if dones[i]:
            returns[i] = 0.0


class RunningMoments:
    """What ``VecNormalize`` does to a step, on arrays; they are read from it and written back to it.

    Attributes:
        observations: ``float32[environment, entry]``, normalised where that is asked for.
        rewards: ``float32[environment]``, scaled where that is asked for.
        of_observations: whether observations are normalised.

    Args:
        env: the normalising wrapper.
        entries: numbers in one observation.
    """

    def __init__(self, env: VecNormalize, entries: int) -> None:
        self._env = env
        self.of_observations = bool(env.norm_obs)
        self._mean, self._variance, self._count = np.zeros(entries), np.ones(entries), 0.0
        self._of_returns = np.zeros(3)
        self._returns = np.zeros(env.num_envs)
        self.observations: Singles = np.zeros((env.num_envs, entries), dtype=np.float32)
        self.rewards: Singles = np.zeros(env.num_envs, dtype=np.float32)

    def read(self) -> None:
        """Take everything over from the wrapper."""
        env = self._env
        self._training = bool(env.training)
        self._returns = np.array(env.returns, dtype=np.float64)
        of_returns = env.ret_rms
        self._of_returns[:] = float(of_returns.mean), float(of_returns.var), of_returns.count
        if self.of_observations:
            rms = self._rms()
            self._mean = np.array(rms.mean, dtype=np.float64).reshape(-1)
            self._variance = np.array(rms.var, dtype=np.float64).reshape(-1)
            self._count = float(rms.count)

    def _rms(self) -> RunningMeanStd:
        found: RunningMeanStd | dict[str, RunningMeanStd] = self._env.obs_rms
        assert isinstance(found, RunningMeanStd)
        return found

    def write(self) -> None:
        """Write everything back into the wrapper."""
        env = self._env
        env.returns = self._returns.copy()
        if self._training:
            mean, variance, count = self._of_returns
            # They are typed as arrays, and numbers from the first update on.
            env.ret_rms.mean, env.ret_rms.var = mean, variance  # type: ignore[assignment]
            env.ret_rms.count = float(count)
            if self.of_observations:
                rms = self._rms()
                rms.mean = self._mean.reshape(np.shape(rms.mean)).copy()
                rms.var = self._variance.reshape(np.shape(rms.var)).copy()
                rms.count = self._count

    def step(self, observations: Array, rewards: Singles, dones: Flags) -> None:
        """One step of all environments.

        Args:
            observations: ``[environment, entry]``, as the environments gave them.
            rewards: ``float32[environment]``.
            dones: ``[environment]``.
        """
        env = self._env
        if self.of_observations:
            if self._training:
                self._count = update(observations, self._mean, self._variance, self._count)
            self.normalize(observations, self.observations)
        _rewards(
            rewards, dones, self._returns, self._of_returns, env.gamma, env.epsilon, env.clip_reward,
            self._training, env.norm_reward, self.rewards,
        )  # fmt: skip

    def normalize(self, observations: Array, found: Singles) -> None:
        """Normalise observations by the moments as they are.

        Args:
            observations: ``[row, entry]``.
            found: ``[row, entry]``, gets the result.
        """
        normalize(observations, self._mean, self._variance, self._env.epsilon, self._env.clip_obs, found)

    def restored(self, observations: Singles) -> Singles:
        """What SB3 makes of normalised observations that it needs as they were.

        Args:
            observations: ``float32[row, entry]``, normalised.
        """
        plain = observations * np.sqrt(self._variance + self._env.epsilon) + self._mean
        return plain.astype(np.float32)
