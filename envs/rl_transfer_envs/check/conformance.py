"""The conformance kit: every knob moves something, every default moves nothing.

    >>> from rl_transfer_envs.check import conformance
    >>> rows = conformance.check("CartPole-v1", wrappers=False)
    >>> [row for row in rows if row.status == "fail"]
    []

It runs on the shipped environments and on a user's own; pytest can assert on the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import gymnasium as gym

from rl_transfer_envs.aliases import Env, Given, Spec, Value
from rl_transfer_envs.build.families import family
from rl_transfer_envs.build.make import make, spec_of
from rl_transfer_envs.build.specification import canonical
from rl_transfer_envs.check.bounds import spaces_hold
from rl_transfer_envs.check.effect import check_effect
from rl_transfer_envs.check.play import differ, first_divergence, quiet
from rl_transfer_envs.errors import EnvError, IncompatiblePerturbationError, InertPerturbationError
from rl_transfer_envs.registry.parameters import Parameter, environments, own_parameters
from rl_transfer_envs.registry.perturbations import Perturbation, perturbations
from rl_transfer_envs.registry.probes import probes
from rl_transfer_envs.values.quantity import Quantity

Status = Literal["pass", "fail", "n/a"]
DEFAULT_STEPS = 1000
SHORT_STEPS = 150

Played = list[tuple[Any, ...]]
"""What resets and steps gave, one after another, without the infos."""


@dataclass(frozen=True)
class CheckRow:
    """The outcome of one check.

    Attributes:
        environment: id of the base environment.
        perturbation: parameter or wrapper, ``"-"`` for the base environment itself.
        check: ``default`` (bit-equal to the base over 1,000 steps), ``effect`` (moves
            something at this value), ``spaces`` (Gymnasium's ``check_env`` passes, observations
            stay inside), ``rebuild`` (from JSON, equal bit for bit), ``leak`` (the base environment,
            made anew, plays as it did before anything was perturbed), ``determinism``.
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


def check(target: Env | Given, *, wrappers: bool = True) -> list[CheckRow]:
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


def check_rows(target: Env | Given | None = None, *, wrappers: bool = True) -> Iterator[dict[str, str]]:
    """The rows of :func:`check`, one by one as each is known.

    Args:
        target: as for :func:`check`; None stands for every installed environment.
        wrappers: as for :func:`check`.

    Returns:
        Rows with the keys ``environment``, ``perturbation``, ``check``, ``value``, ``status``, ``detail``.

    Raises:
        EnvError: as :func:`check`.
    """
    return map(asdict, iterate(target, wrappers=wrappers))


def iterate(target: Env | Given | None = None, *, wrappers: bool = True) -> Iterator[CheckRow]:
    """:func:`check` row by row, as each is known.

    Args:
        target: as for :func:`check`; None stands for every installed environment.
        wrappers: as for :func:`check`.

    Yields:
        The rows.

    Raises:
        EnvError: as :func:`check`.
    """
    if target is None:
        for env_id in environments():
            if family(env_id).installed:
                yield from iterate(env_id, wrappers=wrappers)
        return
    spec = spec_of(target) if isinstance(target, gym.Env) else canonical(target)
    with quiet():
        recorded = _record({**spec, "perturb": []})
        make(spec).close()
    rows = _check_spec(spec, recorded) if spec["perturb"] else _check_environment(spec, recorded, wrappers)
    while True:
        with quiet():
            row = next(rows, None)
        if row is None:
            return
        yield row


def _check_environment(spec: Spec, recorded: Played, wrappers: bool) -> Iterator[CheckRow]:
    env_id = spec["id"]
    yield _run(env_id, "-", "determinism", "", lambda: _bit_equal(spec, spec, DEFAULT_STEPS, 3))
    yield _run(env_id, "-", "spaces", "", lambda: spaces_hold(spec))
    for name, parameter in own_parameters(env_id).items():
        yield from _check_values(
            spec, name, _parameter_default(parameter), _parameter_values(parameter), recorded
        )
    if wrappers:
        for name, wrapper in perturbations().items():
            yield from _check_values(spec, name, {}, _wrapper_values(wrapper), recorded)


