"""MountainCar, discrete and continuous: engine, hill, speed limit, track and goal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from gymnasium import spaces

from rl_transfer_envs.aliases import Action, Observation, Simulator
from rl_transfer_envs.registry.observations import register_observation_names
from rl_transfer_envs.registry.parameters import Parameter, attribute_parameter, register_parameter
from rl_transfer_envs.registry.probes import register_probe

DISCRETE_IDS = ("MountainCar-v0",)
CONTINUOUS_IDS = ("MountainCarContinuous-v0",)
_DISCRETE = "gymnasium/envs/classic_control/mountain_car.py"
_CONTINUOUS = "gymnasium/envs/classic_control/continuous_mountain_car.py"
_MOORE = "Moore 1990; Sutton & Barto 2018, example 10.1"
_PUMP = ("with the velocity",)


def derive_discrete_space(env: Simulator) -> None:
    """Rebuild ``low``, ``high`` and the observation space as the constructor does.

    Args:
        env: ``env.unwrapped``; changed in place.
    """
    env.low = np.array([env.min_position, -env.max_speed], dtype=np.float32)
    env.high = np.array([env.max_position, env.max_speed], dtype=np.float32)
    env.observation_space = spaces.Box(env.low, env.high, dtype=np.float32)


def derive_continuous_space(env: Simulator) -> None:
    """Rebuild ``low_state``, ``high_state`` and the observation space as the constructor does.

    Args:
        env: ``env.unwrapped``; changed in place.
    """
    env.low_state = np.array([env.min_position, -env.max_speed], dtype=np.float32)
    env.high_state = np.array([env.max_position, env.max_speed], dtype=np.float32)
    env.observation_space = spaces.Box(low=env.low_state, high=env.high_state, dtype=np.float32)


def _set_max_action(env: Simulator, value: float) -> None:
    env.min_action, env.max_action = -value, value
    env.action_space = spaces.Box(low=-value, high=value, shape=(1,), dtype=np.float32)


def _track(file: str, derive: Callable[[Simulator], None]) -> list[Parameter]:
    """Speed limit and left wall, which both cars have."""
    return [
        attribute_parameter(
            "max_speed",
            unit="1/step",
            default=0.07,
            bounds=(0.02, 0.07),
            source=f"{file}: max_speed; {_MOORE}",
            summary="largest speed (the default hardly ever binds, so only lower ones); bounds follow",
            derive=derive,
            probes=_PUMP,
        ),
        attribute_parameter(
            "min_position",
            unit="1",
            default=-1.2,
            bounds=(-1.8, -0.7),
            source=f"{file}: min_position; {_MOORE}",
            summary="position of the left wall; observation bounds follow",
            derive=derive,
            probes=_PUMP,
        ),
    ]


def _ends(file: str, goal: float) -> list[Parameter]:
    """Goal and start, which both cars have."""
    return [
        attribute_parameter(
            "goal_position",
            unit="1",
            default=goal,
            bounds=(0.0, 0.6),
            source=f"{file}: goal_position",
            summary="position that ends the episode",
            probes=_PUMP,
        ),
        attribute_parameter(
            "goal_velocity",
            unit="1/step",
            default=0.0,
            bounds=(0.0, 0.06),
            source=f"{file}: argument goal_velocity",
            summary="least velocity at the goal",
            probes=_PUMP,
        ),
        Parameter(
            name="initial_spread",
            unit="1",
            default=0.1,
            bounds=(0.0, 0.45),
            source=f"{file}: reset, options low and high",
            summary="the start is uniform in −0.5 ± this value",
            get=lambda env: 0.1,
            reset_options=lambda spread: {"low": -0.5 - spread, "high": -0.5 + spread},
        ),
    ]


def _discrete() -> list[Parameter]:
    return [
        attribute_parameter(
            "gravity",
            unit="1/step^2",
            default=0.0025,
            bounds=(0.001, 0.005),
            source=f"{_DISCRETE}: gravity; {_MOORE}",
            summary="pull of the hill",
        ),
        attribute_parameter(
            "force",
            unit="1/step^2",
            default=0.001,
            bounds=(0.0003, 0.003),
            source=f"{_DISCRETE}: force; {_MOORE}",
            summary="acceleration of the engine",
        ),
        *_track(_DISCRETE, derive_discrete_space),
        *_ends(_DISCRETE, 0.5),
    ]


def _continuous() -> list[Parameter]:
    return [
        attribute_parameter(
            "gravity",
            unit="1/step^2",
            default=0.0025,
            bounds=(0.001, 0.005),
            source=f"{_CONTINUOUS}: literal in step; {_MOORE}",
            summary="pull of the hill",
            entry_point="rl_transfer_envs.physics.classic.equations:MountainCarContinuous",
        ),
        attribute_parameter(
            "power",
            unit="1/step^2",
            default=0.0015,
            bounds=(0.0004, 0.005),
            source=f"{_CONTINUOUS}: power",
            summary="acceleration of the engine at full throttle",
        ),
        Parameter(
            name="max_action",
            unit="1",
            default=1.0,
            bounds=(0.2, 3.0),
            source=f"{_CONTINUOUS}: min_action, max_action",
            summary="throttle range ± this value; the action space follows",
            get=lambda env: float(env.max_action),
            set=_set_max_action,
        ),
        *_track(_CONTINUOUS, derive_continuous_space),
        *_ends(_CONTINUOUS, 0.45),
    ]


register_parameter(DISCRETE_IDS, *_discrete())
register_parameter(CONTINUOUS_IDS, *_continuous())

register_probe(DISCRETE_IDS, _PUMP[0], lambda observation: 2 if np.ravel(observation)[1] >= 0 else 0)


def _pump(throttle: float) -> Callable[[Observation], Action]:
    def act(observation: Observation) -> Action:
        return np.array([throttle if np.ravel(observation)[1] >= 0 else -throttle], dtype=np.float32)

    return act


register_probe(CONTINUOUS_IDS, _PUMP[0], _pump(1.0))
register_probe(CONTINUOUS_IDS, "gently with the velocity", _pump(0.6))
register_observation_names((*DISCRETE_IDS, *CONTINUOUS_IDS), ("position", "velocity"))
