"""MuJoCo v5: the parameters of Gymnasium's eleven robots.

Parameters by element are keyed by body or joint name: ``{body_mass: x1.5}`` for all bodies,
``{body_mass: {torso: x1.5}}`` for one. MuJoCo itself is imported only when a robot is built.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_transfer_envs.aliases import Action, Observation, Value
from rl_transfer_envs.physics.mujoco import elements, geometry, model
from rl_transfer_envs.physics.mujoco.robots import ROBOTS, Robot
from rl_transfer_envs.registry.parameters import Parameter, attribute_parameter, register_parameter
from rl_transfer_envs.registry.probes import register_probe

if TYPE_CHECKING:
    import mujoco

_BEYOND = "beyond full throttle"

_BY_ELEMENT: dict[str, tuple[str, str, str]] = {
    "joint_damping": ("N m s/rad (slides: N s/m)", "joint/damping", "viscous friction in each joint"),
    "joint_stiffness": (
        "N m/rad (slides: N/m)",
        "joint/stiffness",
        "spring that pulls each joint to its zero position",
    ),
    "joint_friction": ("N m (slides: N)", "joint/frictionloss", "dry friction in each joint"),
    "armature": ("kg m^2 (slides: kg)", "joint/armature", "inertia of each joint's rotor"),
    "gear": ("N m per unit of action (slides: N)", "actuator/gear", "strength of each motor"),
    "friction": (
        "1",
        "geom/friction",
        "sliding friction of each body on the floor, written to both geoms of the contact",
    ),
}


def _parameter(
    robot: Robot, name: str, element: str, read: Callable[[mujoco.MjModel], Value], **more: Any
) -> Parameter:
    """A parameter that lives in the model: noted by the setter, written by ``model.apply``."""
    return Parameter(
        name=name,
        source=f"gymnasium/envs/mujoco/assets/{robot.asset}: {element}; {robot.paper}",
        get=lambda env: model.noted(env, name, read(env.model)),
        set=lambda env, value: model.note(env, name, value),
        derive=model.apply,
        **more,
    )


def _world(robot: Robot) -> Iterator[Parameter]:
    """Gravity, slope and the medium."""
    if robot.falls:
        yield _parameter(
            robot,
            "gravity",
            "option/gravity",
            lambda m: -float(m.opt.gravity[2]),
            unit="m/s^2",
            default=9.81,
            bounds=(1.0, 25.0),
            summary="gravitational acceleration (Moon 1.6, Jupiter 24.8)",
        )
    if not robot.weightless:
        yield _parameter(
            robot,
            "slope",
            "option/gravity",
            lambda _: 0.0,
            unit="rad",
            default=0.0,
            bounds=(-0.3, 0.3),
            summary="ground that rises towards +x: gravity is tilted towards -x",
        )
    if robot.medium is None:
        return
    for name, unit, bound, default, what in zip(
        ("density", "viscosity"),
        ("kg/m^3", "Pa s"),
        robot.medium,
        robot.medium_default,
        ("drag grows with the square of the speed", "drag grows with the speed"),
        strict=True,
    ):
        yield _parameter(
            robot,
            name,
            f"option/{name}",
            partial(_option, name),
            unit=unit,
            default=default,
            bounds=(0.0, bound),
            summary=f"{name} of the medium: {what}",
        )
    air = "" if any(robot.medium_default) else "; a vacuum is filled with air unless a medium is given"
    yield _parameter(
        robot,
        "wind",
        "option/wind",
        lambda m: float(m.opt.wind[0]),
        unit="m/s",
        default=0.0,
        bounds=(-robot.wind, robot.wind),
        summary=f"speed of the medium along +x{air}",
    )


def _bodies(robot: Robot) -> Iterator[Parameter]:
    """Masses, lengths and radii."""
    masses = _parameter(
        robot,
        "body_mass",
        "body mass",
        partial(_masses, scenery=robot.scenery),
        keyed=True,
        unit="kg",
        default=None,
        factors=robot.mass,
        bounds=(1e-4, 500.0),
        summary="mass of each body; inertia follows; a multiple is of what it weighs in its shape",
        note_multiples=model.note_mass_multiples,
    )
    yield dataclasses.replace(masses, get=lambda env: _masses(env.model, robot.scenery))
    if robot.length is not None:
        yield _parameter(
            robot,
            "link_length",
            "geom/size",
            partial(_lengths, rigid=robot.rigid),
            keyed=True,
            drifts=False,
            unit="m",
            default=None,
            factors=robot.length,
            bounds=(0.01, 5.0),
            entry_point=robot.length_entry_point,
            summary="length of each link between the centres of its caps; what hangs on it, mass, inertia "
            "and starting height follow",
        )
    if robot.radius is not None:
        yield _parameter(
            robot,
            "link_radius",
            "geom/size",
            lambda m: {
                name: geometry.radius(m, i)
                for name, i in elements.bodies(m).items()
                if i in geometry.links(m)
            },
            keyed=True,
            drifts=False,
            unit="m",
            default=None,
            factors=robot.radius,
            bounds=(0.005, 1.0),
            summary="radius of each link's thickest shape, the others in proportion; mass, inertia and "
            "starting height follow",
        )


def _elements(robot: Robot) -> Iterator[Parameter]:
    """What joints, motors and contacts have."""
    readers: dict[str, Callable[[mujoco.MjModel], dict[str, float]]] = {
        "gear": _gears,
        "friction": elements.contact_friction,
    }
    for name, its in robot.elements.items():
        unit, element, summary = _BY_ELEMENT[name]
        yield _parameter(
            robot,
            name,
            element,
            readers.get(name, partial(elements.joint_values, name=name)),
            keyed=True,
            unit=unit,
            default=its.default,
            factors=its.factors,
            bounds=its.bounds,
            summary=summary,
        )


def _control(robot: Robot) -> Iterator[Parameter]:
    """Range of the control signal and the clock."""
    yield _parameter(
        robot,
        "control_range",
        "motor/ctrlrange",
        lambda m: float(m.actuator_ctrlrange[0, 1]),
        drifts=False,
        unit="1",
        default=robot.control,
        bounds=(robot.control / 5, robot.control * 2),
        summary="control signals lie in ± this value; the action space follows",
        probes=(_BEYOND,),
    )
    yield _parameter(
        robot,
        "timestep",
        "option/timestep",
        partial(_option, "timestep"),
        drifts=False,
        unit="s",
        default=robot.timestep,
        bounds=(robot.timestep / 2, robot.timestep * 2),
        summary="time of one simulation step; an action lasts frame_skip of them",
    )
    yield Parameter(
        name="frame_skip",
        kind="integer",
        unit="steps",
        default=robot.frame_skip,
        bounds=(1, 4 * robot.frame_skip),
        source=f"gymnasium/envs/mujoco/{robot.module}: argument frame_skip",
        summary="simulation steps that one action lasts",
        get=lambda env: model.noted(env, "frame_skip", env.frame_skip),
        set=lambda env, value: model.note(env, "frame_skip", value),
        derive=model.apply,
    )


def _start(robot: Robot) -> Iterator[Parameter]:
    """The spread of the initial state."""
    if robot.spread is not None:
        default, bounds = robot.spread
        yield attribute_parameter(
            "initial_spread",
            "_reset_noise_scale",
            drifts=False,
            unit="m, rad, m/s, rad/s",
            default=default,
            bounds=bounds,
            source=f"gymnasium/envs/mujoco/{robot.module}: argument reset_noise_scale",
            summary="scale of the noise on every initial position and velocity",
        )
    for name, unit, default, bounds, summary in robot.literals:
        yield attribute_parameter(
            name,
            drifts=False,
            unit=unit,
            default=default,
            bounds=bounds,
            source=f"gymnasium/envs/mujoco/{robot.module}: literal in reset_model",
            summary=summary,
            entry_point=f"rl_transfer_envs.physics.mujoco.equations:{robot.env_id.partition('-')[0]}",
        )


def _option(name: str, m: mujoco.MjModel) -> float:
    return float(getattr(m.opt, name))


def _gears(m: mujoco.MjModel) -> dict[str, float]:
    return {joint: float(m.actuator_gear[i, 0]) for joint, i in elements.motors(m).items()}


def _masses(m: mujoco.MjModel, scenery: tuple[str, ...]) -> dict[str, float]:
    return {name: float(m.body_mass[i]) for name, i in elements.bodies(m).items() if name not in scenery}


def _lengths(m: mujoco.MjModel, rigid: tuple[str, ...]) -> dict[str, float]:
    known = set(geometry.links(m))
    lengths = {
        name: geometry.capsule_length(m, i)
        for name, i in elements.bodies(m).items()
        if i in known and name not in rigid
    }
    return {name: length for name, length in lengths.items() if length is not None}


def _beyond_full_throttle(robot: Robot) -> Callable[[Observation], Action]:
    """Twice the largest control signal: what is left of it shows the range, wider or narrower."""
    action = np.full(robot.motors, 2 * robot.control, dtype=np.float32)
    return lambda _observation: action


for _robot in ROBOTS:
    for _group in (_world, _bodies, _elements, _control, _start):
        for _made in _group(_robot):
            register_parameter(_robot.env_id, _made)
    register_probe(_robot.env_id, _BEYOND, _beyond_full_throttle(_robot))
