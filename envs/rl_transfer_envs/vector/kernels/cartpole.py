"""CartPole over arrays (``gymnasium/envs/classic_control/cartpole.py``)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_transfer_envs.aliases import Array, Simulator, State
from rl_transfer_envs.errors import IncompatiblePerturbationError
from rl_transfer_envs.vector.kernels.arithmetic import choose
from rl_transfer_envs.vector.kernels.base import USE_SYNC, Kernel


class CartPoleConstants(NamedTuple):
    """Gymnasium's attributes, and the rewards of a step that goes on and of one that ends."""

    gravity: Array
    masspole: Array
    total_mass: Array
    length: Array
    polemass_length: Array
    force_mag: Array
    tau: Array
    x_threshold: Array
    theta_threshold_radians: Array
    alive: Array
    fallen: Array


CONSTANTS = len(CartPoleConstants._fields)


def advance(c: CartPoleConstants, state: State, action: Array) -> tuple[tuple[Array, ...], Array, Array]:
    """Gymnasium's step, without its warning about steps after the end; Euler integration.

    Args:
        c: the constants.
        state: position [m], velocity [m/s], angle [rad], angular velocity [rad/s].
        action: 1 pushes to the right.

    Returns:
        The next state, the reward, and whether the episode ends.
    """
    x, x_dot, theta, theta_dot = state
    force = choose(action == 1, c.force_mag, -c.force_mag)
    costheta, sintheta = np.cos(theta), np.sin(theta)

    temp = (force + c.polemass_length * np.square(theta_dot) * sintheta) / c.total_mass
    thetaacc = (c.gravity * sintheta - costheta * temp) / (
        c.length * (4.0 / 3.0 - c.masspole * np.square(costheta) / c.total_mass)
    )
    xacc = temp - c.polemass_length * thetaacc * costheta / c.total_mass

    x, theta = x + c.tau * x_dot, theta + c.tau * theta_dot
    terminated = (np.abs(x) > c.x_threshold) | (np.abs(theta) > c.theta_threshold_radians)
    moved = (x, x_dot + c.tau * xacc, theta, theta_dot + c.tau * thetaacc)
    return moved, choose(terminated, c.fallen, c.alive), terminated


class CartPoleKernel(Kernel[CartPoleConstants]):
    """Euler integration of the cart and the pole; the observation is the state."""

    environment = "CartPole"
    state_size = 4
    observation_size = 4
    attributes = dict.fromkeys(
        (
            "gravity",
            "masspole",
            "total_mass",
            "length",
            "polemass_length",
            "force_mag",
            "tau",
            "x_threshold",
            "theta_threshold_radians",
            "_sutton_barto_reward",
        )
    )

    def load(self, row: int, env: Simulator) -> None:
        """As in the base class; only Gymnasium's default integrator is batched."""
        if env.kinematics_integrator != "euler":
            raise IncompatiblePerturbationError(
                f"CartPole with the integrator {env.kinematics_integrator!r} does not vectorise; "
                f"only 'euler' does. {USE_SYNC}"
            )
        super().load(row, env)

    def derive(self) -> CartPoleConstants:
        """The parameters, and the rewards."""
        numbers = {name: each.copy() for name, each in self.parameters.items()}
        sutton_barto = numbers.pop("_sutton_barto_reward")
        alive, fallen = np.where(sutton_barto != 0, 0.0, 1.0), np.where(sutton_barto != 0, -1.0, 1.0)
        return CartPoleConstants(**numbers, alive=alive, fallen=fallen)

    def step(self, actions: Array, active: Array | None) -> tuple[Array, Array, Array]:
        """Gymnasium's step."""
        moved, rewards, terminated = advance(self.constants, self.state, actions)
        self.state = np.stack(moved)
        return self.observed(), rewards, terminated

    def export(self, row: int, env: Simulator) -> None:
        """Write state back; the episode has not ended."""
        super().export(row, env)
        env.steps_beyond_terminated = None
