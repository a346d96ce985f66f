"""MountainCarContinuous over arrays (``gymnasium/envs/classic_control/continuous_mountain_car.py``).

Gymnasium keeps the start state in double and every later state in single precision. Its Python
floats (parameters, bounds) take the precision of the NumPy scalar they meet, but stay double where
they only meet each other: on the clipped throttle, and in the goal test after a bound was hit.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np

from rl_transfer_envs.aliases import Array, Simulator, State
from rl_transfer_envs.vector.kernels.arithmetic import bounded, choose, cos, like, single, square
from rl_transfer_envs.vector.kernels.base import Kernel


class MountainCarContinuousConstants(NamedTuple):
    """Gymnasium's attributes, in one precision."""

    power: Array
    min_action: Array
    max_action: Array
    min_position: Array
    max_position: Array
    max_speed: Array
    goal_position: Array
    goal_velocity: Array
    gravity: Array

    def rounded(self) -> MountainCarContinuousConstants:
        """The same in single precision."""
        return MountainCarContinuousConstants(*map(single, self))

    def of(self, rows: Array) -> MountainCarContinuousConstants:
        """The same of some of the instances.

        Args:
            rows: a mask.
        """
        return MountainCarContinuousConstants(*(each[rows] for each in self))


CONSTANTS = len(MountainCarContinuousConstants._fields)


def advance(
    p: MountainCarContinuousConstants,
    single_p: MountainCarContinuousConstants,
    double_p: MountainCarContinuousConstants,
    state: State,
    throttle: Array,
) -> tuple[tuple[Array, ...], Array, Array]:
    """Gymnasium's step.

    Args:
        p: the constants in the precision that the state has.
        single_p: the constants in single precision.
        double_p: the constants in double precision.
        state: position and velocity: in double precision at the start of an episode, then in single.
        throttle: in single precision.

    Returns:
        The next state in single precision, the reward, and whether the episode ends.
    """
    position, velocity = state
    velocity = velocity + like(acceleration(single_p, double_p, position, throttle), velocity)
    fast, reverse = velocity > p.max_speed, velocity < -p.max_speed
    velocity = bounded(velocity, -p.max_speed, p.max_speed)
    position = position + velocity
    right, left = position > p.max_position, position < p.min_position
    position = bounded(position, p.min_position, p.max_position)
    crash = (position == p.min_position) & (velocity < 0)
    velocity = choose(crash, like(0.0, velocity), velocity)

    wall = choose(right, double_p.max_position, double_p.min_position)
    there = choose(right | left, wall >= double_p.goal_position, position >= p.goal_position)
    bound = choose(crash, 0.0, choose(fast, double_p.max_speed, -double_p.max_speed))
    quick = choose(fast | reverse | crash, bound >= double_p.goal_velocity, velocity >= p.goal_velocity)
    terminated = there & quick
    reward = choose(terminated, 100.0, 0.0) - square(throttle) * 0.1
    return (single(position), single(velocity)), reward, terminated


def acceleration(
    single_p: MountainCarContinuousConstants,
    double_p: MountainCarContinuousConstants,
    position: Array,
    throttle: Array,
) -> Array:
    """Engine minus hill: in single precision, unless the throttle was clipped to a Python float.

    Args:
        single_p: as in :func:`advance`.
        double_p: as in :func:`advance`.
        position: of the car.
        throttle: as in :func:`advance`.

    Returns:
        The change of the velocity in one step.
    """
    hill = double_p.gravity * cos(like(3.0, position) * position)
    under, over = throttle < single_p.min_action, throttle > single_p.max_action
    limit = choose(under, double_p.min_action, double_p.max_action)
    force = throttle * single_p.power - single(hill)
    return choose(under | over, limit * double_p.power - hill, force)


class MountainCarContinuousKernel(Kernel[MountainCarContinuousConstants]):
    """The car with a continuous throttle; the observation is the state.

    Attributes:
        fresh: ``fresh[instance]``: whether the state is the start state, in double precision.
    """

    environment = "MountainCarContinuous"
    state_size = 2
    observation_size = 2
    attributes: ClassVar[dict[str, float | None]] = {
        **dict.fromkeys(MountainCarContinuousConstants._fields),
        "gravity": 0.0025,
    }

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.fresh: Array = np.ones(count, dtype=bool)

    def start(self, row: int, env: Simulator) -> None:
        """Take over the state; its precision says whether it is a start state."""
        super().start(row, env)
        self.fresh[row] = env.state.dtype == np.float64

    def export(self, row: int, env: Simulator) -> None:
        """Write the state back in the precision that Gymnasium would have it in."""
        env.state = self.state[:, row].astype(np.float64 if self.fresh[row] else np.float32)

    def derive(self) -> MountainCarContinuousConstants:
        """The parameters in double precision."""
        constants = MountainCarContinuousConstants(
            **{name: each.copy() for name, each in self.parameters.items()}
        )
        self._single = constants.rounded()
        return constants

    def step(self, actions: Array, active: Array | None) -> tuple[Array, Array, Array]:
        """Gymnasium's step, for start states and for later states."""
        throttle, double_p = single(actions[:, 0]), self.constants
        if not self.fresh.any():
            later = single(self.state)
            moved, rewards, terminated = advance(self._single, self._single, double_p, later, throttle)
            self.state = np.stack(moved).astype(np.float64)
            return self.observed(), rewards, terminated
        rewards, terminated = np.zeros(self.count), np.zeros(self.count, dtype=bool)
        for rows, precise in ((self.fresh, True), (~self.fresh, False)):
            single_own, double_own = self._single.of(rows), double_p.of(rows)
            own = double_own if precise else single_own
            state = like(self.state[:, rows], own.power)
            moved, rewards[rows], terminated[rows] = advance(
                own, single_own, double_own, state, throttle[rows]
            )
            self.state[:, rows] = np.stack(moved)
        self.fresh = np.zeros(self.count, dtype=bool)
        return self.observed(), rewards, terminated
