"""The equations of the five classic-control environments over arrays of instances.

Each kernel repeats Gymnasium's arithmetic operation by operation, in the same order and the same
precision, so that an instance gives the same bits as Gymnasium's own environment (MIT licence,
Farama Foundation). ``arithmetic`` says what that takes.
"""

from __future__ import annotations

from gymnasium.envs.classic_control import (
    AcrobotEnv,
    CartPoleEnv,
    Continuous_MountainCarEnv,
    MountainCarEnv,
    PendulumEnv,
)

from rl_transfer_envs.aliases import Array
from rl_transfer_envs.physics.classic import equations
from rl_transfer_envs.vector.kernels.acrobot import AcrobotKernel
from rl_transfer_envs.vector.kernels.base import Kernel
from rl_transfer_envs.vector.kernels.cartpole import CartPoleKernel
from rl_transfer_envs.vector.kernels.mountain_car import MountainCarKernel
from rl_transfer_envs.vector.kernels.mountain_car_continuous import MountainCarContinuousKernel
from rl_transfer_envs.vector.kernels.pendulum import PendulumKernel

AnyKernel = Kernel[tuple[Array, ...]]

KERNELS: dict[type, type[AnyKernel]] = {
    CartPoleEnv: CartPoleKernel,
    AcrobotEnv: AcrobotKernel,
    equations.Acrobot: AcrobotKernel,
    MountainCarEnv: MountainCarKernel,
    Continuous_MountainCarEnv: MountainCarContinuousKernel,
    equations.MountainCarContinuous: MountainCarContinuousKernel,
    PendulumEnv: PendulumKernel,
}
"""Environment class (exactly, no subclasses) → the kernel that batches it."""

__all__ = ["KERNELS", "AnyKernel", "Kernel"]
