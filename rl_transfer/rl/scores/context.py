"""How far apart two perturbed environments are, by their specifications alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping

import numpy as np

import rl_transfer_envs
from rl_transfer.errors import EnvironmentSpecError
from rl_transfer.frame.scores import ContextValues, TransferScore
from rl_transfer.rl.environments.described import as_spec, translate
from rl_transfer.spec import Environment
from rl_transfer.spec.base import Json
from rl_transfer_envs.aliases import Spec
from rl_transfer_envs.build.bare import with_own_default
from rl_transfer_envs.values.quantity import Quantity, resolve

Setting = tuple[Quantity, Json]
"""What a specification sets, and the value that it gives."""


class _IncomparableError(Exception):
    """Why two values have no distance."""


def context_distance(source: Environment, target: Environment) -> TransferScore:
    """Euclidean distance between two contexts, each parameter in shares of its declared range.

        d = √( Σ_k ( |v_k − u_k| / (high_k − low_k) )² )

    over every number that either specification sets, the other one at its default; a parameter that varies
    geometrically (``severity_scale: log``) by its logarithm; multiples of defaults that differ from element
    to element in shares of the range of multiples; a word or a flag that differs counts 1.

    Args:
        source: environment of the source.
        target: environment of the target.

    Returns:
        0 for equal specifications; unit 1, lower is better. None where the base environments or their
        arguments differ, or where values are drawn, move within an episode, or have no range.

    Raises:
        EnvironmentSpecError: one of the specifications is impossible.

    Source:
        the contexts of Hallak et al. (2015), "Contextual Markov Decision Processes"; that distance of
        contexts predicts the gap is what Cho et al. (2024), "Model-Based Transfer Learning for Contextual
        Reinforcement Learning", assume.
    """
    try:
        here, there = (rl_transfer_envs.canonical(as_spec(each)) for each in (source, target))
    except rl_transfer_envs.EnvError as error:
        raise translate(error, None) from None
    if here["id"] != there["id"]:
        return TransferScore.none(f"{here['id']} and {there['id']} are different environments")
    if here["kwargs"] != there["kwargs"]:
        return TransferScore.none("the environments have different constructor arguments")
    try:
        distances = dict(_distances(here, there))
    except _IncomparableError as why:
        return TransferScore.none(str(why))
    except rl_transfer_envs.EnvError as error:
        raise EnvironmentSpecError(error.message) from None
    return TransferScore.of(math.sqrt(sum(each**2 for each in distances.values())), parameters={**distances})


def context_values(env: Environment) -> ContextValues | str:
    """An environment as a point: every number that its specification sets.

    Args:
        env: perturbed or not.

    Returns:
        The context; in words why there is none where the environment is unknown, or where a value is drawn,
        moves within an episode, or is no single number.
    """
    try:
        spec = rl_transfer_envs.canonical(as_spec(env))
        settings = _settings(spec)
        values = {key: _single(key, quantity, value) for key, (quantity, value) in settings.items()}
    except _IncomparableError as why:
        return str(why)
    except rl_transfer_envs.EnvError as error:
        return error.message
    known = {key: _own_number(quantity) for key, (quantity, _) in settings.items()}
    arguments = f" {json.dumps(spec['kwargs'], sort_keys=True)}" if spec["kwargs"] else ""
    defaults = {key: value for key, value in known.items() if value is not None}
    return ContextValues(f"{spec['id']}{arguments}", values, defaults)


def _single(key: str, quantity: Quantity, value: Json) -> float:
    """A setting as a number: absolute, or a multiple where elements have defaults of their own."""
    if isinstance(value, dict):
        raise _IncomparableError(f"{key} is drawn anew in every episode, or moves within it")
    found = _absolute(quantity, value)
    if _is_multiple(quantity, found) != (quantity.factors is not None):
        raise _IncomparableError(f"{key} is absolute where only a multiple can be compared, or the reverse")
    number = str(found)[1:] if isinstance(found, str) and quantity.factors is not None else found
    if quantity.kind not in ("number", "integer", "numbers") or not isinstance(number, int | float | str):
        raise _IncomparableError(f"{key} is no single number")
    return float(number)


def _own_number(quantity: Quantity) -> float | None:
    own = 1.0 if quantity.factors is not None else quantity.default
    return float(own) if isinstance(own, int | float) else None


def _distances(here: Spec, there: Spec) -> Iterator[tuple[str, float]]:
    """Each setting that differs, and by how much."""
    first, second = _settings(here), _settings(there)
    names = first.keys() | second.keys()
    for key in sorted(names):
        if any(other.startswith(f"{key}.") for other in names):
            raise _IncomparableError(
                f"{key} is set as a whole in one environment and by element in the other"
            )
        quantity = (first.get(key) or second[key])[0]
        values = [found[key][1] if key in found else _default(quantity) for found in (first, second)]
        if _absolute(quantity, values[0]) != _absolute(quantity, values[1]):
            yield key, _distance(key, quantity, values[0], values[1])


def _settings(spec: Spec) -> dict[str, Setting]:
    """``length``, ``body_mass.torso``, ``action_delay.steps`` → what it is, and its value."""
    env_id, kwargs, entries = str(spec["id"]), spec["kwargs"], spec["perturb"]
    found: dict[str, Setting] = {}
    for entry in entries if isinstance(entries, list) else []:
        for name, value in entry.items() if isinstance(entry, dict) else ():
            new = _of_entry(env_id, kwargs if isinstance(kwargs, dict) else {}, name, value)
            if found.keys() & new.keys():
                raise _IncomparableError(f"{name} stands twice in one environment")
            found |= new
    return found


def _of_entry(env_id: str, kwargs: Mapping[str, Json], name: str, value: Json) -> dict[str, Setting]:
    """The settings of one perturbation."""
    physics = rl_transfer_envs.parameters(env_id)
    if name in physics:
        parameter = with_own_default(env_id, kwargs, physics[name], "x1")
        if parameter.keyed and isinstance(value, dict):
            return {f"{name}.{element}": (parameter, each) for element, each in value.items()}
        return {name: (parameter, value)}
    arguments = {each.name: each for each in rl_transfer_envs.perturbations()[name].arguments}
    given = value if isinstance(value, dict) else {}
    return {f"{name}.{key}": (each, given.get(key, each.default)) for key, each in arguments.items()}


def _default(quantity: Quantity) -> Json:
    return "x1.0" if quantity.factors or quantity.default is None else quantity.default


def _absolute(quantity: Quantity, value: Json) -> Json:
    """A multiple of a known default as a number in the quantity's unit; everything else as it is."""
    default = quantity.default
    if _is_multiple(quantity, value) and not quantity.factors and isinstance(default, int | float):
        return float(resolve(quantity, value, default, quantity.name))
    return value


