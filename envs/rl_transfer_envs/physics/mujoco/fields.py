"""Elements of the arrays of a user's own MuJoCo model, by name, as attribute paths.

    perturb: [{attribute: {model.body_mass.torso: x1.5, model.geom_friction.floor.0: 0.3}}]

A path leads through an ``MjModel`` to one of its arrays, names the element (or gives its
index), and, where an element has several numbers, ends in the number's index. Unlike the
registered parameters of Gymnasium's robots, nothing but ``mj_setConst`` follows: inertia does
not follow mass, and the other geom of a contact keeps its friction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rl_transfer_envs.aliases import Array, Simulator
from rl_transfer_envs.errors import IncompatiblePerturbationError, UnknownParameterError, did_you_mean
from rl_transfer_envs.physics.mujoco import elements
from rl_transfer_envs.physics.mujoco import model as tuned

if TYPE_CHECKING:
    import mujoco

_KINDS = {
    "body": "body",
    "geom": "geom",
    "jnt": "joint",
    "dof": "joint",
    "site": "site",
    "actuator": "actuator",
    "tendon": "tendon",
    "sensor": "sensor",
    "eq": "equality",
}
"""First word of an array's name → what its rows are the values of."""


@dataclass(frozen=True)
class Field:
    """One number in an array below an ``MjModel``.

    Attributes:
        model: the ``MjModel``.
        path: attribute path from the model to the array (``"body_mass"``, ``"opt.gravity"``).
        index: where the number stands in it.
    """

    model: mujoco.MjModel
    path: str
    index: tuple[int, ...]

    def read(self) -> float:
        """The number."""
        return float(elements.array_at(self.model, self.path)[self.index])


def locate(root: Simulator, path: str) -> Field | None:
    """The number that an attribute path names in an array of an ``MjModel``.

    Args:
        root: ``env.unwrapped``.
        path: dotted path below it.

    Returns:
        None where the path meets no ``MjModel``, or ends in a plain attribute of it.

    Raises:
        UnknownParameterError: no element of that name.
        IncompatiblePerturbationError: the path stops short of a number, or goes beyond it.
    """
    parts = path.split(".")
    owner = root
    for i, part in enumerate(parts):
        owner = getattr(owner, part, None)
        if _is_model(owner):
            return _in_model(owner, parts[i + 1 :], path)
    return None


def write(env: Simulator, field: Field, value: float) -> None:
    """Write one number and let MuJoCo recompute what it caches (``mj_setConst``).

    Args:
        env: ``env.unwrapped``; changed in place.
        field: which number.
        value: what it becomes, in MuJoCo's unit.
    """
    import mujoco

    if getattr(env, "model", None) is field.model and hasattr(env, "frame_skip"):
        tuned.tuning(env).fields[field.path, field.index] = value
    elements.array_at(field.model, field.path)[field.index] = value
    mujoco.mj_setConst(field.model, mujoco.MjData(field.model))


def _is_model(owner: object) -> bool:
    return type(owner).__name__ == "MjModel" and type(owner).__module__.split(".")[0] == "mujoco"


def _in_model(model: mujoco.MjModel, parts: list[str], path: str) -> Field | None:
    owner = model
    for i, part in enumerate(parts):
        owner = getattr(owner, part, None)
        if isinstance(owner, np.ndarray):
            name = ".".join(parts[: i + 1])
            return Field(model, name, _index(model, name, owner, parts[i + 1 :], path))
    return None


def _index(model: mujoco.MjModel, name: str, array: Array, keys: list[str], path: str) -> tuple[int, ...]:
    """Element (by name or number) and component of one number in ``array``."""
    components = array.ndim - 1
    expected = f"one number: {name}.<element>" + f".<0 to {array.shape[-1] - 1}>" * components
    if len(keys) <= components or not all(key.isdigit() for key in keys[len(keys) - components :]):
        raise IncompatiblePerturbationError(
            f"attribute {path!r} names no single number; expected {expected}.", key=f"attribute.{path}"
        )
    element = _element(model, name, array, ".".join(keys[: len(keys) - components]), path)
    index = (element, *(int(key) for key in keys[len(keys) - components :]))
    if any(i >= size for i, size in zip(index, array.shape, strict=True)):
        raise IncompatiblePerturbationError(
            f"attribute {path!r} lies outside the array of shape {array.shape}; expected {expected}.",
            key=f"attribute.{path}",
        )
    return index


def _element(model: mujoco.MjModel, name: str, array: Array, key: str, path: str) -> int:
    if key.isdigit():
        return int(key)
    kind = _KINDS.get(name.split("_")[0])
    known = {} if kind is None else {n: i for n, i in elements.names(model, kind).items() if n}
    if key not in known:
        raise UnknownParameterError(
            f"{name} has no element {key!r}.{did_you_mean(key, known)} "
            f"It has {', '.join(known) or f'0 to {len(array) - 1}'}.",
            key=f"attribute.{path}",
        )
    return int(model.jnt_dofadr[known[key]]) if name.startswith("dof_") else known[key]
