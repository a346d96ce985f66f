"""Array operations that give the same bits as the scalar ones in Gymnasium's equations.

The equations in this package are functions over these helpers, ``np.cos`` and the like. They serve
arrays; a compiler that gives each helper a version for scalars gets them for single instances.

NumPy's addition, multiplication, division and comparison are IEEE operations, equal for scalars
and arrays. Three others are not, because arrays may take a vectorised approximation:

- ``x**2`` on a NumPy scalar calls the C library's ``pow``, which now and then is one unit in the
  last place off ``x * x``; an array power is rewritten to ``x * x`` or vectorised.
- ``math.cos`` calls the C library; ``np.cos`` may not, depending on NumPy's version and the CPU.
- in single precision only a scalar power calls ``powf``.

``np.sin`` and ``np.cos`` need no care where Gymnasium calls them on NumPy scalars: scalars and
arrays go through the same loop.
"""

from __future__ import annotations

import math

import numpy as np

from rl_transfer_envs.aliases import Array, State


def square(x: Array) -> Array:
    """``x**2`` in double precision as NumPy's scalars compute it (``float_power`` loops over ``pow``).

    Args:
        x: of any shape.
    """
    return np.asarray(np.float_power(x, 2.0))


def square_single(x: Array) -> Array:
    """``x**2`` in single precision as NumPy's scalars compute it; ``x[i]``.

    Args:
        x: ``x[i]``.
    """
    return np.array([value**2 for value in x], dtype=np.float32)


def cos(x: Array) -> Array:
    """``math.cos`` of every element of ``x[i]``.

    Args:
        x: ``x[i]`` in rad.
    """
    return np.fromiter(map(math.cos, x.tolist()), dtype=np.float64, count=x.size)


def choose(condition: Array, yes: Array | float, no: Array | float) -> Array:
    """``yes`` where the condition holds, else ``no``.

    Args:
        condition: booleans.
        yes: one number for all, or of the condition's shape.
        no: one number for all, or of the condition's shape.
    """
    return np.where(condition, yes, no)


def bounded(x: Array, low: Array, high: Array) -> Array:
    """``x``, but at least ``low`` and at most ``high``.

    Args:
        x: of any shape.
        low: lower bounds.
        high: upper bounds.
    """
    return np.asarray(np.minimum(np.maximum(x, low), high))


def single(x: Array) -> Array:
    """``x`` rounded to single precision.

    Args:
        x: of any shape.
    """
    return x.astype(np.float32)


def like(x: Array | float, other: Array) -> Array:
    """``x`` in the precision of ``other``.

    Args:
        x: a number, or numbers of any shape.
        other: of either precision.
    """
    return np.asarray(x).astype(other.dtype)


def together(a: Array, b: Array, c: Array, d: Array) -> Array:
    """Four quantities as one, for :func:`plus`.

    Args:
        a: ``a[i]``.
        b: ``b[i]``.
        c: ``c[i]``.
        d: ``d[i]``.

    Returns:
        ``[quantity, i]``.
    """
    return np.stack((a, b, c, d))


def plus(x: State, factor: Array | float, y: Array) -> Array:
    """``x + factor·y`` for quantities that belong :func:`together`.

    Args:
        x: ``x[quantity, i]``.
        factor: ``factor[i]``, or one for all.
        y: ``y[quantity, i]``.
    """
    return np.asarray(np.asarray(x) + factor * y)


def angle_normalize(x: Array) -> Array:
    """Angle in [−π, π), as Gymnasium's Pendulum computes it.

    Args:
        x: in rad, of any shape.
    """
    return ((x + np.pi) % (2 * np.pi)) - np.pi


def wrap(x: Array, low: float, high: float) -> Array:
    """Add or subtract ``high − low`` until low ≤ x ≤ high, as Gymnasium's Acrobot does.

    Args:
        x: in rad, of any shape; stays as it is.
        low: lower end [rad].
        high: upper end [rad].

    Returns:
        The angles, in rad.
    """
    x = x.copy()
    span = high - low
    while (above := x > high).any():
        x[above] -= span
    while (below := x < low).any():
        x[below] += span
    return x
