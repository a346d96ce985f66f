"""Gymnasium's own environment, before anything is perturbed, and the values that it has of its own."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import gymnasium as gym
import numpy as np

from rl_transfer_envs.aliases import Env, Spec
from rl_transfer_envs.build.families import FAMILIES
from rl_transfer_envs.errors import (
    EnvError,
    IncompatiblePerturbationError,
    InvalidSpecError,
    MissingExtraError,
)
from rl_transfer_envs.registry.parameters import Parameter, parameters


def bare(spec: Spec, render_mode: str | None = None) -> Env:
    """The environment of a canonical specification as Gymnasium makes it, without its perturbations.

    Args:
        spec: the specification; physics parameters in it may need other equations.
        render_mode: as in ``gymnasium.make``.

    Returns:
        The environment.

    Raises:
        IncompatiblePerturbationError: two parameters need different equations.
        InvalidSpecError: it cannot be made with these arguments.
        MissingExtraError: an optional dependency is not installed.
    """
    registered = copy.deepcopy(gym.registry[spec["id"]])
    replacements = {
        point
        for entry in spec["perturb"]
        if (parameter := parameters(spec["id"]).get(next(iter(entry)))) and (point := parameter.entry_point)
    }
    if len(replacements) > 1:
        raise IncompatiblePerturbationError(
            f"{spec['id']}: parameters that need different equations: {sorted(replacements)}.", key="perturb"
        )
    registered.entry_point = next(iter(replacements), registered.entry_point)
    kwargs = spec["kwargs"] if render_mode is None else {**spec["kwargs"], "render_mode": render_mode}
    try:
        _import_entry_point(registered.entry_point)
        with _mujoco_warns_in_python():
            return gym.make(registered, **copy.deepcopy(kwargs))
    except (gym.error.DependencyNotInstalled, ImportError) as error:
        raise _missing(spec["id"], error) from error
    except EnvError:
        raise
    except Exception as error:
        usual = isinstance(error, TypeError | ValueError | AssertionError)
        raise InvalidSpecError(
            f"{spec['id']} cannot be made with kwargs {spec['kwargs']}: "
            f"{'' if usual else type(error).__name__ + ': '}{error}",
            key="kwargs",
        ) from error


def _import_entry_point(entry_point: object) -> None:
    """Import an environment's module; Box2D's crashes Python where deprecations are errors."""
    module = entry_point.partition(":")[0] if isinstance(entry_point, str) else ""
    if module and module not in sys.modules:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            importlib.import_module(module)


@contextmanager
def _mujoco_warns_in_python() -> Iterator[None]:
    """MuJoCo's warnings on a model as Python's, not on stderr and in MUJOCO_LOG.TXT in the current folder.

    What it calls deprecated is left out: HalfCheetah's model is Gymnasium's, and no user can mend it.
    """
    mujoco = sys.modules.get("mujoco")
    if mujoco is None:
        yield
        return
    heard: list[str] = []
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(heard.append)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)
    for text in heard:
        if "is deprecated" not in text:
            warnings.warn(text, stacklevel=2)


def _missing(env_id: str, error: Exception) -> MissingExtraError:
    text = f"{error} {getattr(error, 'name', '') or ''}".lower()
    for each in FAMILIES.values():
        if each.extra is not None and each.module.lower() in text:
            return MissingExtraError(
                f"{env_id} needs an optional dependency: pip install 'rl-transfer[{each.extra}]'.", key="id"
            )
    return MissingExtraError(f"{env_id} needs an optional dependency: {error}", key="id")


def with_own_default(
    env_id: str, kwargs: Mapping[str, object], parameter: Parameter, raw: object
) -> Parameter:
    """A parameter whose default is what an environment with these constructor arguments has.

    Args:
        env_id: Gymnasium id.
        kwargs: constructor arguments that differ from the registered ones.
        parameter: as it is registered.
        raw: the value as a user gives it; the environment is built only where that goes by the default.

    Returns:
        The parameter itself where no argument can matter.

    Raises:
        EnvError: the environment cannot be built.
    """
    if not kwargs or parameter.default is None or not _goes_by_default(raw):
        return parameter
    env = bare({"id": env_id, "kwargs": dict(kwargs), "perturb": [{parameter.name: None}]})
    try:
        own = parameter.get(env.unwrapped)
    finally:
        env.close()
    if isinstance(own, Mapping):  # one default for all elements, if they still have one
        own = next(iter(own.values())) if len(set(own.values())) == 1 else parameter.default
    return dataclasses.replace(parameter, default=own.item() if isinstance(own, np.generic) else own)


def _goes_by_default(raw: object) -> bool:
    """Whether a value is a severity or a multiple, or a distribution of multiples."""
    if isinstance(raw, Mapping):
        return "severity" in raw or any(map(_goes_by_default, raw.values()))
    return isinstance(raw, str) or (isinstance(raw, list | tuple) and any(map(_goes_by_default, raw)))
