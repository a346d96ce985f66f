"""The physics of the classic-control environments, compiled: all instances of a batch in one call.

Every function here steps the rows one after another with the equations of ``rl_transfer_envs``, in double
precision and operation by operation as they stand there (:mod:`~rl_transfer.rl.compiled.scalars`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rl_transfer.engine.compiling import kernel as compiled
from rl_transfer.rl.compiled.scalars import column
from rl_transfer.rl.environments.spaces import Array
from rl_transfer_envs.vector.kernels import (
    AnyKernel,
    acrobot,
    cartpole,
    mountain_car,
    mountain_car_continuous,
    pendulum,
)
from rl_transfer_envs.vector.kernels.arithmetic import single

Doubles = NDArray[np.float64]
Singles = NDArray[np.float32]
Flags = NDArray[np.bool_]

_CARTPOLE = cartpole.CONSTANTS
_ACROBOT = acrobot.CONSTANTS
_MOUNTAIN_CAR = mountain_car.CONSTANTS
_CONTINUOUS = mountain_car_continuous.CONSTANTS


@compiled(exact=True)
def _cartpole(
    constants: Doubles,
    state: Doubles,
    actions: Array,
    observations: Singles,
    rewards: Doubles,
    terminated: Flags,
) -> None:
    for row in range(state.shape[1]):
        c = cartpole.CartPoleConstants(*column(constants[:, row], _CARTPOLE))
        moved, rewards[row], terminated[row] = cartpole.advance(c, column(state[:, row], 4), actions[row])
        for k in range(4):
            state[k, row] = observations[row, k] = moved[k]


@compiled(exact=True)
def _acrobot(
    constants: Doubles,
    state: Doubles,
    torques: Doubles,
    observations: Singles,
    rewards: Doubles,
    terminated: Flags,
) -> None:
    for row in range(state.shape[1]):
        c = acrobot.AcrobotConstants(*column(constants[:, row], _ACROBOT))
        moved, rewards[row], terminated[row] = acrobot.advance(c, column(state[:, row], 4), torques[row])
        for k in range(4):
            state[k, row] = moved[k]
        seen = acrobot.observe(moved)
        for k in range(6):
            observations[row, k] = seen[k]


@compiled(exact=True)
def _mountain_car(
    constants: Doubles,
    state: Doubles,
    actions: Array,
    observations: Singles,
    rewards: Doubles,
    terminated: Flags,
) -> None:
    for row in range(state.shape[1]):
        c = mountain_car.MountainCarConstants(*column(constants[:, row], _MOUNTAIN_CAR))
        moved, rewards[row], terminated[row] = mountain_car.advance(c, column(state[:, row], 2), actions[row])
        for k in range(2):
            state[k, row] = observations[row, k] = moved[k]


@compiled(exact=True)
def _mountain_car_continuous(
    constants: Doubles,
    singles: Singles,
    state: Doubles,
    fresh: Flags,
    actions: Array,
    observations: Singles,
    rewards: Doubles,
    terminated: Flags,
) -> None:
    for row in range(state.shape[1]):
        double_c = mountain_car_continuous.MountainCarContinuousConstants(
            *column(constants[:, row], _CONTINUOUS)
        )
        single_c = mountain_car_continuous.MountainCarContinuousConstants(
            *column(singles[:, row], _CONTINUOUS)
        )
        position, velocity = state[0, row], state[1, row]
        if fresh[row]:
            moved, rewards[row], terminated[row] = mountain_car_continuous.advance(
                double_c, single_c, double_c, (position, velocity), actions[row, 0]
            )
        else:
            moved, rewards[row], terminated[row] = mountain_car_continuous.advance(
                single_c, single_c, double_c, (single(position), single(velocity)), actions[row, 0]
            )
        fresh[row] = False
        for k in range(2):
            state[k, row] = observations[row, k] = moved[k]


@compiled(exact=True)
def _pendulum(
    constants: Doubles,
    singles: Singles,
    state: Doubles,
    torques: Singles,
    actions: Array,
    observations: Singles,
    rewards: Doubles,
    terminated: Flags,
) -> None:
    for row in range(state.shape[1]):
        c = pendulum.PendulumConstants(
            constants[0, row], singles[1, row], singles[2, row], constants[3, row], constants[4, row]
        )
        torques[row] = pendulum.applied(c, actions[row, 0])
        moved, rewards[row] = pendulum.advance(c, column(state[:, row], 2), torques[row])
        terminated[row] = False
        for k in range(2):
            state[k, row] = moved[k]
        seen = pendulum.observe(moved)
        for k in range(3):
            observations[row, k] = seen[k]


class CompiledPhysics:
    """The compiled step of a batch's kernel, in place of the one over arrays; they share their state.

    Attributes:
        observations: ``float32[instance, dimension]`` after a step.
        rewards: ``float64[instance]`` of a step.
        terminated: ``bool[instance]`` after a step.

    Args:
        kernel: the kernel of a batch; its state is stepped in place.
    """

    def __init__(self, kernel: AnyKernel) -> None:
        self._kernel = kernel
        self._constants: tuple[Array, ...] | None = None
        self._doubles: Doubles = np.zeros((0, kernel.count))
        self._singles: Singles = np.zeros((0, kernel.count), dtype=np.float32)
        self.observations: Singles = np.zeros((kernel.count, kernel.observation_size), dtype=np.float32)
        self.rewards: Doubles = np.zeros(kernel.count)
        self.terminated: Flags = np.zeros(kernel.count, dtype=np.bool_)

    def step(self, actions: Array, active: Array | None = None) -> None:
        """Advance all instances by one step.

        Args:
            actions: ``int64[instance]``, or ``float32[instance, 1]``.
            active: mask of the instances that count, None for all; the others draw nothing.
        """
        k = self._kernel
        if k.constants is not self._constants:
            self._constants = k.constants
            self._doubles = np.array(k.constants, dtype=np.float64)
            self._singles = self._doubles.astype(np.float32)
        found = self.observations, self.rewards, self.terminated
        if isinstance(k, cartpole.CartPoleKernel):
            _cartpole(self._doubles, k.state, actions, *found)
        elif isinstance(k, pendulum.PendulumKernel):
            _pendulum(self._doubles, self._singles, k.state, k.torque, actions, *found)
        elif isinstance(k, acrobot.AcrobotKernel):
            _acrobot(self._doubles, k.state, k.torque(actions, active), *found)
        elif isinstance(k, mountain_car.MountainCarKernel):
            _mountain_car(self._doubles, k.state, actions, *found)
        elif isinstance(k, mountain_car_continuous.MountainCarContinuousKernel):
            _mountain_car_continuous(self._doubles, self._singles, k.state, k.fresh, actions, *found)

    def step_anew(self, actions: Array, active: Array | None) -> tuple[Array, Array, Array]:
        """:meth:`step` with the interface of the kernel's own.

        Args:
            actions: as in :meth:`step`.
            active: as in :meth:`step`.

        Returns:
            Observations, rewards and terminated, newly made.
        """
        self.step(actions, active)
        return self.observations.copy(), self.rewards.copy(), self.terminated.copy()
