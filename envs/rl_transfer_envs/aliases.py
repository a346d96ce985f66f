"""The types that pass between the rooms, each under one name.

What Gymnasium leaves to the environment (observations and the simulator itself) cannot be typed any
closer here; its name says what it is, and ``tests/test_any.py`` counts it as ``Any``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, SupportsFloat, TypeAlias, TypedDict

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

Observation: TypeAlias = Any
"""An element of an observation space: an array, or a nest of them for dict and tuple spaces."""
Action: TypeAlias = "NDArray[Any] | np.integer[Any] | int"
"""An element of an action space: a whole number or an array."""
Simulator: TypeAlias = Any
"""``env.unwrapped``, whose class is the environment's own."""
Value: TypeAlias = Any
"""A value of a parameter or argument: a number, flag, word or list of them, or a distribution."""

Env: TypeAlias = gym.Env[Observation, Action]
Space: TypeAlias = spaces.Space[Any]
Info: TypeAlias = dict[str, Any]
Options: TypeAlias = dict[str, Any] | None
"""What ``reset`` takes."""
Start: TypeAlias = tuple[Observation, Info]
"""What ``reset`` gives."""
Transition: TypeAlias = tuple[Observation, SupportsFloat, bool, bool, Info]
"""What ``step`` gives: observation, reward, terminated, truncated, info."""

Array: TypeAlias = NDArray[Any]
State: TypeAlias = "Array | tuple[Array, ...]"
"""Quantities of many instances: ``[quantity, instance]``, or an array for each."""
Floats: TypeAlias = NDArray[np.float64]
Image: TypeAlias = NDArray[np.uint8]

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Entry: TypeAlias = dict[str, Value]
"""One perturbation, ``{name: value}``."""
Given: TypeAlias = Mapping[str, Any] | str
"""An environment as a user writes it: a specification, or just an id."""


class Spec(TypedDict):
    """A canonical specification; see ``build.specification``."""

    id: str
    kwargs: dict[str, Any]
    perturb: list[Entry]
    env_module: NotRequired[str]
