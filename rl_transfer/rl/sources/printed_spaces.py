"""Observation and action spaces as SB3's ``data`` prints them, beside the pickles that are not opened.

SB3 writes, next to each pickled space, its class and its attributes as text: ``low`` as NumPy prints an
array, ``n`` as a number or as text, the members of a dict space by their ``repr``. The attributes'
names differ between Gym and Gymnasium, and long arrays are abbreviated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rl_transfer.rl.environments.spaces import MOST_NUMBERS, Space, dict_of
from rl_transfer.spec.base import Json

_MAX_TEXT = 2**20
_CLASS = re.compile(r"<class '[\w.]*?(\w+)'>")
_DTYPE = re.compile(r"(?:float|u?int)(?:8|16|32|64)|bool")
_MEMBER = re.compile(r"'(?P<key>[^'\\]+)'\s*[:,]\s*(?P<space>\w+)\((?P<arguments>(?:[^()]|\([^()]*\))*)\)")
_BOX = re.compile(r"(?P<low>[^,()]+), (?P<high>[^,()]+), \((?P<shape>[\d, ]*)\), (?P<dtype>\w+)")


def printed_space(entry: Json, *, bounded: bool = False) -> Space | None:
    """The space that an entry of SB3's ``data`` prints; None where the text does not say all of it.

    Args:
        entry: ``data["observation_space"]`` or ``data["action_space"]`` without its pickle.
        bounded: whether bounds matter (actions are clipped to or scaled by them); otherwise bounds
            that the text abbreviates are taken to be the widest.
    """
    if not isinstance(entry, Mapping):
        return None
    kind = _CLASS.fullmatch(str(entry.get(":type:", "")))
    try:
        return _space(kind[1], entry, bounded) if kind else None
    except (ValueError, TypeError, AssertionError, OverflowError, KeyError):
        return None


def _space(kind: str, entry: Mapping[str, Json], bounded: bool) -> Space | None:
    if kind == "Box":
        shape = entry.get("_shape", entry.get("shape"))
        return _box(entry["low"], entry["high"], shape, entry.get("dtype", "float32"), bounded)
    if kind == "Discrete":
        return spaces.Discrete(_whole(entry["n"]), start=_whole(entry.get("start", 0)))
    if kind == "MultiDiscrete":
        return _multi_discrete(str(entry["nvec"]), str(entry.get("start", "")))
    if kind == "MultiBinary":
        return _multi_binary(str(entry["n"]))
    if kind == "Dict":
        return _dict(str(entry["spaces"]), bounded)
    return None


def _dict(text: str, bounded: bool) -> Space | None:
    """A dict space from the ``repr`` of its members, in either generation's notation."""
    if len(text) > _MAX_TEXT:
        return None
    members: dict[str, Space] = {}
    for found in _MEMBER.finditer(text):
        member = _member(found["space"], found["arguments"], bounded)
        if member is None:
            return None
        members[found["key"]] = member
    left = _MEMBER.sub("", text).replace("OrderedDict", "")
    return dict_of(members) if members and not left.strip("{}()[], \n") else None


def _member(kind: str, arguments: str, bounded: bool) -> Space | None:
    if kind == "Box":
        found = _BOX.fullmatch(arguments)
        return (
            _box(found["low"], found["high"], _integers(found["shape"]), found["dtype"], bounded)
            if found
            else None
        )
    if kind == "Discrete":
        n, start = (*_integers(arguments), 0)[:2]  # Discrete(4), or Discrete(4, start=1)
        return spaces.Discrete(n, start=start)
    if kind == "MultiBinary":
        return _multi_binary(arguments)
    if kind == "MultiDiscrete":
        return _multi_discrete(arguments, "")
    return None


def _box(low: Json, high: Json, shape: object, dtype: Json, bounded: bool) -> Space | None:
    sizes = shape if isinstance(shape, list) else [None]
    sides = tuple(size for size in sizes if isinstance(size, int) and size >= 0)
    if len(sides) < len(sizes):
        return None
    if math.prod(sides) > MOST_NUMBERS or not _DTYPE.fullmatch(str(dtype)):
        return None
    kind = np.dtype(str(dtype))
    floating = np.issubdtype(kind, np.floating)
    widest = (-np.inf, np.inf) if floating else (np.iinfo(kind).min, np.iinfo(kind).max)
    bounds: list[NDArray[Any]] = []
    for text, otherwise in zip((low, high), widest, strict=True):
        values = _numbers(str(text), sides)
        if values is None:
            if bounded:
                return None
            values = np.full(sides, otherwise)
        bounds.append(values.astype(kind))
    return spaces.Box(bounds[0], bounds[1], sides, dtype=kind.type)


def _numbers(text: str, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    """The array that NumPy printed; abbreviated with ``...`` only if all its numbers are equal."""
    words = re.findall(r"[^\s\[\],]+", text)
    values = [float(word) for word in words if word != "..."]
    if len(values) == len(words) == math.prod(shape):
        return np.array(values).reshape(shape)
    if values and values.count(values[0]) == len(values):
        return np.full(shape, values[0])
    return None


def _multi_discrete(nvec: str, start: str) -> Space:
    sizes = _integers(nvec)
    return spaces.MultiDiscrete(sizes, start=_integers(start) or None)


def _multi_binary(size: str) -> Space:
    sizes = _integers(size)
    return spaces.MultiBinary(sizes if len(sizes) > 1 else sizes[0])


def _whole(value: Json) -> int:
    if not isinstance(value, int | float | str):
        raise TypeError(f"expected a whole number, found a {type(value).__name__}")
    return int(value)


def _integers(text: str) -> list[int]:
    if "..." in text:
        raise ValueError("abbreviated")
    return [int(word) for word in re.findall(r"-?\d+", text)]
