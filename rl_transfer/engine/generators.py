"""Random numbers by counting: Philox4x32-10 (Salmon et al. 2011).

A number is a function of a key, a stream and a place in it. Nothing has a state that would have to be
kept, so a run that goes on from a checkpoint draws what it would have drawn without a break.
"""

from __future__ import annotations

import math

import numpy as np

from rl_transfer.engine.arrays import Integers
from rl_transfer.engine.compiling import kernel

ACTIONS, ORDER, EXPLORATION, REPLAY = range(4)
"""Streams: sampled actions, order of minibatches, ε-greedy choices, transitions of a replay buffer."""

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)
_ROUNDS = 10


@kernel
def philox(
    key: int, stream: int, first: int, second: int
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Four words of 32 bits.

    Args:
        key: ≥ 0, below 2⁶⁴.
        stream: ≥ 0, below 2³².
        first: the place, ≥ 0, below 2⁶⁴.
        second: the place within the place, ≥ 0, below 2³².

    Returns:
        Four numbers below 2³².
    """
    k0, k1 = np.uint64(key) & _LOW, np.uint64(key) >> _SHIFT
    c0, c1 = np.uint64(first) & _LOW, np.uint64(first) >> _SHIFT
    c2, c3 = np.uint64(second) & _LOW, np.uint64(stream) & _LOW
    for _ in range(_ROUNDS):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> _SHIFT) ^ c1 ^ k0, p1 & _LOW, (p0 >> _SHIFT) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return c0, c1, c2, c3


@kernel
def unit(word: np.uint64) -> float:
    """A number in [0, 1) from a word of 32 bits.

    Args:
        word: below 2³².
    """
    return np.float64(word) * (1.0 / 4294967296.0)


@kernel
def uniform(key: int, stream: int, first: int, second: int) -> float:
    """A number in [0, 1); see :func:`philox` for the arguments."""
    a, _b, _c, _d = philox(key, stream, first, second)
    return unit(a)


@kernel
def normal(key: int, stream: int, first: int, second: int) -> float:
    """A standard normal number (Box & Muller 1958); see :func:`philox` for the arguments."""
    a, b, _c, _d = philox(key, stream, first, second)
    return math.sqrt(-2.0 * math.log((np.float64(a) + 1.0) * (1.0 / 4294967296.0))) * math.cos(
        2.0 * math.pi * unit(b)
    )


@kernel
def below(word: np.uint64, n: int) -> int:
    """A whole number in [0, n) from a word of 32 bits; uneven by less than n/2³².

    Args:
        word: below 2³².
        n: ≥ 1, below 2³².
    """
    return int((word * np.uint64(n)) >> _SHIFT)


@kernel
def shuffle(order: Integers, key: int, stream: int, first: int) -> None:
    """Put 0 … n − 1 into a random order (Fisher & Yates).

    Args:
        order: ``[n]``, overwritten.
        key: as for :func:`philox`.
        stream: likewise.
        first: likewise.
    """
    n = order.shape[0]
    for i in range(n):
        order[i] = i
    a, b, c, d = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    for drawn in range(n - 1):
        i = n - 1 - drawn
        if drawn % 4 == 0:
            a, b, c, d = philox(key, stream, first, drawn // 4)
        word = a if drawn % 4 == 0 else b if drawn % 4 == 1 else c if drawn % 4 == 2 else d
        j = below(word, i + 1)
        order[i], order[j] = order[j], order[i]
