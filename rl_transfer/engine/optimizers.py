"""Adam and RMSprop over one flat vector of parameters, and the clipping of gradients by their norm.

Parameters stand in spans, one per tensor, each with a learning rate and a count of steps of its own:
what is thawed late begins with fresh moments and a bias correction of its own, as in PyTorch.
"""

from __future__ import annotations

import math

import numpy as np

from rl_transfer.engine.arrays import Doubles, Integers, Vector
from rl_transfer.engine.compiling import kernel

ADAM, RMSPROP, RMSPROP_TF = range(3)
START, END, TRAINED = range(3)
"""Columns of ``spans``: where a tensor begins and ends, and whether it is trained."""


@kernel
def clip_gradient(gradient: Vector, spans: Integers, limit: float) -> float:
    """Scale gradients down to a norm (Pascanu et al. 2013), as ``torch.nn.utils.clip_grad_norm_`` does.

    Args:
        gradient: ``[number]``.
        spans: ``[tensor, column]``; those that are not trained do not count.
        limit: the largest 2-norm; infinity for none.

    Returns:
        The norm before.
    """
    total = 0.0
    for k in range(spans.shape[0]):
        if spans[k, TRAINED]:
            square = np.float32(0.0)
            part = gradient[spans[k, START] : spans[k, END]]
            for i in range(part.shape[0]):
                square += part[i] * part[i]
            total += float(square)
    norm = math.sqrt(total)
    factor = np.float32(limit / (norm + 1e-6))
    if factor < np.float32(1.0):
        for k in range(spans.shape[0]):
            if spans[k, TRAINED]:
                part = gradient[spans[k, START] : spans[k, END]]
                for i in range(part.shape[0]):
                    part[i] *= factor
    return norm


@kernel
def pull(parameters: Vector, gradient: Vector, spans: Integers, anchor: Vector, stiffness: Vector) -> None:
    """Add k (w − w⁰) to the gradients of what is trained: L2-SP and EWC; does nothing without an anchor.

    Args:
        parameters: ``[number]``.
        gradient: ``[number]``, added to.
        spans: ``[tensor, column]``.
        anchor: ``[number]``, w⁰; empty for none.
        stiffness: ``[number]``, k.
    """
    if anchor.shape[0] == 0:
        return
    for k in range(spans.shape[0]):
        if spans[k, TRAINED]:
            for i in range(spans[k, START], spans[k, END]):
                gradient[i] += stiffness[i] * (parameters[i] - anchor[i])


@kernel
def step(
    kind: int,
    constants: Doubles,
    parameters: Vector,
    gradient: Vector,
    first: Vector,
    second: Vector,
    spans: Integers,
    rates: Doubles,
    steps: Vector,
) -> None:
    """One step of an optimizer over all spans that are trained.

    Args:
        kind: ``ADAM`` (Kingma & Ba 2015), ``RMSPROP`` as in PyTorch, ``RMSPROP_TF`` with ε inside of the
            root as in TensorFlow 1, which SB3's A2C uses.
        constants: β₁, β₂ (or α) and ε.
        parameters: ``[number]``, changed in place.
        gradient: ``[number]``.
        first: ``[number]``, moving means of gradients; not touched by RMSprop.
        second: ``[number]``, moving means of their squares.
        spans: ``[tensor, column]``.
        rates: ``[tensor]``, learning rates.
        steps: ``[tensor]``, steps taken so far; counted here.
    """
    beta2, epsilon = np.float32(constants[1]), np.float32(constants[2])
    keep1, keep2 = np.float32(1.0 - constants[0]), np.float32(1.0 - constants[1])
    for k in range(spans.shape[0]):
        if not spans[k, TRAINED]:
            continue
        start, end = spans[k, START], spans[k, END]
        w, slope, mean, square = (
            parameters[start:end],
            gradient[start:end],
            first[start:end],
            second[start:end],
        )
        steps[k] += np.float32(1.0)
        if kind == ADAM:
            size = np.float32(rates[k] / (1.0 - constants[0] ** steps[k]))
            root = np.float32(1.0 / math.sqrt(1.0 - constants[1] ** steps[k]))
            for i in range(w.shape[0]):
                g = slope[i]
                m = mean[i] + keep1 * (g - mean[i])
                v = square[i] * beta2 + keep2 * g * g
                mean[i], square[i] = m, v
                w[i] -= size * m / (np.float32(math.sqrt(v)) * root + epsilon)
        elif kind == RMSPROP:
            rate = np.float32(rates[k])
            for i in range(w.shape[0]):
                g = slope[i]
                v = square[i] * beta2 + keep2 * g * g
                square[i] = v
                w[i] -= rate * g / (np.float32(math.sqrt(v)) + epsilon)
        else:
            rate = np.float32(rates[k])
            for i in range(w.shape[0]):
                g = slope[i]
                v = square[i] * beta2 + keep2 * g * g
                square[i] = v
                w[i] -= rate * g / np.float32(math.sqrt(v + epsilon))
