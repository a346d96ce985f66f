"""``attribute``: any number at an attribute path of ``env.unwrapped``, for a user's environment.

    perturb: [{attribute: {wheel.radius: x1.5, mass: 2.0}}]

A path may go on into the arrays of a MuJoCo model (``model.body_mass.torso``); see
``physics.mujoco.fields``.

Whether the environment reads the attribute is for the effect probe to say; an attribute from
which the environment computed other things in its constructor needs a registered parameter
with a ``derive`` hook instead.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from types import ModuleType

import numpy as np

from rl_transfer_envs.aliases import Simulator
from rl_transfer_envs.errors import IncompatiblePerturbationError, UnknownParameterError, did_you_mean
from rl_transfer_envs.physics.mujoco import fields as mujoco_fields
from rl_transfer_envs.registry.parameters import ANY_ENVIRONMENT, Parameter, register_parameter


class Attributes(Mapping[str, float]):
    """The numbers below an object, by dotted path; read on demand.

    Args:
        root: the object, ``env.unwrapped``.
    """

    def __init__(self, root: Simulator) -> None:
        self._root = root

    def __getitem__(self, path: str) -> float:
        if field := mujoco_fields.locate(self._root, path):
            return field.read()
        owner, last = owner_of(self._root, path)
        value = getattr(owner, last)
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise IncompatiblePerturbationError(
                f"attribute {path!r} of {type(self._root).__name__} is a {type(value).__name__}, no number.",
                key=f"attribute.{path}",
            )
        return float(value)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def owner_of(root: Simulator, path: str) -> tuple[object, str]:
    """The object that holds the last attribute of a path, and that attribute's name.

    Args:
        root: ``env.unwrapped``.
        path: dotted path below it.

    Returns:
        The two.

    Raises:
        UnknownParameterError: a part of the path does not exist.
        IncompatiblePerturbationError: the path leads through a module or a class, where a
            change would leak into every other environment of the process.
    """
    *parents, last = path.split(".")
    owner = root
    for i, part in enumerate([*parents, last]):
        if not hasattr(owner, part):
            numbers = [n for n, v in _public(owner) if isinstance(v, int | float)]
            raise UnknownParameterError(
                f"{'.'.join([type(root).__name__, *parents[:i]])} has no attribute {part!r}."
                f"{did_you_mean(part, numbers)} Its numbers: {', '.join(numbers)}.",
                key=f"attribute.{path}",
            )
        if i < len(parents):
            owner = getattr(owner, part)
        if isinstance(owner, ModuleType | type):
            raise IncompatiblePerturbationError(
                f"attribute {path!r} leads through {owner!r}, which all environments share; "
                "a change would leak into them.",
                key=f"attribute.{path}",
            )
    return owner, last


def _own(root: Simulator, path: str) -> object:
    """The owner of the last attribute; objects on the way that a class holds are copied first.

    A class shares them among all its instances, so writing into them would leak.
    """
    owner = root
    for part in path.split(".")[:-1]:
        held = vars(owner) if hasattr(owner, "__dict__") else {}
        shared = inspect.getattr_static(type(owner), part, None)
        if part not in held and hasattr(shared, "__dict__") and not hasattr(shared, "__get__"):
            setattr(owner, part, copy.deepcopy(shared))
        owner = getattr(owner, part)
    return owner


def _public(owner: object) -> list[tuple[str, object]]:
    names = [name for name in dir(owner) if not name.startswith("_") and name != "np_random_seed"]
    names = [name for name in names if not isinstance(getattr(type(owner), name, None), property)]
    return [(name, getattr(owner, name)) for name in names]


def _set(env: Simulator, values: Mapping[str, float]) -> None:
    for path, value in values.items():
        if field := mujoco_fields.locate(env, path):
            mujoco_fields.write(env, field, value)
            continue
        _, last = owner_of(env, path)
        owner = _own(env, path)
        whole = isinstance(getattr(owner, last), int | np.integer) and float(value).is_integer()
        try:
            setattr(owner, last, int(value) if whole else value)
        except AttributeError as error:
            raise IncompatiblePerturbationError(
                f"attribute {path!r} of {type(env).__name__} can be read and not written: {error}; "
                "name the attributes that it is computed from.",
                key=f"attribute.{path}",
            ) from error


register_parameter(
    ANY_ENVIRONMENT,
    Parameter(
        name="attribute",
        unit="as the environment has it",
        default=None,
        bounds=None,
        source="the environment's own attribute",
        summary="numbers at attribute paths of env.unwrapped, absolute or relative",
        get=Attributes,
        set=_set,
        keyed=True,
        free_elements=True,
    ),
)
