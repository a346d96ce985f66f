"""BipedalWalker and BipedalWalkerHardcore: motors, body, ground, air, start and clock.

Box2D itself is imported only when one of them is built. Units are those of the simulation, in
which a walker is 2.8 m high and weighs 6.5 kg.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from gymnasium import spaces

from rl_transfer_envs.aliases import Simulator
from rl_transfer_envs.physics.box2d.literals import derive_render_fps, literal_parameter, read_at_every_step
from rl_transfer_envs.registry.observations import register_observation_names
from rl_transfer_envs.registry.parameters import Parameter, register_parameter

WALKER_IDS = ("BipedalWalker-v3", "BipedalWalkerHardcore-v3")
_FILE = "gymnasium/envs/box2d/bipedal_walker.py"
_parameter = partial(literal_parameter, "BipedalWalker", _FILE)


def derive_bounds(env: Simulator) -> None:
    """Open the bounds of the hull's angle where a fall can turn it over before it touches the ground.

    Args:
        env: ``env.unwrapped``; changed in place.
    """
    kind = type(env)
    tumbles = (
        env.gravity < kind.gravity
        or env.leg_density < kind.leg_density
        or env.knee_speed > kind.knee_speed
        or env.timestep != kind.timestep
    )
    low, high = env.observation_space.low.copy(), env.observation_space.high.copy()
    high[0] = np.inf if tumbles else math.pi
    low[0] = -high[0]
    env.observation_space = spaces.Box(low, high)


def derive_clock(env: Simulator) -> None:
    """What follows from the time step: frames per second and the bounds of the hull's angle.

    Args:
        env: ``env.unwrapped``; changed in place.
    """
    derive_render_fps(env)
    derive_bounds(env)


def _body() -> list[Parameter]:
    """Motors and body."""
    return [
        _parameter(
            "motor_torque",
            "MOTORS_TORQUE",
            unit="N m",
            default=80.0,
            bounds=(20.0, 160.0),
            summary="largest torque of hips and knees; the reward charges for the unperturbed torque",
        ),
        _parameter(
            "hip_speed",
            "SPEED_HIP",
            unit="rad/s",
            default=4.0,
            bounds=(1.0, 8.0),
            summary="largest speed of the hip motors",
        ),
        _parameter(
            "knee_speed",
            "SPEED_KNEE",
            unit="rad/s",
            default=6.0,
            bounds=(1.5, 12.0),
            summary="largest speed of the knee motors",
            derive=derive_bounds,
        ),
        _parameter(
            "hull_density",
            "HULL_FD",
            unit="kg/m^2",
            default=5.0,
            bounds=(1.0, 20.0),
            summary="density of the hull; mass (5.4 kg at 5) and inertia follow",
        ),
        _parameter(
            "leg_density",
            "LEG_FD, LOWER_FD",
            unit="kg/m^2",
            default=1.0,
            bounds=(0.2, 10.0),
            summary="density of thighs and shanks; mass (0.30 and 0.24 kg at 1) and inertia follow",
            derive=derive_bounds,
        ),
        _parameter(
            "leg_length",
            "LEG_H",
            unit="m",
            default=34 / 30,
            bounds=(0.7, 1.7),
            summary="length of thigh and of shank; joints, mass, inertia and starting height follow",
        ),
    ]


def _world() -> list[Parameter]:
    """Ground, air, start and clock."""
    return [
        _parameter(
            "gravity",
            "b2World's default gravity (its sign turned)",
            unit="m/s^2",
            default=10.0,
            bounds=(1.0, 25.0),
            summary="gravitational acceleration",
            derive=derive_bounds,
        ),
        _parameter(
            "friction",
            "FRICTION",
            unit="1",
            default=2.5,
            bounds=(0.05, 5.0),
            summary="friction of the ground; that of hull and legs follows in proportion, so contacts do",
        ),
        _parameter(
            "roughness",
            "literal 1 / SCALE in _generate_terrain",
            unit="1",
            default=1.0,
            bounds=(0.0, 4.0),
            summary="height of the ground's bumps as a multiple of Gymnasium's",
            probes=("middle",),
        ),
        _parameter(
            "wind",
            "none (no wind)",
            unit="N",
            default=0.0,
            bounds=(-20.0, 20.0),
            summary="steady horizontal force on the hull; below 0 it blows against the walker",
        ),
        _parameter(
            "linear_damping",
            "Box2D's linearDamping",
            unit="1/s",
            default=0.0,
            bounds=(0.0, 2.0),
            summary="drag of the air on the motion of hull and legs",
        ),
        _parameter(
            "initial_force",
            "INITIAL_RANDOM",
            unit="N",
            default=5.0,
            bounds=(0.0, 500.0),
            summary="spread of the random sideways push at the start: in ± this, for one step",
        ),
        _parameter(
            "timestep",
            "FPS",
            unit="s",
            default=0.02,
            bounds=(0.01, 0.04),
            summary="time between two actions",
            derive=derive_clock,
        ),
    ]


_EVERY_STEP = ("motor_torque", "hip_speed", "knee_speed", "wind", "linear_damping", "timestep")

register_parameter(
    WALKER_IDS, *read_at_every_step(_EVERY_STEP, _body()), *read_at_every_step(_EVERY_STEP, _world())
)
_LEG = ("hip_{}_angle", "hip_{}_speed", "knee_{}_angle", "knee_{}_speed", "leg_{}_contact")
register_observation_names(
    WALKER_IDS,
    (
        *("hull_angle", "hull_angular_velocity", "x_velocity", "y_velocity"),
        *(entry.format(leg) for leg in (1, 2) for entry in _LEG),
        *(f"lidar_{ray}" for ray in range(10)),
    ),
)
