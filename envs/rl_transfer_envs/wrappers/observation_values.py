"""Observation wrappers that change values and keep the shape.

Observations of whole numbers (images) are rounded and clipped to their space, which stays as it is;
there the unit of noise, bias and quantisation is the range, so ``std: 0.1`` is a tenth of 0 … 255.
"""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from rl_transfer_envs.aliases import Array, Observation, Value
from rl_transfer_envs.registry.perturbations import register_perturbation
from rl_transfer_envs.values.quantity import Quantity
from rl_transfer_envs.wrappers.observation import ObservationPerturbation

_SENSORS = "Dulac-Arnold et al. 2021, Challenges of real-world RL"
_UNIT = "unit of the observation (images: share of the range)"


class _Elementwise(ObservationPerturbation):
    """Base of the wrappers whose first argument is one number, or one per dimension."""

    measured = True  # whether the first argument has the observation's unit

    def begin(self, observation: Observation) -> None:
        """Spread the episode's value over the dimensions."""
        self._size = self._spread(self.value(self.arguments[0].name))

    def _spread(self, value: Value) -> Array:
        space = self.numeric_box()
        spread = self.per_dimension(self.arguments[0].name, space, value)
        if self.measured and np.issubdtype(space.dtype, np.integer):
            return spread * (space.high.astype(np.float64) - space.low)
        return spread

    def _ends(self) -> tuple[spaces.Box, Array, Array]:
        """The wrapped space, and the smallest and largest value per dimension."""
        low, high = self.extremes(self.arguments[0].name)
        return self.numeric_box(), self._spread(low), self._spread(high)

    def _rebuild(self, space: spaces.Box, low: Array, high: Array) -> None:
        """New bounds for real numbers; whole numbers are clipped into the old ones."""
        if np.issubdtype(space.dtype, np.floating):
            dtype = space.dtype.type
            self.observation_space = spaces.Box(low.astype(dtype), high.astype(dtype), dtype=dtype)

    def _cast(self, values: Array) -> Array:
        space = self.seen_space()
        assert isinstance(space, spaces.Box)
        if np.issubdtype(space.dtype, np.integer):
            values = np.clip(np.round(values), space.low, space.high)
        return values.astype(space.dtype)


@register_perturbation
class ObservationNoise(_Elementwise):
    """Adds zero-mean noise of standard deviation ``std``: ``o + std·ε``.

    Normal noise has no bounds, so the rebuilt space has none in the noisy dimensions; uniform
    noise reaches ``√3·std`` and widens the bounds by that.
    """

    name = "observation_noise"
    summary = "add normal or uniform noise to the observation"
    examples = (0.1, {"std": 0.1, "distribution": "uniform"})
    arguments = (
        Quantity(
            name="std",
            unit=_UNIT,
            default=0.0,
            bounds=(0.0, 10.0),
            source=_SENSORS,
            summary="standard deviation, one for all dimensions or one per dimension",
            kind="numbers",
        ),
        Quantity(
            name="distribution",
            unit="1",
            default="normal",
            bounds=None,
            source=_SENSORS,
            summary="normal, or uniform in ± √3·std",
            kind="word",
            words=("normal", "uniform"),
            per_episode=False,
        ),
    )

    def setup(self) -> None:
        """Widen the bounds by what the noise can add."""
        space, _, largest = self._ends()
        reach = np.sqrt(3.0) * largest
        if self.value("distribution") == "normal":
            reach = np.where(largest > 0, np.inf, 0.0)
        self._rebuild(space, space.low - reach, space.high + reach)

    def observation(self, observation: Observation) -> Observation:
        """The noisy observation."""
        if self.value("distribution") == "normal":
            noise = self.rng.standard_normal(self._size.shape)
        else:
            noise = self.rng.uniform(-np.sqrt(3.0), np.sqrt(3.0), self._size.shape)
        return self._cast(observation + self._size * noise)


@register_perturbation
class ObservationBias(_Elementwise):
    """Adds a constant: ``o + bias`` (a miscalibrated sensor); the bounds move with it."""

    name = "observation_bias"
    summary = "add a constant to the observation"
    arguments = (
        Quantity(
            name="bias",
            unit=_UNIT,
            default=0.0,
            bounds=(-10.0, 10.0),
            source=_SENSORS,
            summary="constant, one for all dimensions or one per dimension",
            kind="numbers",
        ),
    )

    def setup(self) -> None:
        """Move the bounds."""
        space, smallest, largest = self._ends()
        self._rebuild(space, space.low + smallest, space.high + largest)

    def observation(self, observation: Observation) -> Observation:
        """The biased observation."""
        return self._cast(observation + self._size)


