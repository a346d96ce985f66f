"""The conformance kit: every knob moves something, every default moves nothing.

    >>> from rl_transfer_envs import conformance
    >>> rows = conformance.check("CartPole-v1")            # doctest: +SKIP
    >>> [row for row in rows if row.status == "fail"]       # doctest: +SKIP
    []

It runs on the shipped environments and on a user's own; pytest can assert on the rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env

from rl_transfer_envs.building import make, spec_of
from rl_transfer_envs.catalogue import family
from rl_transfer_envs.effect import check_effect, first_divergence
from rl_transfer_envs.errors import EnvError, IncompatiblePerturbationError, InertPerturbationError
from rl_transfer_envs.interface import perturbations
from rl_transfer_envs.parameters import Parameter, environments, own_parameters
from rl_transfer_envs.policies import probes
from rl_transfer_envs.specs import Spec, canonical
from rl_transfer_envs.values import Quantity
from rl_transfer_envs.wrappers.base import Perturbation

Status = Literal["pass", "fail", "n/a"]
DEFAULT_STEPS = 1000
SHORT_STEPS = 150


@dataclass(frozen=True)
class Row:
    """The outcome of one check.

    Attributes:
        environment: id of the base environment.
        perturbation: parameter or wrapper, ``"-"`` for the base environment itself.
        check: ``default`` (bit-equal to the base over 1,000 steps), ``effect`` (moves
            something at this value), ``spaces`` (Gymnasium's ``check_env`` passes, observations
            stay inside), ``rebuild`` (from JSON, equal bit for bit), ``leak`` (another instance
            stays as it was), ``determinism``.
        value: the value that was checked, as text.
        status: ``pass``, ``fail``, or ``n/a`` where the environment cannot carry the wrapper.
        detail: what was found.
    """

    environment: str
    perturbation: str
    check: str
    value: str
    status: Status
    detail: str


def check(target: gym.Env[Any, Any] | Mapping[str, Any] | str, *, wrappers: bool = True) -> list[Row]:
    """Check an environment with all its parameters, or one perturbed specification.

    Args:
        target: an id or a specification without perturbations (checks every registered
            parameter and, if ``wrappers``, every wrapper on it), a specification with
            perturbations (checks these), or an environment (checks its specification).
        wrappers: whether to try every wrapper as well.

    Returns:
        One row per check; nothing is raised for a failed check.

    Raises:
        EnvError: the specification itself is wrong, or an extra is missing.
    """
    return list(iterate(target, wrappers=wrappers))


def check_all(*, wrappers: bool = True) -> list[Row]:
    """:func:`check` over every registered environment whose extra is installed."""
    return list(iterate(wrappers=wrappers))


def check_rows(
    target: gym.Env[Any, Any] | Mapping[str, Any] | str | None = None, *, wrappers: bool = True
) -> Iterator[dict[str, str]]:
    """The rows of :func:`check` (of every environment if ``target`` is None), one by one.

    Keys: ``environment``, ``perturbation``, ``check``, ``value``, ``status``, ``detail``.
    """
    return map(asdict, iterate(target, wrappers=wrappers))


def iterate(
    target: gym.Env[Any, Any] | Mapping[str, Any] | str | None = None, *, wrappers: bool = True
) -> Iterator[Row]:
    """:func:`check` row by row, as each is known; None stands for every installed environment."""
    if target is None:
        for env_id in environments():
            if family(env_id)[2]:
                yield from iterate(env_id, wrappers=wrappers)
        return
    spec = spec_of(target) if isinstance(target, gym.Env) else canonical(target)
    make(spec).close()
    rows = _check_spec(spec) if spec["perturb"] else _check_environment(spec, wrappers)
    while True:
        with _quiet():
            row = next(rows, None)
        if row is None:
            return
        yield row


def _check_environment(spec: Spec, wrappers: bool) -> Iterator[Row]:
    env_id = spec["id"]
    yield _run(env_id, "-", "determinism", "", lambda: _bit_equal(spec, spec, DEFAULT_STEPS))
    yield _run(env_id, "-", "spaces", "", lambda: _spaces(spec))
    for name, parameter in own_parameters(env_id).items():
        yield from _check_values(spec, name, _parameter_default(parameter), _parameter_values(parameter))
    if wrappers:
        for name, wrapper in perturbations().items():
            yield from _check_values(spec, name, {}, _wrapper_values(wrapper))


def _check_values(spec: Spec, name: str, default: Any, values: list[Any]) -> Iterator[Row]:
    """The default is the base; every value has an effect and keeps the contracts."""

    def perturbed(value: Any) -> Spec:
        return {**spec, "perturb": [{name: value}]}

    env_id = spec["id"]
    if default is not None:
        yield _run(
            env_id,
            name,
            "default",
            str(default or "all at default"),
            lambda: _bit_equal(spec, perturbed(default), DEFAULT_STEPS),
        )
    for value in values:
        for row in _check_spec(perturbed(value)):
            yield row
            if row.status != "pass":
                break


def _check_spec(spec: Spec) -> Iterator[Row]:
    env_id = spec["id"]
    name = " + ".join(next(iter(entry)) for entry in spec["perturb"])
    value = ", ".join(str(next(iter(entry.values()))) for entry in spec["perturb"])
    base = {**spec, "perturb": []}
    yield _run(env_id, name, "effect", value, lambda: _effect(spec))
    yield _run(env_id, name, "spaces", value, lambda: _spaces(spec))
    yield _run(env_id, name, "rebuild", value, lambda: _rebuild(spec))
    yield _run(env_id, name, "leak", value, lambda: _leak(base, spec))


def _run(env_id: str, name: str, check: str, value: str, run: Callable[[], str]) -> Row:
    status: Status
    try:
        status, detail = "pass", run()
    except IncompatiblePerturbationError as error:
        status, detail = "n/a", error.message
    except InertPerturbationError as error:
        inert_wrapper = name in perturbations()
        status, detail = ("n/a" if inert_wrapper else "fail"), error.message
    except (EnvError, AssertionError) as error:
        status, detail = "fail", str(error)
    except Exception as error:  # noqa: BLE001 - an environment under test may raise anything
        status, detail = "fail", f"raised {type(error).__name__}: {error}"
    return Row(env_id, name, check, value, status, detail)


def _effect(spec: Spec) -> str:
    found = [report.on_top for report in check_effect(spec)]
    return "; ".join(f"{d.quantity} at step {d.step} under {d.policy}" for d in found)


def _bit_equal(first: Spec, second: Spec, steps: int) -> str:
    base, other = make(first), make(second)
    try:
        names = []
        for probe in probes(first["id"], base.action_space)[:3]:
            found = first_divergence(base, other, probe, seed=5, steps=steps, tolerance=0.0)
            assert found is None, f"{found.quantity} differs at step {found.step} under {found.policy}"
            names.append(probe.name)
    finally:
        base.close()
        other.close()
    return f"bit-equal over {steps} steps of each of {', '.join(names)}"


def _spaces(spec: Spec) -> str:
    env = make(spec)
    try:
        check_env(env, skip_render_check=True, skip_close_check=True)
        env.action_space.seed(0)
        observation, _ = env.reset(seed=0)
        for step in range(SHORT_STEPS):
            assert observation in env.observation_space, (
                f"observation {observation} at step {step} is outside"
            )
            observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            assert np.isfinite(float(reward)), f"reward {reward} at step {step}"
            if terminated or truncated:
                observation, _ = env.reset()
    finally:
        env.close()
    return "check_env passes; observations stay inside"


def _rebuild(spec: Spec) -> str:
    env = make(spec)
    rebuilt = spec_of(env)
    env.close()
    expected = canonical(spec)
    assert rebuilt == expected, f"spec_of gave {rebuilt}, not {expected}"
    return _bit_equal(spec, rebuilt, SHORT_STEPS)


def _leak(base: Spec, spec: Spec) -> str:
    before = make(base)
    perturbed = make(spec)
    perturbed.action_space.seed(0)
    perturbed.reset(seed=0)
    perturbed.step(perturbed.action_space.sample())
    after = make(base)
    try:
        for probe in probes(base["id"], before.action_space)[:1]:
            found = first_divergence(before, after, probe, seed=5, steps=SHORT_STEPS, tolerance=0.0)
            assert found is None, f"another instance changed: {found}"
    finally:
        for env in (before, perturbed, after):
            env.close()
    return "another instance stays as it was"


def _parameter_default(parameter: Parameter) -> Any:
    return "x1" if parameter.keyed and not parameter.free_elements else parameter.default


def _parameter_values(parameter: Parameter) -> list[Any]:
    """Both ends of the range, without the default."""
    if parameter.free_elements:
        return []
    return [{"severity": 1.0, "towards": side} for side in _sides(parameter)]


def _wrapper_values(wrapper: type[Perturbation]) -> list[Any]:
    if wrapper.examples:
        return list(wrapper.examples)
    return [{"severity": 0.5, "towards": side} for side in _sides(wrapper.arguments[0])]


def _sides(quantity: Quantity) -> list[str]:
    limits = quantity.factors or quantity.bounds or ()
    default = 1.0 if quantity.factors else quantity.default
    return [side for side, bound in zip(("low", "high"), limits, strict=False) if bound != default]


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
