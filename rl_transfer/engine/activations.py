"""Activation functions over arrays, and their derivatives, in one pass with the bias."""

from __future__ import annotations

import math

import numpy as np

from rl_transfer.engine.arrays import Matrix, Vector
from rl_transfer.engine.compiling import kernel

IDENTITY, TANH, RELU, ELU, LEAKY_RELU, SILU, GELU = range(7)
NAMES = {"tanh": TANH, "relu": RELU, "elu": ELU, "leaky_relu": LEAKY_RELU, "silu": SILU, "gelu": GELU}
"""As configs call them → number."""

_LIMIT = np.float32(9.0)
_P1, _P3, _P5, _P7, _P9, _P11, _P13 = (
    np.float32(4.89352455891786e-03),
    np.float32(6.37261928875436e-04),
    np.float32(1.48572235717979e-05),
    np.float32(5.12229709037114e-08),
    np.float32(-8.60467152213735e-11),
    np.float32(2.00018790482477e-13),
    np.float32(-2.76076847742355e-16),
)
_Q0, _Q2, _Q4, _Q6 = (
    np.float32(4.89352518554385e-03),
    np.float32(2.26843463243900e-03),
    np.float32(1.18534705686654e-04),
    np.float32(1.19825839466702e-06),
)
_ONE, _ZERO, _HALF, _SLOPE = np.float32(1.0), np.float32(0.0), np.float32(0.5), np.float32(0.01)
_ROOT_HALF, _ROOT_TWO_PI = np.float32(math.sqrt(0.5)), np.float32(1.0 / math.sqrt(2.0 * math.pi))


@kernel(inline=True)
def tanh(x: np.float32) -> np.float32:
    """The hyperbolic tangent of a ``float32``, within 3e-7, by the rational approximation of Eigen.

    Args:
        x: any number; NaN stays NaN.
    """
    y = x if x < _LIMIT else _LIMIT
    y = y if y > -_LIMIT else -_LIMIT
    y = x if x != x else y
    s = y * y
    p = _P13 * s + _P11
    p = p * s + _P9
    p = p * s + _P7
    p = p * s + _P5
    p = p * s + _P3
    p = p * s + _P1
    q = _Q6 * s + _Q4
    q = q * s + _Q2
    q = q * s + _Q0
    return y * p / q


@kernel
def activate(kind: int, z: Matrix, bias: Vector, before: Matrix) -> None:
    """Add a bias and apply an activation function, in place.

    Args:
        kind: number of the function.
        z: ``[row, unit]``, products; becomes the output.
        bias: ``[unit]``.
        before: ``[row, unit]``; gets what went into the function where its derivative needs it
            (silu and gelu).
    """
    rows, units = z.shape
    if kind == TANH:
        for i in range(rows):
            for j in range(units):
                z[i, j] = tanh(z[i, j] + bias[j])
    elif kind == RELU:
        for i in range(rows):
            for j in range(units):
                x = z[i, j] + bias[j]
                z[i, j] = _ZERO if x < _ZERO else x
    elif kind == IDENTITY:
        for i in range(rows):
            for j in range(units):
                z[i, j] += bias[j]
    elif kind == ELU:
        for i in range(rows):
            for j in range(units):
                x = z[i, j] + bias[j]
                z[i, j] = x if x > _ZERO else np.float32(math.expm1(x))
    elif kind == LEAKY_RELU:
        for i in range(rows):
            for j in range(units):
                x = z[i, j] + bias[j]
                z[i, j] = x if x > _ZERO else _SLOPE * x
    elif kind == SILU:
        for i in range(rows):
            for j in range(units):
                x = z[i, j] + bias[j]
                before[i, j] = x
                z[i, j] = x / (_ONE + np.float32(math.exp(-x)))
    else:
        for i in range(rows):
            for j in range(units):
                x = z[i, j] + bias[j]
                before[i, j] = x
                z[i, j] = x * _HALF * (_ONE + np.float32(math.erf(x * _ROOT_HALF)))


@kernel
def differentiate(kind: int, delta: Matrix, output: Matrix, before: Matrix) -> None:
    """Multiply by the derivative of an activation function, in place.

    Args:
        kind: number of the function.
        delta: ``[row, unit]``, derivatives with respect to the output; becomes those with respect to
            what went into the function.
        output: ``[row, unit]``, what :func:`activate` made.
        before: ``[row, unit]``, what it kept.
    """
    rows, units = delta.shape
    if kind == TANH:
        for i in range(rows):
            for j in range(units):
                delta[i, j] *= _ONE - output[i, j] * output[i, j]
    elif kind == RELU:
        for i in range(rows):
            for j in range(units):
                delta[i, j] = delta[i, j] if output[i, j] > _ZERO else _ZERO
    elif kind == ELU:
        for i in range(rows):
            for j in range(units):
                delta[i, j] *= _ONE if output[i, j] > _ZERO else output[i, j] + _ONE
    elif kind == LEAKY_RELU:
        for i in range(rows):
            for j in range(units):
                delta[i, j] *= _ONE if output[i, j] > _ZERO else _SLOPE
    elif kind == SILU:
        for i in range(rows):
            for j in range(units):
                share = _ONE / (_ONE + np.float32(math.exp(-before[i, j])))
                delta[i, j] *= share * (_ONE + before[i, j] * (_ONE - share))
    elif kind == GELU:
        for i in range(rows):
            for j in range(units):
                x = before[i, j]
                share = _HALF * (_ONE + np.float32(math.erf(x * _ROOT_HALF)))
                density = np.float32(math.exp(-_HALF * x * x)) * _ROOT_TWO_PI
                delta[i, j] *= share + x * density
