"""The elements of an ``MjModel`` by name, and what the present values of its joints and contacts are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rl_transfer_envs.aliases import Array
from rl_transfer_envs.physics.mujoco import geometry

if TYPE_CHECKING:
    import mujoco

DOF_FIELDS = {
    "joint_damping": "dof_damping",
    "joint_friction": "dof_frictionloss",
    "armature": "dof_armature",
}
"""Parameter by joint → the array over degrees of freedom that holds it."""


def array_at(model: mujoco.MjModel, path: str) -> Array:
    """The array at an attribute path of a model (``"body_mass"``, ``"opt.gravity"``).

    Args:
        model: an ``MjModel``.
        path: dotted.

    Returns:
        The array itself, no copy.
    """
    owner = model
    for part in path.split("."):
        owner = getattr(owner, part)
    array: Array = owner
    return array


def names(model: mujoco.MjModel, kind: str) -> dict[str, int]:
    """Name → index of all elements of one kind (``"body"``, ``"joint"`` …).

    Args:
        model: an ``MjModel``.
        kind: as MuJoCo calls it.

    Returns:
        Every element of that kind, the nameless ones under ``""``.
    """
    counts = {"joint": "njnt", "actuator": "nu", "equality": "neq"}
    count = getattr(model, counts.get(kind, f"n{kind}"))
    return {str(getattr(model, kind)(i).name): i for i in range(count)}


def bodies(model: mujoco.MjModel) -> dict[str, int]:
    """Name → index of every body but the world; a nameless one is called by its first joint.

    Args:
        model: an ``MjModel``.
    """
    return {_body_name(model, i): i for i in range(1, model.nbody)}


def limb_joints(model: mujoco.MjModel) -> dict[str, int]:
    """Name → index of the hinges and slides that link two bodies or are driven by an actuator.

    The joints that let a whole robot move through space (``rootx``, a free root, Reacher's
    target) are none of them.

    Args:
        model: an ``MjModel``.

    Returns:
        The joints that a parameter by joint lists.
    """
    driven = {int(i) for i in model.actuator_trnid[:, 0]}
    return {
        model.joint(i).name: i
        for i in range(model.njnt)
        if model.jnt_type[i] in (geometry.HINGE, geometry.SLIDE)
        and (i in driven or model.body_parentid[model.jnt_bodyid[i]] != 0)
    }


def motors(model: mujoco.MjModel) -> dict[str, int]:
    """Name of the joint that it drives → index of every actuator.

    Args:
        model: an ``MjModel``.
    """
    return {model.joint(int(model.actuator_trnid[i, 0])).name: i for i in range(model.nu)}


def joint_values(model: mujoco.MjModel, name: str) -> dict[str, float]:
    """Damping, dry friction, armature or stiffness of every limb joint.

    Args:
        model: an ``MjModel``.
        name: of the parameter, such as ``joint_damping``.

    Returns:
        Joint → value, in the parameter's unit.
    """
    if name == "joint_stiffness":
        return {joint: float(model.jnt_stiffness[i]) for joint, i in limb_joints(model).items()}
    values = getattr(model, DOF_FIELDS[name])
    return {joint: float(values[model.jnt_dofadr[i]]) for joint, i in limb_joints(model).items()}


def contact_friction(model: mujoco.MjModel) -> dict[str, float]:
    """Sliding friction between each body and the floor: the larger of the two geoms', as in MuJoCo.

    Args:
        model: an ``MjModel``.

    Returns:
        Body → coefficient; bodies without a geom are left out.
    """
    floor = max((float(model.geom_friction[g, 0]) for g in floors(model)), default=0.0)
    found: dict[str, float] = {}
    for body, i in bodies(model).items():
        own = [float(model.geom_friction[g, 0]) for g in range(model.ngeom) if model.geom_bodyid[g] == i]
        if own:
            found[body] = max(floor, *own)
    return found


def floors(model: mujoco.MjModel) -> list[int]:
    """The planes that belong to the world.

    Args:
        model: an ``MjModel``.
    """
    return [
        g for g in range(model.ngeom) if model.geom_bodyid[g] == 0 and model.geom_type[g] == geometry.PLANE
    ]


def _body_name(model: mujoco.MjModel, body: int) -> str:
    name = str(model.body(body).name)
    if not name and model.body_jntnum[body]:
        name = str(model.joint(int(model.body_jntadr[body])).name)
    return name or f"body {body}"
