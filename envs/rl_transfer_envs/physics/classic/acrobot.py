"""Acrobot: parameters of the two links, the motor and the goal."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from rl_transfer_envs.aliases import Observation, Simulator
from rl_transfer_envs.registry.observations import register_observation_names
from rl_transfer_envs.registry.parameters import Parameter, attribute_parameter, register_parameter
from rl_transfer_envs.registry.probes import register_probe

ACROBOT_IDS = ("Acrobot-v1",)
_FILE = "gymnasium/envs/classic_control/acrobot.py"
_BOOK = "Sutton & Barto 1998, section 11.3"
_EQUATIONS = "rl_transfer_envs.physics.classic.equations:Acrobot"


def derive_centres_of_mass(env: Simulator) -> None:
    """Keep each link's centre of mass at half its length, as Gymnasium's constants have it.

    Args:
        env: ``env.unwrapped``; changed in place.
    """
    env.LINK_COM_POS_1 = env.LINK_LENGTH_1 / 2
    env.LINK_COM_POS_2 = env.LINK_LENGTH_2 / 2


def derive_observation_space(env: Simulator) -> None:
    """Rebuild the observation bounds from the largest velocities, as the constructor does.

    Args:
        env: ``env.unwrapped``; changed in place.
    """
    high = np.array([1.0, 1.0, 1.0, 1.0, env.MAX_VEL_1, env.MAX_VEL_2], dtype=np.float32)
    env.observation_space = spaces.Box(low=-high, high=high, dtype=np.float32)


def _set_torque(env: Simulator, torque: float) -> None:
    env.AVAIL_TORQUE = [-torque, 0.0, torque]


def _link(name: str, attribute: str, summary: str, **more: Any) -> Parameter:
    return attribute_parameter(
        name, attribute, source=f"{_FILE}: {attribute}; {_BOOK}", summary=summary, **more
    )


_MASS: dict[str, Any] = {"unit": "kg", "default": 1.0, "bounds": (0.1, 5.0)}
_LENGTH: dict[str, Any] = {
    "unit": "m",
    "default": 1.0,
    "bounds": (0.6, 2.0),
    "derive": derive_centres_of_mass,
    "entry_point": _EQUATIONS,
}
_SPEED: dict[str, Any] = {"unit": "rad/s", "derive": derive_observation_space, "probes": ("swing up",)}

PARAMETERS = (
    attribute_parameter(
        "gravity",
        unit="m/s^2",
        default=9.8,
        bounds=(1.0, 25.0),
        source=f"{_FILE}: literal g in _dsdt; {_BOOK}",
        summary="gravitational acceleration",
        entry_point=_EQUATIONS,
    ),
    _link("link_mass_1", "LINK_MASS_1", "mass of the upper link", **_MASS),
    _link("link_mass_2", "LINK_MASS_2", "mass of the lower link", **_MASS),
    _link(
        "link_length_1",
        "LINK_LENGTH_1",
        "length of the upper link; centre of mass and height follow",
        **_LENGTH,
    ),
    _link(
        "link_length_2",
        "LINK_LENGTH_2",
        "length of the lower link; centre of mass and height follow",
        **_LENGTH,
    ),
    _link(
        "link_inertia",
        "LINK_MOI",
        "moment of inertia of either link (a constant in Gymnasium, not m·l²/12)",
        unit="kg m^2",
        default=1.0,
        bounds=(0.1, 5.0),
    ),
    Parameter(
        name="torque",
        unit="N m",
        default=1.0,
        bounds=(0.2, 5.0),
        source=f"{_FILE}: AVAIL_TORQUE; {_BOOK}",
        summary="torque of the motor between the links",
        get=lambda env: float(env.AVAIL_TORQUE[-1]),
        set=_set_torque,
    ),
    attribute_parameter(
        "torque_noise",
        "torque_noise_max",
        unit="N m",
        default=0.0,
        bounds=(0.0, 2.0),
        source=f"{_FILE}: torque_noise_max",
        summary="uniform noise on the torque, in ± this value, from the environment's own stream",
    ),
    attribute_parameter(
        "dt",
        unit="s",
        default=0.2,
        bounds=(0.05, 0.4),
        source=f"{_FILE}: dt; {_BOOK}",
        summary="time between two actions",
    ),
    _link(
        "max_velocity_1",
        "MAX_VEL_1",
        "largest angular velocity of the upper link (the default does not bind); bounds follow",
        default=4 * np.pi,
        bounds=(np.pi / 2, 4 * np.pi),
        **_SPEED,
    ),
    _link(
        "max_velocity_2",
        "MAX_VEL_2",
        "largest angular velocity of the lower link (the default does not bind); bounds follow",
        default=9 * np.pi,
        bounds=(np.pi, 9 * np.pi),
        **_SPEED,
    ),
    attribute_parameter(
        "goal_height",
        unit="m",
        default=1.0,
        bounds=(-1.0, 1.9),
        source=f"{_FILE}: literal in _terminal; {_BOOK}",
        summary="height of the tip above the fixed joint that ends the episode",
        entry_point=_EQUATIONS,
        probes=("swing up",),
    ),
    Parameter(
        name="initial_spread",
        unit="rad, rad/s",
        default=0.1,
        bounds=(0.0, 1.0),
        source=f"{_FILE}: reset, options low and high",
        summary="every initial state variable is uniform in ± this value",
        get=lambda env: 0.1,
        reset_options=lambda spread: {"low": -spread, "high": spread},
    ),
)

register_parameter(ACROBOT_IDS, *PARAMETERS)


def swing_up(observation: Observation) -> int:
    """Pump energy: torque along the upper link's motion.

    Args:
        observation: ``observation[variable]``, unperturbed.

    Returns:
        The action.
    """
    return 0 if float(np.ravel(observation)[4]) > 0 else 2


register_probe(ACROBOT_IDS, "swing up", swing_up)
register_observation_names(
    ACROBOT_IDS,
    ("cos_theta1", "sin_theta1", "cos_theta2", "sin_theta2", "velocity_theta1", "velocity_theta2"),
)
