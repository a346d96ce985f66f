"""Pendulum: rod, motor, speed limit, time step and start."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from rl_transfer_envs.aliases import Simulator
from rl_transfer_envs.registry.observations import register_observation_names
from rl_transfer_envs.registry.parameters import Parameter, attribute_parameter, register_parameter
from rl_transfer_envs.registry.probes import register_probe

PENDULUM_IDS = ("Pendulum-v1",)
_FILE = "gymnasium/envs/classic_control/pendulum.py"


def derive_action_space(env: Simulator) -> None:
    """Rebuild the action space, ± ``max_torque``, as the constructor does.

    Args:
        env: ``env.unwrapped``; changed in place.
    """
    env.action_space = spaces.Box(low=-env.max_torque, high=env.max_torque, shape=(1,), dtype=np.float32)


def derive_observation_space(env: Simulator) -> None:
    """Rebuild the observation bounds from ``max_speed``, as the constructor does.

    Args:
        env: ``env.unwrapped``; changed in place.
    """
    high = np.array([1.0, 1.0, env.max_speed], dtype=np.float32)
    env.observation_space = spaces.Box(low=-high, high=high, dtype=np.float32)


PARAMETERS = (
    attribute_parameter(
        "gravity",
        "g",
        unit="m/s^2",
        default=10.0,
        bounds=(1.0, 25.0),
        source=f"{_FILE}: argument g",
        summary="gravitational acceleration",
    ),
    attribute_parameter(
        "mass",
        "m",
        unit="kg",
        default=1.0,
        bounds=(0.2, 5.0),
        source=f"{_FILE}: m",
        summary="mass of the rod",
    ),
    attribute_parameter(
        "length",
        "l",
        unit="m",
        default=1.0,
        bounds=(0.3, 3.0),
        source=f"{_FILE}: l",
        summary="length of the rod",
    ),
    attribute_parameter(
        "max_torque",
        unit="N m",
        default=2.0,
        bounds=(0.5, 10.0),
        source=f"{_FILE}: max_torque",
        summary="largest torque; the action space follows",
        derive=derive_action_space,
    ),
    attribute_parameter(
        "max_speed",
        unit="rad/s",
        default=8.0,
        bounds=(2.0, 20.0),
        source=f"{_FILE}: max_speed",
        summary="largest angular velocity; observation bounds follow",
        derive=derive_observation_space,
        probes=("with the velocity",),
    ),
    attribute_parameter(
        "dt",
        unit="s",
        default=0.05,
        bounds=(0.01, 0.1),
        source=f"{_FILE}: dt",
        summary="time between two actions",
    ),
    Parameter(
        name="initial_angle_spread",
        unit="rad",
        default=np.pi,
        bounds=(0.0, np.pi),
        source=f"{_FILE}: reset, option x_init",
        summary="the initial angle from upright is uniform in ± this value",
        get=lambda env: np.pi,
        reset_options=lambda spread: {"x_init": spread},
    ),
    Parameter(
        name="initial_velocity_spread",
        unit="rad/s",
        default=1.0,
        bounds=(0.0, 2.0),
        source=f"{_FILE}: reset, option y_init",
        summary="the initial angular velocity is uniform in ± this value",
        get=lambda env: 1.0,
        reset_options=lambda spread: {"y_init": spread},
    ),
)

register_parameter(PENDULUM_IDS, *PARAMETERS)

register_probe(
    PENDULUM_IDS,
    "with the velocity",
    lambda observation: np.array([2.0 if np.ravel(observation)[2] >= 0 else -2.0], dtype=np.float32),
)
register_observation_names(PENDULUM_IDS, ("cos_theta", "sin_theta", "angular_velocity"))
