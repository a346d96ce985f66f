"""Gymnasium spaces as JSON, and whether two spaces are the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from stable_baselines3.common.vec_env import VecTransposeImage

from rl_transfer.errors import BundleError, TransferError
from rl_transfer.spec.base import Json

Space = spaces.Space[object]

Env = gym.Env[Any, Any]
"""An environment of any kind; what it observes and does is up to its spaces."""

AnyWrapper = gym.Wrapper[Any, Any, Any, Any]

Array = NDArray[np.generic]
"""Numbers of any type, of the shape that a space says."""

Observation = Array | dict[str, Array]
"""One observation or a batch of them, ``[…]`` or ``[episode, …]``; per key for dict spaces."""


MOST_NUMBERS = 2**22
"""Numbers in one observation or action that a file may describe; an image of 1024 × 1024 has 3 · 2²⁰."""


def to_json(space: Space) -> dict[str, Json]:
    """Describe a space that SB3 can use.

    Args:
        space: of observations or actions.

    Returns:
        Its ``type`` and what that type needs; :func:`from_json` reads it.

    Raises:
        TransferError: SB3 has no policy for such a space.
    """
    if isinstance(space, spaces.Box):
        return {
            "type": "Box",
            "shape": list(space.shape),
            "dtype": str(space.dtype),
            "low": _bounds(space.low),
            "high": _bounds(space.high),
        }
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"type": "MultiDiscrete", "nvec": space.nvec.tolist(), "start": space.start.tolist()}
    if isinstance(space, spaces.MultiBinary):
        return {"type": "MultiBinary", "n": space.n if isinstance(space.n, int) else list(space.n)}
    if isinstance(space, spaces.Dict):
        return {"type": "Dict", "spaces": {name: to_json(inner) for name, inner in space.spaces.items()}}
    raise TransferError(f"a {type(space).__name__} space cannot be used; SB3 has no policy for it")


def from_json(data: Mapping[str, Any]) -> Space:
    """The space that :func:`to_json` described.

    Args:
        data: what stands in a bundle, unchecked.

    Returns:
        A new space, its bounds equal to the bit.

    Raises:
        BundleError: the description is damaged.
    """
    try:
        kind = data["type"]
        if kind == "Box":
            shape, dtype = _bounded(data["shape"]), np.dtype(data["dtype"]).type
            low, high = (_array(data[name], shape, dtype) for name in ("low", "high"))
            return spaces.Box(low, high, shape, dtype)
        if kind == "Discrete":
            return spaces.Discrete(data["n"], start=data["start"])
        if kind == "MultiDiscrete":
            return spaces.MultiDiscrete(data["nvec"], start=data["start"])
        if kind == "MultiBinary":
            return spaces.MultiBinary(data["n"])
        if kind == "Dict":
            return dict_of({name: from_json(inner) for name, inner in data["spaces"].items()})
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError, OverflowError) as error:
        raise BundleError(f"the bundle's description of a space is damaged: {error}") from None
    raise BundleError(f"the bundle describes an unknown kind of space, {kind!r}")


def dict_of(members: Mapping[str, Space]) -> spaces.Dict:
    """A dict space with its members in their order, in which SB3's extractors put them side by side.

    Args:
        members: key → space; Gymnasium would sort a mapping by its keys.

    Returns:
        A new space.
    """
    return spaces.Dict(list(members.items()))


def same(first: Space, second: Space) -> bool:
    """Whether a policy for one space works in the other: same kind, shape and number of actions.

    Bounds may differ; a perturbed environment often has wider ones. Images may differ in where
    their channels stand; SB3 puts them first. The members of dict spaces stand in one order.

    Args:
        first: of observations or actions.
        second: of the same.

    Returns:
        Whether tensors and actions of one are tensors and actions of the other.
    """
    first, second = channels_first(first), channels_first(second)
    if isinstance(first, spaces.Box) and isinstance(second, spaces.Box):
        return first.shape == second.shape and first.dtype == second.dtype
    if isinstance(first, spaces.Dict) and isinstance(second, spaces.Dict):
        return list(first.spaces) == list(second.spaces) and all(
            same(first[name], second[name]) for name in first.spaces
        )
    return first == second


def same_shape(first: Space, second: Space) -> bool:
    """Whether two spaces have one shape and, where they are discrete, the same numbers of values.

    Args:
        first: of observations or actions.
        second: of the same.

    Returns:
        Less than :func:`same` asks: types, and the order of a dict's members, may differ.
    """
    if isinstance(first, spaces.Dict) and isinstance(second, spaces.Dict):
        return first.spaces.keys() == second.spaces.keys() and all(
            same_shape(first[name], second[name]) for name in first.spaces
        )
    here, there = (np.array(getattr(each, "nvec", getattr(each, "n", 0))) for each in (first, second))
    return first.shape == second.shape and np.array_equal(here, there)


def in_short(space: Space) -> str:
    """A space as a reader compares it with another: kind and shape, without its bounds.

    >>> in_short(spaces.Box(-1, 1, (4,))), in_short(spaces.Discrete(2))
    ('Box(4)', 'Discrete(2)')

    Args:
        space: any space.

    Returns:
        One line; spaces of other kinds as they print themselves.
    """
    if isinstance(space, spaces.Box):
        return f"Box({'×'.join(map(str, space.shape))})"
    if isinstance(space, spaces.Dict):
        return f"Dict({', '.join(f'{key}: {in_short(inner)}' for key, inner in space.spaces.items())})"
    return str(space)


def channels_first(space: Space) -> Space:
    """A space as SB3's policies see it: images, those of a dict included, with the channels first.

    Args:
        space: of observations or actions.

    Returns:
        A new space, or the same where nothing moves.
    """
    if isinstance(space, spaces.Dict):
        return dict_of({key: channels_first(each) for key, each in space.spaces.items()})
    if isinstance(space, spaces.Box) and is_image_space(space) and not is_image_space_channels_first(space):
        return VecTransposeImage.transpose_space(space)
    return space


def _bounded(shape: list[int]) -> tuple[int, ...]:
    if math.prod(shape) > MOST_NUMBERS:
        raise ValueError(f"a box of shape {shape} has more than {MOST_NUMBERS:,} numbers")
    return tuple(shape)


def _bounds(values: Array) -> Json:
    """Bounds as one text where they are all equal, else as nested lists of texts (inf has no JSON)."""
    if values.size and (values == values.flat[0]).all():
        return repr(values.flat[0].item())
    texts = np.array([repr(value.item()) for value in values.ravel()], dtype=object)
    nested: Json = texts.reshape(values.shape).tolist()
    return nested


def _array(data: Json, shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    # Via float64: float32's shortest text reads back to the same float32.
    values = np.asarray(data, dtype=object)
    return np.broadcast_to(np.vectorize(float, otypes=[np.float64])(values), shape).astype(dtype)