def _check_values(
    spec: Spec, name: str, default: Value, values: list[Value], recorded: Played
) -> Iterator[CheckRow]:
    """The default is the base; every value has an effect and keeps the contracts."""

    def perturbed(value: Value) -> Spec:
        return {**spec, "perturb": [{name: value}]}

    if default is not None:
        policies = 1 if name in perturbations() else 2
        yield _run(
            spec["id"],
            name,
            "default",
            str(default or "all at default"),
            lambda: _bit_equal(spec, perturbed(default), DEFAULT_STEPS, policies),
        )
    for value in values:
        for row in _check_spec(perturbed(value), recorded):
            yield row
            if row.status != "pass":
                break


def _check_spec(spec: Spec, recorded: Played) -> Iterator[CheckRow]:
    """``recorded`` is what the base environment played before anything was perturbed."""
    env_id = spec["id"]
    name = " + ".join(next(iter(entry)) for entry in spec["perturb"])
    value = ", ".join(str(next(iter(entry.values()))) for entry in spec["perturb"])
    yield _run(env_id, name, "effect", value, lambda: _effect(spec))
    yield _run(env_id, name, "spaces", value, lambda: spaces_hold(spec))
    yield _run(env_id, name, "rebuild", value, lambda: _rebuild(spec))
    yield _run(env_id, name, "leak", value, lambda: _leak(spec, recorded))


def _run(env_id: str, name: str, check: str, value: str, run: Callable[[], str]) -> CheckRow:
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
    return CheckRow(env_id, name, check, value, status, detail)


def _effect(spec: Spec) -> str:
    reports = check_effect(spec)
    found = [
        f"{each.first.quantity} at step {each.first.step} under {each.first.policy}, size {each.size:.2g}"
        for each in reports
    ]
    if len(reports) > 1:
        found.append(f"all together size {reports[0].whole_size:.2g}")
    return "; ".join(found)


def _bit_equal(first: Spec, second: Spec, steps: int, policies: int) -> str:
    base, other = make(first), make(second)
    try:
        names = []
        for probe in probes(first["id"], base.action_space)[:policies]:
            found = first_divergence(base, other, probe, seed=5, steps=steps)
            assert found is None, f"{found.quantity} differs at step {found.step} under {found.policy}"
            names.append(probe.name)
    finally:
        base.close()
        other.close()
    return f"bit-equal over {steps} steps of each of {', '.join(names)}"


def _rebuild(spec: Spec) -> str:
    env = make(spec)
    rebuilt = spec_of(env)
    env.close()
    expected = canonical(spec)
    assert rebuilt == expected, f"spec_of gave {rebuilt}, not {expected}"
    return _bit_equal(spec, rebuilt, SHORT_STEPS, 1)


def _leak(spec: Spec, before: Played) -> str:
    perturbed = make(spec)
    perturbed.action_space.seed(0)
    perturbed.reset(seed=0)
    perturbed.step(perturbed.action_space.sample())
    after = _record({**spec, "perturb": []})
    perturbed.close()
    for step, (first, second) in enumerate(zip(before, after, strict=True)):
        assert not differ(first, second), f"the base environment itself has changed at step {step}"
    return "the base environment stays as it was"


def _record(base: Spec) -> Played:
    """What the unperturbed environment gives for a fixed seed and random actions."""
    env = make(base)
    act = probes(base["id"], env.action_space)[0].start(env.action_space, 5)
    results: Played = [env.reset(seed=5)[:1]]
    for step in range(SHORT_STEPS):
        results.append(env.step(act(results[-1][0], step))[:4])
        if results[-1][2] or results[-1][3]:
            results.append(env.reset()[:1])
    env.close()
    return results


def _parameter_default(parameter: Parameter) -> Value:
    return "x1" if parameter.keyed and not parameter.free_elements else parameter.default


def _parameter_values(parameter: Parameter) -> list[Value]:
    """Both ends of the range, without the default."""
    if parameter.free_elements:
        return []
    return [{"severity": 1.0, "towards": side} for side in _sides(parameter)]


def _wrapper_values(wrapper: type[Perturbation]) -> list[Value]:
    if wrapper.examples:
        return list(wrapper.examples)
    return [{"severity": 0.5, "towards": side} for side in _sides(wrapper.arguments[0])]


def _sides(quantity: Quantity) -> list[str]:
    limits = quantity.factors or quantity.bounds or ()
    default = 1.0 if quantity.factors else quantity.default
    return [side for side, bound in zip(("low", "high"), limits, strict=False) if bound != default]
