"""An observation wrapper that mixes dimensions."""

from __future__ import annotations

import math

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rl_transfer_envs.registry.perturbations import register_perturbation
from rl_transfer_envs.values.quantity import Quantity
from rl_transfer_envs.wrappers.observation import ObservationPerturbation


def rotated(
    observations: NDArray[np.float32], cosine: NDArray[np.float64] | float, sine: NDArray[np.float64] | float
) -> NDArray[np.float32]:
    """Neighbouring dimensions, (0, 1), (2, 3) …, rotated in their plane; an odd last one stays.

    Args:
        observations: ``[…, dimension]``.
        cosine: of the angle, of a shape that goes with ``[…, plane]``.
        sine: likewise.

    Returns:
        A new array of the same type.
    """
    exact = observations.astype(np.float64)
    shown, even = exact.copy(), exact.shape[-1] // 2 * 2
    first, second = exact[..., 0:even:2], exact[..., 1:even:2]
    shown[..., 0:even:2] = cosine * first - sine * second
    shown[..., 1:even:2] = sine * first + cosine * second
    shown_as: NDArray[np.float32] = shown.astype(observations.dtype)
    return shown_as


@register_perturbation
class ObservationRotation(ObservationPerturbation):
    """Rotates neighbouring dimensions in their plane: each sensor shows a mixture of two.

    ``(o₀, o₁) → (o₀ cos − o₁ sin, o₀ sin + o₁ cos)``, and so on with (2, 3) …; an odd last one stays. Each
    dimension keeps its name.
    """

    name = "observation_rotation"
    summary = "rotate neighbouring dimensions of the observation in their plane"
    arguments = (
        Quantity(
            name="angle",
            unit="rad",
            default=0.0,
            bounds=(-math.pi, math.pi),
            source="changed state variables: Taylor & Stone 2009, section 2",
            summary="the same angle in every plane",
            per_episode=False,
        ),
    )

    def setup(self) -> None:
        """Widen the bounds to what the corners come to."""
        space, angle = self.vector_box(), float(self.value("angle"))
        self._cosine, self._sine = math.cos(angle), math.sin(angle)
        low, high = (each.astype(np.float64) for each in (space.low, space.high))
        for first in range(0, len(low) - 1, 2):
            ends = [(low[first], high[first]), (low[first + 1], high[first + 1])]
            for place, factors in enumerate(((self._cosine, -self._sine), (self._sine, self._cosine))):
                reach = [
                    sorted(factor * end if factor else 0.0 for end in pair)
                    for factor, pair in zip(factors, ends, strict=True)
                ]
                low[first + place] = sum(each[0] for each in reach)
                high[first + place] = sum(each[1] for each in reach)
        dtype = space.dtype.type
        with np.errstate(over="ignore"):
            self.observation_space = spaces.Box(low.astype(dtype), high.astype(dtype), dtype=dtype)

    def observation(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """The rotated observation."""
        return rotated(observation, self._cosine, self._sine)
