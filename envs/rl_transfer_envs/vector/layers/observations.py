"""Batched observation perturbations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rl_transfer_envs.aliases import Array
from rl_transfer_envs.registry.perturbations import Perturbation
from rl_transfer_envs.vector.layers.base import BatchLayer, Rows
from rl_transfer_envs.vector.layers.draws import Draws, normal, share, uniform
from rl_transfer_envs.wrappers.observation_rotation import ObservationRotation, rotated
from rl_transfer_envs.wrappers.observation_shape import (
    ObservationDelay,
    ObservationDistractors,
    ObservationMissing,
    ObservationPermutation,
)
from rl_transfer_envs.wrappers.observation_values import (
    ObservationBias,
    ObservationDropout,
    ObservationNoise,
    ObservationQuantisation,
    ObservationScale,
)


class _ElementwiseLayer(BatchLayer):
    """Base: one number per instance and dimension, drawn per episode or fixed."""

    def __init__(self, wrappers: Sequence[Perturbation | None]) -> None:
        super().__init__(wrappers)
        self._size = np.zeros((self.count, *self.members[0][1].env.observation_space.shape))

    def begin(self, row: int, observation: Array) -> None:
        """Take the episode's value."""
        wrapper = self.wrapper(row)
        name = wrapper.arguments[0].name
        self._size[row] = wrapper.per_dimension(name, wrapper.env.observation_space, wrapper.value(name))


class ObservationBiasLayer(_ElementwiseLayer):
    """A constant is added."""

    def observation(self, rows: Rows, observations: Array) -> Array:
        """``o + bias``."""
        return (observations + self._size[rows]).astype(observations.dtype)


class ObservationScaleLayer(_ElementwiseLayer):
    """Multiplied."""

    def observation(self, rows: Rows, observations: Array) -> Array:
        """``factor·o``."""
        return (observations * self._size[rows]).astype(observations.dtype)


class ObservationQuantisationLayer(_ElementwiseLayer):
    """Rounded to multiples of a step."""

    def observation(self, rows: Rows, observations: Array) -> Array:
        """``step·round(o / step)``; a step of 0 is exact."""
        step, values = self._size[rows], observations.astype(np.float64)
        safe = np.where(step > 0, step, 1.0)
        return np.where(step > 0, np.round(values / safe) * safe, values).astype(observations.dtype)


class ObservationNoiseLayer(_ElementwiseLayer):
    """Normal or uniform noise from every instance's own stream."""

    def __init__(self, wrappers: Sequence[Perturbation | None]) -> None:
        super().__init__(wrappers)
        size = self._size.shape[1]
        even = [wrapper is not None and wrapper.value("distribution") == "uniform" for wrapper in wrappers]
        self._draws = Draws(wrappers, [uniform(size) if flat else normal(size) for flat in even], size)

    def begin(self, row: int, observation: Array) -> None:
        """Take the episode's value."""
        super().begin(row, observation)
        self._draws.begin(row)

    def observation(self, rows: Rows, observations: Array) -> Array:
        """``o + std·ε``."""
        noise: Array = self._size[rows] * self._draws.take(rows)
        return (observations + noise).astype(observations.dtype)


class ObservationDropoutLayer(_ElementwiseLayer):
    """Lost readings, drawn from every instance's own stream."""

    def __init__(self, wrappers: Sequence[Perturbation | None]) -> None:
        super().__init__(wrappers)
        size = self._size.shape[1]
        whole = [wrapper is not None and wrapper.value("whole") for wrapper in wrappers]
        self._draws = Draws(wrappers, [share(size, together) for together in whole], size)
        fills = [0.0 if wrapper is None else wrapper.value("fill") for wrapper in wrappers]
        self._fill = np.array(fills, dtype=np.float32)[:, None]

    def begin(self, row: int, observation: Array) -> None:
        """Take the episode's value."""
        super().begin(row, observation)
        self._draws.begin(row)

    def observation(self, rows: Rows, observations: Array) -> Array:
        """``fill`` where a reading is lost."""
        lost = self._draws.take(rows) < self._size[rows]
        return np.where(lost, self._fill[rows], observations)


class ObservationSelectionLayer(BatchLayer):
    """Another order of the dimensions, or fewer."""

    def __init__(self, wrappers: Sequence[Perturbation | None]) -> None:
        super().__init__(wrappers)
        self._chosen = np.zeros((self.count, self.members[0][1].observation_space.shape[0]), dtype=np.intp)
        for row, wrapper in self.members:
            self._chosen[row] = wrapper._chosen

    def observation(self, rows: Rows, observations: Array) -> Array:
        """The chosen dimensions."""
        return np.take_along_axis(observations, self._chosen[rows], axis=1)


