"""LunarLander, discrete and continuous: gravity, air, engines, masses, contacts, start and clock.

Box2D itself is imported only when one of them is built. Units are those of the simulation, in
which a lander is 1.1 m wide and weighs 4.8 kg.
"""

from __future__ import annotations

import math
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from gymnasium import spaces

from rl_transfer_envs.aliases import Action, Observation, Simulator, Space
from rl_transfer_envs.physics.box2d.literals import derive_render_fps, literal_parameter, read_at_every_step
from rl_transfer_envs.registry.observations import register_observation_names
from rl_transfer_envs.registry.parameters import Parameter, register_parameter
from rl_transfer_envs.registry.probes import register_probe

LANDER_IDS = ("LunarLander-v3", "LunarLanderContinuous-v3")
_FILE = "gymnasium/envs/box2d/lunar_lander.py"
_parameter = partial(literal_parameter, "LunarLander", _FILE)
_LAND = "land"


def derive_bounds(env: Simulator) -> None:
    """Open the bounds of height and angle where the engine lifts the lander more easily than by default.

    Gymnasium's bounds hold no ceiling, only the heights that the unperturbed engine reaches.

    Args:
        env: ``env.unwrapped``; changed in place.
    """
    power, density = getattr(env, "main_engine_power", 13.0), getattr(env, "lander_density", 5.0)
    lifts_easily = power / (density * -env.gravity) > 13.0 / (5.0 * 10.0)
    low, high = env.observation_space.low.copy(), env.observation_space.high.copy()
    height, angle = (np.inf, np.inf) if lifts_easily else (2.5, 2 * math.pi)
    high[1], low[4], high[4] = height, -angle, angle
    env.observation_space = spaces.Box(low, high)


def _set_gravity(env: Simulator, gravity: float) -> None:
    env.gravity = -gravity


def wind_of(env: Simulator) -> tuple[float, float]:
    """Wind and turbulence power as they act: both 0 where the wind is switched off.

    Args:
        env: ``env.unwrapped``.
    """
    return (env.wind_power, env.turbulence_power) if env.enable_wind else (0.0, 0.0)


def set_wind(env: Simulator, *, wind: float | None = None, turbulence: float | None = None) -> None:
    """Write either power, and switch the wind on exactly if one of them blows.

    Args:
        env: ``env.unwrapped``; changed in place.
        wind: largest force [N]; as it is if not given.
        turbulence: largest torque [N m]; as it is if not given.
    """
    present = wind_of(env)
    env.wind_power = present[0] if wind is None else wind
    env.turbulence_power = present[1] if turbulence is None else turbulence
    env.enable_wind = bool(env.wind_power or env.turbulence_power)


def _air() -> list[Parameter]:
    """Gravity, wind and drag."""
    return [
        Parameter(
            name="gravity",
            unit="m/s^2",
            default=10.0,
            bounds=(1.0, 15.0),
            source=f"{_FILE}: argument gravity (its sign turned)",
            summary="gravitational acceleration; the main engine lifts against up to 17",
            get=lambda env: -float(env.gravity),
            set=_set_gravity,
            derive=derive_bounds,
        ),
        Parameter(
            name="wind_power",
            unit="N",
            default=0.0,
            bounds=(0.0, 20.0),
            source=f"{_FILE}: arguments enable_wind, wind_power",
            summary="largest force of a sideways wind that comes and goes",
            get=lambda env: wind_of(env)[0],
            set=lambda env, value: set_wind(env, wind=value),
        ),
        Parameter(
            name="turbulence_power",
            unit="N m",
            default=0.0,
            bounds=(0.0, 2.0),
            source=f"{_FILE}: arguments enable_wind, turbulence_power",
            summary="largest torque of a turbulence that comes and goes",
            get=lambda env: wind_of(env)[1],
            set=lambda env, value: set_wind(env, turbulence=value),
        ),
        _parameter(
            "linear_damping",
            "Box2D's linearDamping",
            unit="1/s",
            default=0.0,
            bounds=(0.0, 2.0),
            summary="drag of the air on the motion of lander and legs",
        ),
        _parameter(
            "angular_damping",
            "Box2D's angularDamping",
            unit="1/s",
            default=0.0,
            bounds=(0.0, 5.0),
            summary="drag of the air on the rotation of lander and legs",
        ),
    ]


def _body() -> list[Parameter]:
    """Engines, masses, contacts, start and clock."""
    return [
        _parameter(
            "main_engine_power",
            "MAIN_ENGINE_POWER",
            unit="N s/m",
            default=13.0,
            bounds=(8.0, 26.0),
            summary="impulse of the main engine per metre of lever, each step; 7.5 just hovers",
            derive=derive_bounds,
        ),
        _parameter(
            "side_engine_power",
            "SIDE_ENGINE_POWER",
            unit="N s/m",
            default=0.6,
            bounds=(0.1, 2.0),
            summary="impulse of a side engine per metre of lever, each step",
        ),
        _parameter(
            "lander_density",
            "literal density of the lander's fixture",
            unit="kg/m^2",
            default=5.0,
            bounds=(2.0, 8.0),
            summary="density of the lander; mass (4.8 kg at 5) and inertia follow",
            derive=derive_bounds,
        ),
        _parameter(
            "leg_density",
            "literal density of the legs' fixtures",
            unit="kg/m^2",
            default=1.0,
            bounds=(0.2, 20.0),
            summary="density of the legs; mass (0.07 kg each at 1) and inertia follow",
        ),
        _parameter(
            "leg_spring_torque",
            "LEG_SPRING_TORQUE",
            unit="N m",
            default=40.0,
            bounds=(5.0, 200.0),
            summary="torque that spreads the legs",
        ),
        _parameter(
            "friction",
            "literal friction of the moon's fixtures",
            unit="1",
            default=0.1,
            bounds=(0.0, 1.0),
            summary="friction of the moon; that of lander and legs follows in proportion, so contacts do",
            probes=(_LAND,),
        ),
        _parameter(
            "restitution",
            "literal restitution of the lander's fixture",
            unit="1",
            default=0.0,
            bounds=(0.0, 0.8),
            summary="share of the speed that lander and legs keep when they bounce",
            probes=(_LAND,),
        ),
        _parameter(
            "initial_force",
            "INITIAL_RANDOM",
            unit="N",
            default=1000.0,
            bounds=(0.0, 2000.0),
            summary="spread of the random push at the start: each component in ± this, for one step",
        ),
        _parameter(
            "timestep",
            "FPS",
            unit="s",
            default=0.02,
            bounds=(0.01, 0.04),
            summary="time between two actions; an engine's impulse follows, so that its thrust stays",
            derive=derive_render_fps,
        ),
    ]


def land(space: Space, observation: Observation) -> Action:
    """Gymnasium's own heuristic, which lands softly: the only way to long contacts with the moon.

    Args:
        space: the action space.
        observation: ``observation[variable]``, unperturbed.

    Returns:
        The action.
    """
    from gymnasium.envs.box2d import lunar_lander

    heuristic: Any = lunar_lander.heuristic
    continuous = isinstance(space, spaces.Box)
    chosen = heuristic(SimpleNamespace(unwrapped=SimpleNamespace(continuous=continuous)), observation)
    action: Action = chosen.astype(space.dtype) if continuous else chosen
    return action


register_parameter(LANDER_IDS, *read_at_every_step(("timestep",), (*_air(), *_body())))
register_probe(LANDER_IDS, _LAND, land, with_space=True)
register_observation_names(
    LANDER_IDS,
    ("x", "y", "x_velocity", "y_velocity", "angle", "angular_velocity", "left_contact", "right_contact"),
)
