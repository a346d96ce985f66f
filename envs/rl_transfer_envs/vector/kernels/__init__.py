"""The equations of the five classic-control environments over arrays of instances.

Each kernel repeats Gymnasium's arithmetic operation by operation, in the same order and the same
precision, so that an instance gives the same bits as Gymnasium's own environment (MIT licence,
Farama Foundation). ``arithmetic`` says what that takes.
"""

from __future__ import annotations

from typing import Any

from gymnasium.envs.classic_control import (
    AcrobotEnv,
    CartPoleEnv,
    Continuous_MountainCarEnv,
    MountainCarEnv,
    PendulumEnv,
)

from rl_transfer_envs.physics.classic import equations
from rl_transfer_envs.vector.kernels.acrobot import Acrobot
from rl_transfer_envs.vector.kernels.base import Kernel
from rl_transfer_envs.vector.kernels.cartpole import CartPole
from rl_transfer_envs.vector.kernels.mountain_car import MountainCar
from rl_transfer_envs.vector.kernels.mountain_car_continuous import MountainCarContinuous
from rl_transfer_envs.vector.kernels.pendulum import Pendulum

KERNELS: dict[type[Any], type[Kernel]] = {
    CartPoleEnv: CartPole,
    AcrobotEnv: Acrobot,
    equations.Acrobot: Acrobot,
    MountainCarEnv: MountainCar,
    Continuous_MountainCarEnv: MountainCarContinuous,
    equations.MountainCarContinuous: MountainCarContinuous,
    PendulumEnv: Pendulum,
}
"""Environment class (exactly, no subclasses) → the kernel that batches it."""

__all__ = ["KERNELS", "Kernel"]
