"""CartPole: parameters, and the quantities that Gymnasium caches from them.

Gymnasium's constructor computes ``total_mass``, ``polemass_length`` and the observation bounds
once; writing ``masscart`` alone would change nothing.
"""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from rl_transfer_envs.aliases import Observation, Simulator
from rl_transfer_envs.registry.observations import register_observation_names
from rl_transfer_envs.registry.parameters import Parameter, attribute_parameter, register_parameter
from rl_transfer_envs.registry.probes import register_probe

CARTPOLE_IDS = ("CartPole-v0", "CartPole-v1")
_FILE = "gymnasium/envs/classic_control/cartpole.py"
_PAPER = "Barto, Sutton & Anderson 1983"


def derive_masses(env: Simulator) -> None:
    """Recompute ``total_mass`` and ``polemass_length`` as Gymnasium's constructor does.

    Args:
        env: ``env.unwrapped``; changed in place.
    """
    env.total_mass = env.masspole + env.masscart
    env.polemass_length = env.masspole * env.length


def derive_observation_space(env: Simulator) -> None:
    """Rebuild the observation bounds, which are twice the thresholds, as the constructor does.

    Args:
        env: ``env.unwrapped``; changed in place.
    """
    high = np.array([env.x_threshold * 2, np.inf, env.theta_threshold_radians * 2, np.inf], dtype=np.float32)
    env.observation_space = spaces.Box(-high, high, dtype=np.float32)


PARAMETERS = (
    attribute_parameter(
        "gravity",
        unit="m/s^2",
        default=9.8,
        bounds=(1.0, 25.0),
        source=f"{_FILE}: gravity",
        summary="gravitational acceleration (Moon 1.6, Jupiter 24.8)",
    ),
    attribute_parameter(
        "masscart",
        unit="kg",
        default=1.0,
        bounds=(0.1, 10.0),
        source=f"{_FILE}: masscart; {_PAPER}",
        summary="mass of the cart; total_mass follows",
        derive=derive_masses,
    ),
    attribute_parameter(
        "masspole",
        unit="kg",
        default=0.1,
        bounds=(0.01, 2.0),
        source=f"{_FILE}: masspole; {_PAPER}",
        summary="mass of the pole; total_mass and polemass_length follow",
        derive=derive_masses,
    ),
    attribute_parameter(
        "length",
        unit="m",
        default=0.5,
        bounds=(0.05, 5.0),
        source=f"{_FILE}: length (half of the pole); {_PAPER}",
        summary="half the pole's length; polemass_length follows",
        derive=derive_masses,
    ),
    attribute_parameter(
        "force_mag",
        unit="N",
        default=10.0,
        bounds=(1.0, 50.0),
        source=f"{_FILE}: force_mag; {_PAPER}",
        summary="force of one push",
    ),
    attribute_parameter(
        "tau",
        unit="s",
        default=0.02,
        bounds=(0.005, 0.05),
        source=f"{_FILE}: tau; {_PAPER}",
        summary="time between two actions",
    ),
    attribute_parameter(
        "x_threshold",
        unit="m",
        default=2.4,
        bounds=(0.3, 10.0),
        source=f"{_FILE}: x_threshold; {_PAPER}",
        summary="distance from the centre that ends the episode; observation bounds follow",
        derive=derive_observation_space,
        probes=("drive right",),
    ),
    attribute_parameter(
        "theta_threshold",
        "theta_threshold_radians",
        unit="rad",
        default=12 * 2 * np.pi / 360,
        bounds=(0.06, 1.0),
        source=f"{_FILE}: theta_threshold_radians; {_PAPER}",
        summary="pole angle that ends the episode; observation bounds follow",
        derive=derive_observation_space,
    ),
    Parameter(
        name="initial_spread",
        unit="1",
        default=0.05,
        bounds=(0.0, 0.2),
        source=f"{_FILE}: reset, options low and high",
        summary="every initial state variable is uniform in ± this value",
        get=lambda env: 0.05,
        reset_options=lambda spread: {"low": -spread, "high": spread},
    ),
)

register_parameter(CARTPOLE_IDS, *PARAMETERS)


def balance(observation: Observation) -> int:
    """Keep the pole upright for a whole time limit (linear feedback on the four variables).

    Args:
        observation: ``observation[variable]``, unperturbed.

    Returns:
        The action.
    """
    x, x_dot, theta, theta_dot = (float(value) for value in np.ravel(observation)[:4])
    return int(theta + 0.3 * theta_dot + 0.05 * x + 0.1 * x_dot > 0)


def drive_right(observation: Observation) -> int:
    """Keep the pole leaning right, so that the cart accelerates over the right border.

    Args:
        observation: ``observation[variable]``, unperturbed.

    Returns:
        The action.
    """
    _, _, theta, theta_dot = (float(value) for value in np.ravel(observation)[:4])
    return int(theta - 0.05 + 0.3 * theta_dot > 0)


register_probe(CARTPOLE_IDS, "balance", balance)
register_probe(CARTPOLE_IDS, "drive right", drive_right)
register_observation_names(
    CARTPOLE_IDS, ("cart_position", "cart_velocity", "pole_angle", "pole_angular_velocity")
)