@register_perturbation
class ObservationScale(_Elementwise):
    """Multiplies the observation: ``factor·o`` (other units); the bounds scale with it."""

    measured = False

    name = "observation_scale"
    summary = "multiply the observation"
    arguments = (
        Quantity(
            name="factor",
            unit="1",
            default=1.0,
            bounds=(0.1, 10.0),
            source=_SENSORS,
            summary="factor, one for all dimensions or one per dimension",
            kind="numbers",
            severity_scale="log",
        ),
    )

    def setup(self) -> None:
        """Scale the bounds."""
        space, smallest, largest = self._ends()
        corners = [bound * factor for bound in (space.low, space.high) for factor in (smallest, largest)]
        self._rebuild(space, np.min(corners, axis=0), np.max(corners, axis=0))

    def observation(self, observation: Observation) -> Observation:
        """The scaled observation."""
        return self._cast(observation * self._size)


@register_perturbation
class ObservationDropout(_Elementwise):
    """Replaces each dimension by ``fill`` with a probability, independently at every step."""

    measured = False

    name = "observation_dropout"
    summary = "lose readings: a dimension becomes the fill value with a probability"
    examples = (0.2, {"probability": 0.2, "whole": True, "fill": -1.0})
    arguments = (
        Quantity(
            name="probability",
            unit="1",
            default=0.0,
            bounds=(0.0, 1.0),
            source=_SENSORS,
            summary="probability of a loss, one for all dimensions or one per dimension",
            kind="numbers",
        ),
        Quantity(
            name="fill",
            unit=_UNIT,
            default=0.0,
            bounds=(-1e6, 1e6),
            source=_SENSORS,
            summary="what a lost reading shows (images: a level)",
            per_episode=False,
        ),
        Quantity(
            name="whole",
            unit="1",
            default=False,
            bounds=None,
            source=_SENSORS,
            summary="lose all dimensions together (one number as probability)",
            kind="flag",
            per_episode=False,
        ),
    )

    def setup(self) -> None:
        """Let the space hold the fill value."""
        space, _, largest = self._ends()
        if self.value("whole") and isinstance(self.value("probability"), list):
            raise self.refuse("whole needs one probability, not one per dimension.", "whole")
        fill = self.value("fill")
        if (
            np.issubdtype(space.dtype, np.integer)
            and not (space.low <= fill).all() & (fill <= space.high).all()
        ):
            raise self.refuse(f"its readings are whole numbers in {space}; {fill} is none of them.", "fill")
        low = np.where(largest > 0, np.minimum(space.low, fill), space.low)
        high = np.where(largest > 0, np.maximum(space.high, fill), space.high)
        self._rebuild(space, low, high)

    def observation(self, observation: Observation) -> Observation:
        """The observation with lost readings."""
        draws = self.rng.random() if self.value("whole") else self.rng.random(self._size.shape)
        fill: float = self.value("fill")
        return self._cast(np.where(draws < self._size, fill, np.asarray(observation)))


@register_perturbation
class ObservationQuantisation(_Elementwise):
    """Rounds to multiples of a step: ``step·round(o / step)``; the bounds are rounded likewise."""

    name = "observation_quantisation"
    summary = "round the observation to multiples of a step"
    examples = (0.1, {"choice": [0.05, 0.2]})
    arguments = (
        Quantity(
            name="step",
            unit=_UNIT,
            default=0.0,
            bounds=(0.0, 10.0),
            source=_SENSORS,
            summary="resolution of the sensor, one for all dimensions or one per dimension; 0 is exact",
            kind="numbers",
        ),
    )

    def setup(self) -> None:
        """Round the bounds; rounding is monotone, so they hold."""
        space, smallest, largest = self._ends()
        ends = [
            [self._round(bound.astype(np.float64), step) for step in (smallest, largest)]
            for bound in (space.low, space.high)
        ]
        slack = np.where(smallest == largest, 0.0, largest / 2)  # a drawn step may round further
        self._rebuild(space, np.min(ends[0], axis=0) - slack, np.max(ends[1], axis=0) + slack)

    def observation(self, observation: Observation) -> Observation:
        """The rounded observation."""
        return self._cast(self._round(np.asarray(observation, dtype=np.float64), self._size))

    @staticmethod
    def _round(values: Array, step: Array) -> Array:
        safe = np.where(step > 0, step, 1.0)
        return np.where(step > 0, np.round(values / safe) * safe, values)
