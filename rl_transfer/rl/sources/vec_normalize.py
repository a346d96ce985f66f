"""Normalisation statistics out of SB3's ``VecNormalize`` pickles, without unpickling them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl_transfer import bounded
from rl_transfer.core.inert_pickle import Built, Reference, read_pickle
from rl_transfer.errors import BundleError
from rl_transfer.rl.policies.normalization import EPSILON, PREFIX
from rl_transfer.spec.base import Json

FILE_NAMES = ("vec_normalize.pkl", "vecnormalize.pkl")
"""The names that huggingface_sb3 and rl-zoo give the file."""

MAX_BYTES = 16 * 2**20
_MOST_NUMBERS = 2**21

_NUMPY = ("numpy.core", "numpy._core")
_RECONSTRUCT = tuple(f"{module}.multiarray._reconstruct" for module in _NUMPY)
_SCALAR = tuple(f"{module}.multiarray.scalar" for module in _NUMPY)
_FROM_BUFFER = tuple(f"{module}.numeric._frombuffer" for module in _NUMPY)
_WRAPPER = "stable_baselines3.common.vec_env.vec_normalize.VecNormalize"
_MOMENTS = "stable_baselines3.common.running_mean_std.RunningMeanStd"
_ALLOWED = {
    *_RECONSTRUCT,
    *_SCALAR,
    *_FROM_BUFFER,
    _WRAPPER,
    _MOMENTS,
    "numpy.dtype",
    "numpy.ndarray",
    "_codecs.encode",
    "collections.OrderedDict",
    "copyreg._reconstructor",
    "copy_reg._reconstructor",
    "builtins.object",
    "builtins.set",
    "builtins.frozenset",
    "__builtin__.object",
    "__builtin__.set",
    "__builtin__.frozenset",
}
# Spaces and random generators: carried along by VecNormalize, never read.
_INERT = re.compile(
    r"(gym|gymnasium)\.(spaces|utils\.seeding)\.[\w.]+|numpy\.random\.[\w.]+|numpy\.(bool|float|u?int)\w*"
)
_DTYPE = re.compile(r"[fiub][1248]")


@dataclass(frozen=True)
class Statistics:
    """What a ``VecNormalize`` file holds.

    Attributes:
        config: of a :class:`rl_transfer.spec.Normalization`.
        arrays: name in a bundle → ``float64`` array: ``mean``, ``var``, ``count`` of the
            observation (per key for dict observations) and of the discounted return.
        gamma: the discount factor of the return whose variance scales rewards.
    """

    config: dict[str, Json]
    arrays: dict[str, NDArray[np.float64]]
    gamma: float


def read_statistics(path: Path) -> Statistics:
    """Read ``vec_normalize.pkl``; nothing in it is imported, called or run.

    Args:
        path: the file, as ``VecNormalize.save`` writes it.

    Returns:
        The statistics as a bundle has them.

    Raises:
        BundleError: the file is missing, damaged, holds something else than SB3's ``VecNormalize``,
            names anything that such a file does not need, or a statistic is not finite.
    """
    where = path.name
    try:
        content = bounded.read_bytes(path, MAX_BYTES)
    except ValueError as error:
        raise BundleError(f"{where} is refused: {error}; statistics are never like that") from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from None
    found = read_pickle(content, _allowed, where)
    if not (isinstance(found, Built) and found.name == _WRAPPER and isinstance(found.state, dict)):
        raise BundleError(f"{where} does not hold a VecNormalize; save one with VecNormalize.save")
    try:
        return _statistics(found.state, where)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise BundleError(f"{where} is damaged or of an unknown version: {error!r}") from None


def _allowed(name: str) -> bool:
    return name in _ALLOWED or _INERT.fullmatch(name) is not None


def _statistics(state: dict[str, object], where: str) -> Statistics:
    observation, reward = bool(state["norm_obs"]), bool(state["norm_reward"])
    epsilon = float(_array(state["epsilon"]))
    arrays: dict[str, NDArray[np.float64]] = {}
    room = _MOST_NUMBERS
    if observation:
        moments = state["obs_rms"]
        for key, each in (moments if isinstance(moments, dict) else {"": moments}).items():
            arrays |= (found := _moments(f"observation/{key}", each, epsilon, room))
            room -= sum(values.size for values in found.values())
    if reward:
        arrays |= _moments("reward/", state["ret_rms"], epsilon, room)
    bad = [name for name, values in arrays.items() if not np.isfinite(values).all()]
    if bad:
        raise BundleError(f"{where} holds NaN or infinite values in {', '.join(bad)}; it cannot be used")
    config: dict[str, Json] = {
        "observation": observation,
        "reward": reward,
        "clip_observation": float(_array(state["clip_obs"])),
        "clip_reward": float(_array(state["clip_reward"])),
    }
    return Statistics(config, arrays, float(_array(state["gamma"])))


def _moments(name: str, value: object, epsilon: float, room: int) -> dict[str, NDArray[np.float64]]:
    """Mean, variance and count. Another ε than ours is moved into the variance: √(v + ε) is the same."""
    if not isinstance(value, Built) or value.name != _MOMENTS:
        raise TypeError(f"{name} is no running mean and variance")
    mean, var, count = (_array(value.state[field], room // 3) for field in ("mean", "var", "count"))
    if mean.shape != var.shape:
        raise ValueError(f"{name} has a mean of shape {mean.shape} and a variance of shape {var.shape}")
    if (var < 0).any() or (count < 0).any():
        raise ValueError(f"{name} has a variance or a count below 0")
    if epsilon != EPSILON:
        var = var + (epsilon - EPSILON)
    return {
        f"{PREFIX}{name}/{field}": each
        for field, each in zip(("mean", "var", "count"), (mean, var, count), strict=True)
    }


def _array(value: object, most: int = 1) -> NDArray[np.float64]:
    """The numbers that an inert array, NumPy scalar or Python number stands for."""
    if isinstance(value, int | float):
        return np.asarray(value, dtype=np.float64)
    if not isinstance(value, Built):
        raise TypeError(f"expected an array, found a {type(value).__name__}")
    if value.name in _RECONSTRUCT:
        _, shape, dtype, fortran, raw = value.state
        order = "F" if fortran else "C"
    elif value.name in _FROM_BUFFER:
        raw, dtype, shape, order = value.arguments
    elif value.name in _SCALAR:
        dtype, raw = value.arguments
        shape, order = (), "C"
    else:
        raise TypeError(f"expected an array, found a {value.name}")
    if order not in ("C", "F"):
        raise ValueError(f"unknown memory order {order!r}")
    read: NDArray[Any] = np.frombuffer(_bytes(raw), dtype=_dtype(dtype))
    if read.size > most:
        raise ValueError(f"more than {most:,} numbers")
    flat = read.astype(np.float64)
    sizes = tuple(int(size) for size in shape)
    return flat.reshape(sizes) if order == "C" else flat.reshape(sizes[::-1]).T


def _dtype(value: object) -> np.dtype[Any]:
    if not (isinstance(value, Built) and value.name == "numpy.dtype"):
        raise TypeError("an array without a dtype")
    code = value.arguments[0]
    code = code.name.removeprefix("numpy.") if isinstance(code, Reference) else code
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
        raise TypeError(f"an array of dtype {code!r}, expected numbers")
    big_endian = isinstance(value.state, tuple) and value.state[1] == ">"
    return np.dtype(code).newbyteorder(">" if big_endian else "<")


def _bytes(value: object) -> bytes:
    if isinstance(value, Built) and value.name == "_codecs.encode":  # protocols below 3
        value = value.arguments[0]
    if isinstance(value, str):
        return value.encode("latin-1")
    if not isinstance(value, bytes | bytearray):
        raise TypeError(f"array data that are a {type(value).__name__}")
    return bytes(value)
