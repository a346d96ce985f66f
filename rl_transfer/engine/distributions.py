"""Distributions of actions: products of categorical ones, and diagonal Gaussians with a free spread.

``head`` is what the network's action head gives: unnormalised log-probabilities, one group per
categorical, or means. ``log_std`` is empty for categorical ones.
"""

from __future__ import annotations

import math

import numpy as np

from rl_transfer.engine.arrays import Integers, Matrix, Vector
from rl_transfer.engine.compiling import kernel
from rl_transfer.engine.generators import ACTIONS, normal, uniform

CATEGORICAL, GAUSSIAN = range(2)
_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
_ENTROPY = np.float32(0.5 + _HALF_LOG_TWO_PI)
_LOG = np.float32(_HALF_LOG_TWO_PI)
_MOST_DIMENSIONS = 4096


@kernel
def normalize_logits(sizes: Integers, head: Matrix) -> None:
    """Turn logits into log-probabilities, in place.

    Args:
        sizes: ``[group]``, choices of each categorical.
        head: ``[row, choice]``, all groups side by side.
    """
    for i in range(head.shape[0]):
        start = 0
        for size in sizes:
            top = head[i, start]
            for j in range(start + 1, start + size):
                top = head[i, j] if head[i, j] > top else top
            total = np.float32(0.0)
            for j in range(start, start + size):
                total += np.float32(math.exp(head[i, j] - top))
            norm = top + np.float32(math.log(total))
            for j in range(start, start + size):
                head[i, j] -= norm
            start += size


@kernel
def sample(
    kind: int,
    sizes: Integers,
    head: Matrix,
    log_std: Vector,
    key: int,
    place: int,
    actions: Matrix,
) -> None:
    """Draw actions.

    Args:
        kind: ``CATEGORICAL`` or ``GAUSSIAN``.
        sizes: ``[group]``.
        head: ``[row, unit]``; of categorical ones it must hold log-probabilities.
        log_std: ``[dimension]``.
        key: of the generator.
        place: number of the draw in its stream; never the same twice in a run.
        actions: ``[row, dimension]``, overwritten; whole numbers from 0 for categorical ones.
    """
    for i in range(head.shape[0]):
        base = i * _MOST_DIMENSIONS
        if kind == GAUSSIAN:
            for j in range(head.shape[1]):
                spread = math.exp(log_std[j]) * normal(key, ACTIONS, place, base + j)
                actions[i, j] = head[i, j] + np.float32(spread)
        else:
            start = 0
            for group in range(sizes.shape[0]):
                left = uniform(key, ACTIONS, place, base + group)
                chosen = sizes[group] - 1
                for j in range(sizes[group] - 1):
                    left -= math.exp(head[i, start + j])
                    if left < 0.0:
                        chosen = j
                        break
                actions[i, group] = np.float32(chosen)
                start += sizes[group]


@kernel
def log_probability(
    kind: int,
    sizes: Integers,
    head: Matrix,
    log_std: Vector,
    actions: Matrix,
    found: Vector,
    entropy: Vector,
) -> None:
    """Log-probabilities of actions, and entropies.

    Args:
        kind: ``CATEGORICAL`` or ``GAUSSIAN``.
        sizes: ``[group]``.
        head: ``[row, unit]``; of categorical ones it must hold log-probabilities.
        log_std: ``[dimension]``.
        actions: ``[row, dimension]``.
        found: ``[row]``, gets log p(a) (log density for Gaussians).
        entropy: ``[row]``, gets the entropy.
    """
    for i in range(head.shape[0]):
        total, spread = np.float32(0.0), np.float32(0.0)
        if kind == GAUSSIAN:
            for j in range(head.shape[1]):
                z = (actions[i, j] - head[i, j]) * np.float32(math.exp(-log_std[j]))
                total -= np.float32(0.5) * z * z + log_std[j] + _LOG
                spread += _ENTROPY + log_std[j]
        else:
            start = 0
            for group in range(sizes.shape[0]):
                total += head[i, start + np.int64(actions[i, group])]
                for j in range(start, start + sizes[group]):
                    spread -= np.float32(math.exp(head[i, j])) * head[i, j]
                start += sizes[group]
        found[i], entropy[i] = total, spread


@kernel
def pull_back(
    kind: int,
    sizes: Integers,
    head: Matrix,
    log_std: Vector,
    actions: Matrix,
    slope: Vector,
    entropy_slope: float,
    delta: Matrix,
    log_std_gradient: Vector,
) -> None:
    """Derivatives with respect to what the distribution is made of.

    Args:
        kind: ``CATEGORICAL`` or ``GAUSSIAN``.
        sizes: ``[group]``.
        head: ``[row, unit]``; of categorical ones it must hold log-probabilities.
        log_std: ``[dimension]``.
        actions: ``[row, dimension]``.
        slope: ``[row]``, the loss's derivative with respect to log p(a).
        entropy_slope: the loss's derivative with respect to the entropy of each row.
        delta: ``[row, unit]``, gets the derivatives with respect to logits or means.
        log_std_gradient: ``[dimension]``, gets those with respect to ``log_std``, summed over rows.
    """
    weight = np.float32(entropy_slope)
    log_std_gradient[:] = np.float32(0.0)
    for i in range(head.shape[0]):
        if kind == GAUSSIAN:
            for j in range(head.shape[1]):
                shrink = np.float32(math.exp(-log_std[j]))
                z = (actions[i, j] - head[i, j]) * shrink
                delta[i, j] = slope[i] * z * shrink
                log_std_gradient[j] += slope[i] * (z * z - np.float32(1.0)) + weight
        else:
            start = 0
            for group in range(sizes.shape[0]):
                end = start + sizes[group]
                entropy = np.float32(0.0)
                for j in range(start, end):
                    entropy -= np.float32(math.exp(head[i, j])) * head[i, j]
                chosen = start + np.int64(actions[i, group])
                for j in range(start, end):
                    p = np.float32(math.exp(head[i, j]))
                    hit = np.float32(1.0) if j == chosen else np.float32(0.0)
                    delta[i, j] = slope[i] * (hit - p) - weight * p * (head[i, j] + entropy)
                start = end
