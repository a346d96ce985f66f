"""Longer, shorter, thicker and thinner links of a MuJoCo model, with the inertia that follows.

A link is a body made of spheres and capsules of one density. Stretching it by f multiplies the
positions inside its frame and the half-lengths of its capsules by f and keeps their radius;
everything attached to it moves along, so joints stay joints. Mass, centre of mass and inertia
are integrated anew from the shapes at the old density, as MuJoCo's compiler does
(``inertiafromgeom``), and the collision bounds follow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from rl_transfer_envs.aliases import Array

if TYPE_CHECKING:
    import mujoco

PLANE, SPHERE, CAPSULE = 0, 2, 3  # mjtGeom
FREE, HINGE, SLIDE = 0, 3, 2  # mjtJoint
_DISABLE_MIDPHASE = 1 << 14  # mjtDisableBit.mjDSBL_MIDPHASE: its bounding volumes are not rebuilt

SHAPE_FIELDS = (
    "body_pos",
    "body_ipos",
    "body_iquat",
    "body_mass",
    "body_inertia",
    "body_sameframe",
    "jnt_pos",
    "geom_pos",
    "geom_size",
    "geom_rbound",
    "geom_aabb",
    "geom_sameframe",
    "site_pos",
)
"""The arrays of an ``MjModel`` that :func:`reshape` writes."""


def links(model: mujoco.MjModel) -> list[int]:
    """The bodies whose length and radius can be changed: spheres and capsules of one density.

    A body with another shape, or with a mass that its shapes do not explain, is left out.

    Args:
        model: an ``MjModel``.
    """
    return [body for body in range(1, model.nbody) if _explained_by_its_shapes(model, body)]


def capsule_length(model: mujoco.MjModel, body: int) -> float | None:
    """Length of the body's longest capsule between the centres of its caps [m]; None without one.

    Args:
        model: an ``MjModel``.
        body: its number.

    Returns:
        The length [m].
    """
    lengths = [2 * model.geom_size[g, 1] for g in _geoms(model, body) if model.geom_type[g] == CAPSULE]
    return float(max(lengths)) if lengths else None


def radius(model: mujoco.MjModel, body: int) -> float:
    """Radius of the body's thickest sphere or capsule [m].

    Args:
        model: an ``MjModel``.
        body: its number.
    """
    return float(max(model.geom_size[g, 0] for g in _geoms(model, body)))


def reshape(model: mujoco.MjModel, stretch: Mapping[int, float], thicken: Mapping[int, float]) -> None:
    """Stretch and thicken links of a pristine model, and integrate their inertia anew.

    Args:
        model: an ``MjModel`` whose ``SHAPE_FIELDS`` are those of the compiled model.
        stretch: body → factor on its length.
        thicken: body → factor on the radius of its shapes.
    """
    stretch = {body: factor for body, factor in stretch.items() if factor != 1.0}
    thicken = {body: factor for body, factor in thicken.items() if factor != 1.0}
    density = {body: _density(model, body) for body in {*stretch, *thicken}}
    if not density:
        return
    model.opt.disableflags |= _DISABLE_MIDPHASE
    _move_attachments(model, stretch)
    for body in density:
        _resize_shapes(model, body, stretch.get(body, 1.0), thicken.get(body, 1.0))
        _write_inertia(model, body, density[body])


def lowest_point(model: mujoco.MjModel, data: mujoco.MjData) -> float:
    """Height of the lowest point of all spheres and capsules that move, at ``data``'s pose [m].

    Args:
        model: an ``MjModel``.
        data: an ``MjData`` with positions computed (``mj_kinematics``).

    Returns:
        The height [m].
    """
    lows = []
    for geom in range(model.ngeom):
        if model.geom_bodyid[geom] and model.geom_type[geom] in (SPHERE, CAPSULE):
            along = model.geom_size[geom, 1] if model.geom_type[geom] == CAPSULE else 0.0
            drop = abs(data.geom_xmat[geom, 8]) * along + model.geom_size[geom, 0]
            lows.append(float(data.geom_xpos[geom, 2] - drop))
    return min(lows)


def _geoms(model: mujoco.MjModel, body: int) -> range:
    first = int(model.body_geomadr[body])
    return range(first, first + int(model.body_geomnum[body]))


def _joints(model: mujoco.MjModel, body: int) -> range:
    first = int(model.body_jntadr[body])
    return range(first, first + int(model.body_jntnum[body]))


def _move_attachments(model: mujoco.MjModel, stretch: Mapping[int, float]) -> None:
    """Move each body with the point of its parent that it hangs on (its first hinge, or its origin)."""
    for body in range(1, model.nbody):
        own, parent = stretch.get(body, 1.0), stretch.get(int(model.body_parentid[body]), 1.0)
        if own == parent == 1.0:
            continue
        hinges = [j for j in _joints(model, body) if model.jnt_type[j] == HINGE]
        arm = np.zeros(3)
        if hinges:
            arm = rotation(model.body_quat[body]) @ model.jnt_pos[hinges[0]]
        model.body_pos[body] = parent * (model.body_pos[body] + arm) - own * arm
        for joint in hinges:
            model.jnt_pos[joint] *= own


def _resize_shapes(model: mujoco.MjModel, body: int, stretch: float, thicken: float) -> None:
    for geom in _geoms(model, body):
        model.geom_pos[geom] *= stretch
        model.geom_size[geom, 0] *= thicken
        thickness, half = model.geom_size[geom, 0], 0.0
        if model.geom_type[geom] == CAPSULE:
            model.geom_size[geom, 1] *= stretch
            half = model.geom_size[geom, 1]
        model.geom_rbound[geom] = thickness + half
        model.geom_aabb[geom] = [0.0, 0.0, 0.0, thickness, thickness, thickness + half]
        model.geom_sameframe[geom] = 0
    for site in range(model.nsite):
        if model.site_bodyid[site] == body:
            model.site_pos[site] *= stretch


def _write_inertia(model: mujoco.MjModel, body: int, density: float) -> None:
    import mujoco

    mass, centre, tensor = _mass_properties(model, body, density)
    moments, axes = np.linalg.eigh(tensor)
    axes = np.ascontiguousarray(axes[:, ::-1])  # MuJoCo lists the moments from large to small
    if np.linalg.det(axes) < 0:
        axes[:, 2] *= -1
    model.body_mass[body] = mass
    model.body_ipos[body] = centre
    model.body_inertia[body] = moments[::-1]
    model.body_sameframe[body] = 0
    mujoco.mju_mat2Quat(model.body_iquat[body], axes.ravel())


def _density(model: mujoco.MjModel, body: int) -> float:
    volume = sum(_volumes(model, geom)[0] + _volumes(model, geom)[1] for geom in _geoms(model, body))
    return float(model.body_mass[body] / volume)


def _volumes(model: mujoco.MjModel, geom: int) -> tuple[float, float]:
    """Volume of a shape's cylinder and of its two half-spheres."""
    r, half = float(model.geom_size[geom, 0]), float(model.geom_size[geom, 1])
    cylinder = math.pi * r**2 * 2 * half if model.geom_type[geom] == CAPSULE else 0.0
    return cylinder, 4 / 3 * math.pi * r**3


