"""The effect probe: does a perturbation change anything?

Base and perturbed environment get the same seeds and the same actions; they must differ in
observation, reward, terminated or truncated. A knob that moves nothing is refused, with what
was tried and the likely reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from rl_transfer_envs.aliases import Entry, Env, Given, Info, Observation, Spec, Value
from rl_transfer_envs.build.make import build
from rl_transfer_envs.build.specification import canonical_with_positions
from rl_transfer_envs.errors import InertPerturbationError, NonFiniteError
from rl_transfer_envs.registry.parameters import parameters
from rl_transfer_envs.registry.perturbations import perturbations
from rl_transfer_envs.registry.probes import ProbePolicy, probes
from rl_transfer_envs.registry.wrapping import layers

TOLERANCE = 1e-6
"""Relative and absolute difference below which two numbers count as equal (float32 rounding)."""

SEEDS = (0, 1, 2)
MIN_STEPS = 1000


@dataclass(frozen=True)
class Divergence:
    """Where base and perturbed environment first differ.

    Attributes:
        policy: name of the probe policy.
        seed: seed of the first reset.
        step: environment steps since then; 0 is the reset itself.
        quantity: ``observation``, ``reward``, ``terminated``, ``truncated``,
            ``observation_space`` or ``action_space`` (the shape or number of actions).
        base: the base environment's value, as text.
        perturbed: the perturbed environment's value, as text.
    """

    policy: str
    seed: int
    step: int
    quantity: str
    base: str
    perturbed: str


@dataclass(frozen=True)
class EffectReport:
    """The proven effect of one perturbation.

    Attributes:
        index: position in the specification's ``perturb`` list.
        name: parameter or wrapper.
        value: its canonical value.
        alone: first difference to the unperturbed environment.
        on_top: first difference to the environment with the preceding perturbations.
    """

    index: int
    name: str
    value: Value
    alone: Divergence
    on_top: Divergence


def check_effect(spec: Given) -> list[EffectReport]:
    """Prove that every perturbation of ``spec`` has an effect, alone and on the preceding ones.

    Args:
        spec: a specification; without perturbations the list is empty.

    Returns:
        One report per perturbation, in the order of the specification.

    Raises:
        InertPerturbationError: a perturbation changed nothing; the message names it, the
            policies, steps and seeds that were tried, and the likely reason.
        NonFiniteError: the perturbed environment returned NaN or infinity.
        EnvError: the specification is wrong.
    """
    full, positions = canonical_with_positions(spec)
    entries = full["perturb"]
    reports = []
    for i, index in enumerate(positions):
        ((name, value),) = entries[i].items()
        with quiet():
            alone = _probe(full, [], entries[i], index)
            on_top = alone if i == 0 else _probe(full, entries[:i], entries[i], index)
        reports.append(EffectReport(index, name, value, alone, on_top))
    return sorted(reports, key=lambda report: report.index)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Gymnasium's advice on environments; the probe plays them on purpose oddly.

    Yields:
        Nothing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def first_divergence(
    base: Env,
    other: Env,
    probe: ProbePolicy,
    seed: int,
    steps: int,
    *,
    tolerance: float = TOLERANCE,
    through_termination: bool = False,
) -> Divergence | None:
    """Play ``probe`` on both environments and report the first difference, if any.

    Args:
        base: the reference; the policy sees its unperturbed observations.
        other: the environment compared with it.
        probe: the policy.
        seed: seed of the first reset; episode k is reset with ``seed + k``.
        steps: environment steps in all.
        tolerance: 0 demands equal bits.
        through_termination: keep stepping after ``terminated`` until truncation, for
            perturbations of the clock.

    Returns:
        The first difference; None if there is none.

    Raises:
        NonFiniteError: ``other`` returned NaN or infinity where ``base`` did not.
    """
    act = probe.start(other.action_space, seed)
    done, episode, clock = True, 0, 0
    observation: Observation = None
    for step in range(steps):
        if done:
            starts = [env.reset(seed=seed + episode) for env in (base, other)]
            episode, clock = episode + 1, 0
            if found := _difference(["observation"], starts, tolerance):
                return Divergence(probe.name, seed, step, *found)
            observation = _seen(*starts[0])
        action = act(observation, clock)
        first, second = (env.step(action) for env in (base, other))
        if found := _difference(
            ["observation", "reward", "terminated", "truncated"], [first, second], tolerance
        ):
            return Divergence(probe.name, seed, step + 1, *found)
        observation, clock = _seen(first[0], first[4]), clock + 1
        done = bool(first[3]) if through_termination else bool(first[2] or first[3])
    return None


def _seen(observation: Observation, info: Info) -> Observation:
    """What a policy goes by: registered ones know the unperturbed observation."""
    return info.get("base_observation", observation)


def _probe(spec: Spec, before: list[Entry], entry: Entry, index: int) -> Divergence:
    ((name, value),) = entry.items()
    base = build({**spec, "perturb": before})
    other = build({**spec, "perturb": [*before, entry]})
    try:
        if found := _space_difference(base, other):
            return found
        steps = max([MIN_STEPS, *(limit + 1 for env in (base, other) for limit in _limits(env))])
        tried = probes(spec["id"], other.action_space, _preferred(spec["id"], name))
        for seed in SEEDS:
            for probe in tried:
                if divergence := first_divergence(base, other, probe, seed, steps):
                    return divergence
        wrapper = perturbations().get(name)
        if wrapper is not None and wrapper.through_termination:
            divergence = first_divergence(base, other, tried[0], 0, steps, through_termination=True)
            if divergence:
                return divergence
    except NonFiniteError as error:
        raise NonFiniteError(f"{name} = {value!r}: {error.message}", key=f"perturb.{index}.{name}") from error
    finally:
        base.close()
        other.close()
    raise InertPerturbationError(
        f"{name} = {value!r} has no effect on {spec['id']}"
        + (f" with {before} applied before it" if before else "")
        + f": {len(SEEDS)} seeds × {steps} steps of the policies "
        f"{', '.join(probe.name for probe in tried)} gave the same observations, rewards and endings. "
        + _likely_reason(spec, before, name, value),
        key=f"perturb.{index}.{name}",
    )


def _likely_reason(spec: Spec, before: list[Entry], name: str, value: Value) -> str:
    parameter = parameters(spec["id"]).get(name)
    if parameter is None:
        if not value:
            return "Likely reason: all its arguments are at their default, which changes nothing."
        if before:
            return "Likely reason: a perturbation before it undoes or masks it."
        return "Likely reason: what the wrapper changes never varies in this environment, or too little."
    if value == parameter.default or value == "x1.0":
        return f"Likely reason: the value equals the default ({parameter.default} {parameter.unit})."
    if parameter.free_elements:
        known = ", ".join(n for n, p in parameters(spec["id"]).items() if not p.free_elements)
        return (
            "Likely reason: the environment computed something else from this attribute in its constructor "
            "and reads that; register a parameter whose derive hook recomputes it (register_parameter)"
            + (f", or use one that does: {known}." if known else ".")
        )
    return "Likely reason: the environment never reads this value on the paths that were played."


def _preferred(env_id: str, name: str) -> tuple[str, ...]:
    parameter, wrapper = parameters(env_id).get(name), perturbations().get(name)
    return parameter.probes if parameter else wrapper.probes if wrapper else ()


def _limits(env: Env) -> Iterator[int]:
    for layer in layers(env):
        if isinstance(layer, gym.wrappers.TimeLimit):
            yield layer._max_episode_steps


def _space_difference(base: Env, other: Env) -> Divergence | None:
    """A changed number of actions or changed shape; moved bounds alone prove nothing."""
    for quantity in ("action_space", "observation_space"):
        first, second = getattr(base, quantity), getattr(other, quantity)
        same_kind = type(first) is type(second) and first.shape == second.shape
        if not same_kind or (isinstance(first, spaces.Discrete) and first.n != second.n):
            return Divergence("none needed", SEEDS[0], 0, quantity, str(first), str(second))
    return None


def _difference(names: list[str], results: list[Any], tolerance: float) -> tuple[str, str, str] | None:
    for name, first, second in zip(names, *results, strict=False):
        if differ(first, second, tolerance):
            return name, np.array2string(np.asarray(first)), np.array2string(np.asarray(second))
    return None


def differ(first: Observation, second: Observation, tolerance: float) -> bool:
    """Whether two observations, rewards or flags differ.

    Args:
        first: the base environment's.
        second: the perturbed environment's.
        tolerance: relative and absolute difference that is let pass; 0 lets no bit pass.

    Returns:
        Whether any element does, or the shape.

    Raises:
        NonFiniteError: ``second`` is NaN or infinite where ``first`` is finite.
    """
    if isinstance(first, Mapping):
        return any(differ(first[name], second[name], tolerance) for name in first)
    if isinstance(first, tuple):
        return any(differ(a, b, tolerance) for a, b in zip(first, second, strict=True))
    a, b = np.asarray(first), np.asarray(second)
    if np.issubdtype(b.dtype, np.inexact) and not np.isfinite(b).all() and np.isfinite(a).all():
        raise NonFiniteError(f"the perturbed environment returned {b}, where the base gave {a}.")
    if tolerance == 0 or not np.issubdtype(a.dtype, np.number):
        return a.shape != b.shape or not np.array_equal(a, b, equal_nan=np.issubdtype(a.dtype, np.inexact))
    return a.shape != b.shape or not np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)