class ObservationRotationLayer(BatchLayer):
    """Neighbouring dimensions rotated in their plane."""

    def __init__(self, wrappers: Sequence[Perturbation | None]) -> None:
        super().__init__(wrappers)
        self._cosine, self._sine = np.ones((self.count, 1)), np.zeros((self.count, 1))
        for row, wrapper in self.members:
            self._cosine[row], self._sine[row] = wrapper._cosine, wrapper._sine

    def observation(self, rows: Rows, observations: Array) -> Array:
        """As the wrapper rotates each."""
        return rotated(observations, self._cosine[rows], self._sine[rows])


class ObservationBlankLayer(BatchLayer):
    """0 in the place of missing dimensions."""

    def __init__(self, wrappers: Sequence[Perturbation | None]) -> None:
        super().__init__(wrappers)
        self._keep = np.zeros((self.count, *self.members[0][1].observation_space.shape), dtype=bool)
        for row, wrapper in self.members:
            self._keep[row] = wrapper._keep

    def observation(self, rows: Rows, observations: Array) -> Array:
        """The dimensions that are kept."""
        return np.where(self._keep[rows], observations, np.float32(0))


class ObservationDelayLayer(BatchLayer):
    """A ring of past observations per instance, filled with the first one."""

    def __init__(self, wrappers: Sequence[Perturbation | None]) -> None:
        super().__init__(wrappers)
        space = self.members[0][1].observation_space
        self._length = 1 + max(int(wrapper.extremes("steps")[1]) for _, wrapper in self.members)
        self._ring = np.zeros((self.count, self._length, *space.shape), dtype=space.dtype)
        self._clock, self._steps = (np.zeros(self.count, dtype=np.intp) for _ in range(2))
        self._all = np.arange(self.count)

    def begin(self, row: int, observation: Array) -> None:
        """Fill the ring."""
        self._ring[row], self._clock[row] = observation, 0
        self._steps[row] = int(self.wrapper(row).value("steps"))

    def observation(self, rows: Rows, observations: Array) -> Array:
        """The observation of ``steps`` steps ago."""
        index, clock = self._all[rows], self._clock[rows]
        self._ring[index, clock % self._length] = observations
        seen: Array = self._ring[index, (clock - self._steps[rows]) % self._length]
        self._clock[rows] += 1
        return seen


class ObservationDistractorsLayer(BatchLayer):
    """Appended dimensions, each a process of its own."""

    def __init__(self, wrappers: Sequence[Perturbation | None]) -> None:
        super().__init__(wrappers)
        size = self.members[0][1].value("count")
        self._state = np.zeros((self.count, size))
        self._correlation, self._spread = (np.zeros((self.count, 1)) for _ in range(2))
        self._draws = Draws(wrappers, [normal(size)] * self.count, size)

    def begin(self, row: int, observation: Array) -> None:
        """Start from the stationary distribution."""
        wrapper = self.wrapper(row)
        c, std = wrapper.value("correlation"), wrapper.value("std")
        self._correlation[row], self._spread[row] = c, std * np.sqrt(1 - c**2)
        self._draws.begin(row)
        self._state[row] = std * self._draws.take(np.array([row]))[0]

    def observation(self, rows: Rows, observations: Array) -> Array:
        """The observations followed by the distractors."""
        state = self._state[rows]
        shown = np.concatenate((observations, state), axis=1).astype(observations.dtype)
        fresh = self._draws.take(rows)
        self._state[rows] = self._correlation[rows] * state + self._spread[rows] * fresh
        return shown


def _missing(wrappers: Sequence[Perturbation | None]) -> BatchLayer:
    """All instances of a layer have one shape, so they remove, or none has anything to remove."""
    modes = {wrapper.value("mode") for wrapper in wrappers if wrapper is not None}
    return ObservationSelectionLayer(wrappers) if modes == {"remove"} else ObservationBlankLayer(wrappers)


OBSERVATION_LAYERS: dict[type[Perturbation], Callable[[Sequence[Perturbation | None]], BatchLayer]] = {
    ObservationNoise: ObservationNoiseLayer,
    ObservationBias: ObservationBiasLayer,
    ObservationScale: ObservationScaleLayer,
    ObservationDropout: ObservationDropoutLayer,
    ObservationQuantisation: ObservationQuantisationLayer,
    ObservationDelay: ObservationDelayLayer,
    ObservationPermutation: ObservationSelectionLayer,
    ObservationRotation: ObservationRotationLayer,
    ObservationMissing: _missing,
    ObservationDistractors: ObservationDistractorsLayer,
}
