"""One environment's MuJoCo model: its pristine arrays, the values asked for, what follows from them.

A setter only notes its value. :func:`apply` then restores the pristine model, writes all noted
values in a fixed order and recomputes what MuJoCo caches (``mj_setConst``), so the order of
perturbations does not matter and values drawn per episode never add up.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from rl_transfer_envs.aliases import Simulator, Value
from rl_transfer_envs.physics.mujoco import elements, geometry

if TYPE_CHECKING:
    import mujoco

AIR = (1.204, 1.825e-5)
"""Density [kg/m^3] and viscosity [Pa s] of air at 20 °C."""

_ARRAYS = (
    *geometry.SHAPE_FIELDS,
    "jnt_stiffness",
    "dof_damping",
    "dof_armature",
    "dof_frictionloss",
    "geom_friction",
    "actuator_gear",
    "actuator_ctrlrange",
)
_OPTIONS = ("timestep", "gravity", "wind", "density", "viscosity", "disableflags")


class Tuning:
    """What :func:`apply` needs to know about one environment instance.

    Attributes:
        arrays: name → copy of the pristine array of ``env.model``.
        options: name → copy of the pristine field of ``env.model.opt``.
        values: parameter → the value noted for it.
        mass_multiples: bodies whose noted mass is a multiple of the pristine one.
        scratch: data of the model for what is computed along the way; an episode may be going on in the
            environment's own.
        fields: (array, index) → a single number that was written by attribute path.

    Args:
        env: ``env.unwrapped``, unperturbed.
    """

    def __init__(self, env: Simulator) -> None:
        self.scratch: mujoco.MjData | None = None
        self.arrays = {name: getattr(env.model, name).copy() for name in _ARRAYS}
        self.options = {name: np.copy(getattr(env.model.opt, name)) for name in _OPTIONS}
        self.frame_skip = int(env.frame_skip)
        self.init_qpos = env.init_qpos.copy()
        self.values: dict[str, Value] = {}
        self.mass_multiples: frozenset[str] = frozenset()
        self.fields: dict[tuple[str, tuple[int, ...]], float] = {}


def tuning(env: Simulator) -> Tuning:
    """The tuning of this instance, taken from its pristine model at the first call.

    Args:
        env: ``env.unwrapped``.

    Returns:
        The tuning, which the environment keeps.
    """
    if "_tuning" not in vars(env):
        env._tuning = Tuning(env)
    found: Tuning = env._tuning
    return found


def note(env: Simulator, name: str, value: Value) -> None:
    """Remember the value of one parameter until :func:`apply`.

    Args:
        env: ``env.unwrapped``.
        name: of the parameter.
        value: absolute, in its unit; for a keyed parameter element → value.
    """
    tuning(env).values[name] = value


def note_mass_multiples(env: object, bodies: Collection[str]) -> None:
    """Remember which of the masses to be noted are multiples.

    Args:
        env: ``env.unwrapped``.
        bodies: their names.
    """
    tuning(env).mass_multiples = frozenset(bodies)


def noted(env: Simulator, name: str, pristine: Value) -> Value:
    """The present value: what was noted, over what the pristine model has.

    Args:
        env: ``env.unwrapped``.
        name: of the parameter.
        pristine: what the pristine model has.

    Returns:
        The value, in the parameter's unit.
    """
    value = vars(env)["_tuning"].values.get(name) if "_tuning" in vars(env) else None
    if value is None:
        return pristine
    return {**pristine, **value} if isinstance(value, Mapping) else value


def apply(env: Simulator) -> None:
    """Write all noted values to the pristine model and recompute what follows from them.

    Derived: inertia (with mass, length, radius), the starting height (the lowest point of the
    robot starts as high above the floor as before), the action space, ``render_fps``, and
    all that ``mj_setConst`` computes (subtree masses, inverse weights, ``dof_M0`` …).

    Args:
        env: ``env.unwrapped``; changed in place.
    """
    import mujoco

    state = tuning(env)
    model, values = env.model, state.values
    state.scratch = state.scratch or mujoco.MjData(model)
    _restore(env, state)
    _write_shapes(env, state.scratch, values)
    _write_masses(model, state)
    _write_joints(model, values)
    _write_friction(model, values.get("friction", {}))
    _write_motors(env, values)
    _write_surroundings(model, state)
    _write_clock(env, state)
    for (path, index), value in state.fields.items():
        elements.array_at(model, path)[index] = value
    mujoco.mj_setConst(model, state.scratch)


def _restore(env: Simulator, state: Tuning) -> None:
    for name, array in state.arrays.items():
        getattr(env.model, name)[:] = array
    for name, value in state.options.items():
        setattr(env.model.opt, name, value if value.ndim else value.item())
    env.init_qpos = state.init_qpos.copy()


def _write_shapes(env: Simulator, data: mujoco.MjData, values: Mapping[str, Value]) -> None:
    import mujoco

    model, index = env.model, elements.bodies(env.model)
    lengths = {body: geometry.capsule_length(model, i) for body, i in index.items()}
    stretch = {index[body]: value / lengths[body] for body, value in values.get("link_length", {}).items()}
    thicken = {
        index[body]: value / geometry.radius(model, index[body])
        for body, value in values.get("link_radius", {}).items()
    }
    if all(factor == 1.0 for factor in (*stretch.values(), *thicken.values())):
        return
    height = _height_index(model)
    lows = []
    for change in (None, (stretch, thicken)):
        if change:
            geometry.reshape(model, *change)
        if height is not None:
            data.qpos[:] = env.init_qpos
            mujoco.mj_kinematics(model, data)
            lows.append(geometry.lowest_point(model, data))
    if height is not None:
        env.init_qpos[height] += lows[0] - lows[1]


def _write_masses(model: mujoco.MjModel, state: Tuning) -> None:
    """Inertia follows mass: the shape stays, the density changes.

    Multiples were taken of the pristine mass; they are of what the body weighs in its present shape.
    """
    index = elements.bodies(model)
    for body, mass in state.values.get("body_mass", {}).items():
        if body in state.mass_multiples:
            mass *= model.body_mass[index[body]] / state.arrays["body_mass"][index[body]]
        model.body_inertia[index[body]] *= mass / model.body_mass[index[body]]
        model.body_mass[index[body]] = mass


def _write_joints(model: mujoco.MjModel, values: Mapping[str, Value]) -> None:
    index = elements.limb_joints(model)
    for name, field in elements.DOF_FIELDS.items():
        for joint, value in values.get(name, {}).items():
            getattr(model, field)[model.jnt_dofadr[index[joint]]] = value
    for joint, value in values.get("joint_stiffness", {}).items():
        model.jnt_stiffness[index[joint]] = value


def _write_friction(model: mujoco.MjModel, values: Mapping[str, float]) -> None:
    """Give every body its friction with the floor, and the floor the least of them.

    MuJoCo takes the larger of two geoms' coefficients, so the floor must never win.
    """
    present = elements.contact_friction(model)
    effective = {**present, **values}
    if effective == present:
        return
    index = elements.bodies(model)
    for body, value in effective.items():
        model.geom_friction[model.geom_bodyid == index[body], 0] = value
    for floor in elements.floors(model):
        model.geom_friction[floor, 0] = min(effective.values())


def _write_motors(env: Simulator, values: Mapping[str, Value]) -> None:
    index = elements.motors(env.model)
    for joint, value in values.get("gear", {}).items():
        env.model.actuator_gear[index[joint], 0] = value
    if "control_range" in values:
        env.model.actuator_ctrlrange[:] = [-values["control_range"], values["control_range"]]
        env._set_action_space()


def _write_surroundings(model: mujoco.MjModel, state: Tuning) -> None:
    """Gravity, tilted by the slope; the medium, filled with air where a wind blows in a vacuum."""
    values, pristine = state.values, state.options
    strength, slope = values.get("gravity", -pristine["gravity"][2]), values.get("slope", 0.0)
    model.opt.gravity[0] = pristine["gravity"][0] - strength * math.sin(slope)
    model.opt.gravity[2] = -strength * math.cos(slope)
    medium = pristine["density"].item(), pristine["viscosity"].item()
    if values.get("wind") and medium == (0.0, 0.0):
        medium = AIR
    model.opt.density = values.get("density", medium[0])
    model.opt.viscosity = values.get("viscosity", medium[1])
    model.opt.wind[0] = values.get("wind", pristine["wind"][0])


def _write_clock(env: Simulator, state: Tuning) -> None:
    env.model.opt.timestep = state.values.get("timestep", state.options["timestep"].item())
    env.frame_skip = state.values.get("frame_skip", state.frame_skip)
    env.metadata = {**env.metadata, "render_fps": round(1 / env.dt)}


def _height_index(model: mujoco.MjModel) -> int | None:
    """Where ``qpos`` holds the height of a robot that stands on the floor; None for the others."""
    for joint in range(model.njnt):
        address = int(model.jnt_qposadr[joint])
        if model.jnt_type[joint] == geometry.FREE:
            return address + 2
        if model.jnt_type[joint] == geometry.SLIDE and model.jnt_axis[joint, 2] == 1.0:
            return address
    return None