def _mass_properties(model: mujoco.MjModel, body: int, density: float) -> tuple[float, Array, Array]:
    """Mass, centre of mass in the body frame, and inertia tensor about that centre.

    For a capsule of radius r and half-length h, its cylinder weighing c and its caps s together:
    I∥ = c r²/2 + 2 s r²/5 and I⊥ = c (3 r² + 4 h²)/12 + s (2 r²/5 + h² + 3 r h/4).
    """
    parts = []
    for geom in _geoms(model, body):
        cylinder, caps = (density * volume for volume in _volumes(model, geom))
        r = float(model.geom_size[geom, 0])
        h = float(model.geom_size[geom, 1]) if model.geom_type[geom] == CAPSULE else 0.0
        along = cylinder * r**2 / 2 + caps * 2 * r**2 / 5
        across = cylinder * (3 * r**2 + 4 * h**2) / 12 + caps * (2 * r**2 / 5 + h**2 + 3 * r * h / 4)
        frame = rotation(model.geom_quat[geom])
        tensor = frame @ np.diag([across, across, along]) @ frame.T
        parts.append((cylinder + caps, np.array(model.geom_pos[geom]), tensor))
    mass = sum(part[0] for part in parts)
    centre = np.sum([m * position for m, position, _ in parts], axis=0) / mass
    total = np.zeros((3, 3))
    for m, position, tensor in parts:
        d = position - centre
        total += tensor + m * (d @ d * np.eye(3) - np.outer(d, d))
    return mass, centre, total


def _explained_by_its_shapes(model: mujoco.MjModel, body: int) -> bool:
    shapes = [int(model.geom_type[g]) for g in _geoms(model, body)]
    if not shapes or not {*shapes} <= {SPHERE, CAPSULE} or model.body_mass[body] <= 0:
        return False
    _, centre, tensor = _mass_properties(model, body, _density(model, body))
    frame = rotation(model.body_iquat[body])
    stored = frame @ np.diag(model.body_inertia[body]) @ frame.T
    size = float(np.max(model.body_inertia[body]))
    return bool(
        np.allclose(centre, model.body_ipos[body], atol=1e-9)
        and np.allclose(tensor, stored, atol=1e-6 * size)
    )


def rotation(quaternion: Iterable[float]) -> Array:
    """The rotation matrix of a unit quaternion (w, x, y, z).

    Args:
        quaternion: ``quaternion[4]``.

    Returns:
        ``matrix[3, 3]``.
    """
    w, x, y, z = (float(part) for part in quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