def _is_multiple(quantity: Quantity, value: Json) -> bool:
    return isinstance(value, str) and quantity.kind not in ("word", "name", "names")


def _distance(key: str, quantity: Quantity, here: Json, there: Json) -> float:
    """In shares of the range; 1 for words that differ."""
    if isinstance(here, dict) or isinstance(there, dict):
        raise _IncomparableError(f"{key} is drawn anew in every episode, or moves within it")
    if quantity.kind in ("flag", "word", "name", "names", "integers"):
        return 1.0
    multiples = [_is_multiple(quantity, _absolute(quantity, each)) for each in (here, there)]
    if any(multiples):
        limits = quantity.factors
        if not all(multiples) or limits is None:
            raise _IncomparableError(f"{key} is a multiple in one environment and absolute in the other")
        first, second = (float(str(each)[1:]) for each in (here, there))
        return abs(first - second) / (limits[1] - limits[0])
    return _of_numbers(key, quantity, _absolute(quantity, here), _absolute(quantity, there))


def _of_numbers(key: str, quantity: Quantity, here: Json, there: Json) -> float:
    """One number, or one per dimension: then the root of the mean square."""
    first, second = (np.atleast_1d(np.asarray(each)) for each in (here, there))
    if quantity.bounds is None or not {first.dtype.kind, second.dtype.kind} <= {*"iuf"}:
        raise _IncomparableError(f"{key} has no range that a difference could be a share of")
    if 1 not in (len(first), len(second)) and len(first) != len(second):
        raise _IncomparableError(
            f"{key} has {len(first)} numbers in one environment and {len(second)} in the other"
        )
    low, high = quantity.bounds
    if quantity.severity_scale == "log" and low > 0 and (first > 0).all() and (second > 0).all():
        difference, width = np.log(first / second), math.log(high / low)
    else:
        difference, width = first - second, high - low
    return math.sqrt(float(np.mean(np.square(difference / width))))
