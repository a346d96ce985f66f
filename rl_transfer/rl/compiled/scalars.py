"""The helpers of the physics for scalars: what makes its equations compile.

The equations stand once, in ``rl_transfer_envs.vector.kernels``, over helpers that take arrays. Each helper
is given a version for the numbers of one instance here; then the compiler takes the equations as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numba
import numpy as np
from numba.extending import overload, register_jitable
from numba.np.unsafe.ndarray import to_fixed_tuple

from rl_transfer.engine.compiling import register
from rl_transfer_envs.aliases import Array
from rl_transfer_envs.vector.kernels import (
    acrobot,
    arithmetic,
    cartpole,
    mountain_car,
    mountain_car_continuous,
    pendulum,
)

Four = tuple[float, float, float, float]
Function = Callable[..., object]

column = cast("Callable[[Array, int], tuple[Array, ...]]", to_fixed_tuple)
"""Inside compiled code: an array and its length → its numbers as a tuple."""


def _square(x: float) -> float:
    # LLVM would turn a constant exponent into x·x, which pow now and then is not.
    double = np.float64(x)
    return math.pow(double, 2.0 + 0.0 * double)


def _square_single(x: np.float32) -> np.float32:
    two = np.float32(2.0) + np.float32(0.0) * x
    return x**two


def _cos(x: float) -> float:
    return math.cos(np.float64(x))


def _choose(condition: bool, yes: float, no: float) -> float:
    return yes if condition else no


def _bounded(x: np.float32, low: np.float32, high: np.float32) -> np.float32:
    at_least: np.float32 = np.maximum(x, low)
    at_most: np.float32 = np.minimum(at_least, high)
    return at_most


def _single(x: float) -> np.float32:
    return np.float32(x)


def _together(a: float, b: float, c: float, d: float) -> Four:
    return a, b, c, d


def _plus(x: Four, factor: float, y: Four) -> Four:
    return x[0] + factor * y[0], x[1] + factor * y[1], x[2] + factor * y[2], x[3] + factor * y[3]


def _wrap(x: float, low: float, high: float) -> float:
    span = high - low
    while x > high:
        x -= span
    while x < low:
        x += span
    return x


def _like_single(x: float, other: float) -> np.float32:
    return np.float32(x)


def _like_double(x: float, other: float) -> np.float64:
    return np.float64(x)


def _like(x: object, other: object) -> Function:
    return _like_single if other is numba.types.float32 else _like_double


SCALAR: dict[Function, Function] = {
    arithmetic.square: _square,
    arithmetic.square_single: _square_single,
    arithmetic.cos: _cos,
    arithmetic.choose: _choose,
    arithmetic.bounded: _bounded,
    arithmetic.single: _single,
    arithmetic.together: _together,
    arithmetic.plus: _plus,
    arithmetic.wrap: _wrap,
}
"""Helper over arrays → the same for one number."""

AS_THEY_ARE: tuple[Function, ...] = (
    arithmetic.angle_normalize,
    cartpole.advance,
    acrobot.advance,
    acrobot.derivative,
    acrobot.observe,
    mountain_car.advance,
    mountain_car_continuous.advance,
    mountain_car_continuous.acceleration,
    pendulum.applied,
    pendulum.advance,
    pendulum.observe,
)
"""Functions that serve arrays and scalars as they stand."""


def _always(body: Function) -> Callable[..., Function]:
    """What Numba asks for the version of a helper, whatever the types are."""
    return lambda *types, **named: body


for _helper, _body in SCALAR.items():
    overload(_helper, jit_options={"error_model": "numpy"}, strict=False)(_always(_body))
overload(arithmetic.like, jit_options={"error_model": "numpy"}, strict=False)(_like)
for _function in AS_THEY_ARE:
    register_jitable(error_model="numpy")(_function)
register(__file__, Path(arithmetic.__file__).parent.glob("*.py"))
