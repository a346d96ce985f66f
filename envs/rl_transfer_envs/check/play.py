"""Two environments under the same seeds and the same actions, and where they first differ."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from rl_transfer_envs.aliases import Array, Env, Info
from rl_transfer_envs.errors import NonFiniteError
from rl_transfer_envs.registry.probes import ProbePolicy

Shown = Mapping[str, object]
"""What a reset or a step shows: ``observation`` and, of a step, ``reward``, ``terminated``, ``truncated``."""


@dataclass(frozen=True)
class Divergence:
    """Where base and perturbed environment first differ.

    Attributes:
        policy: name of the probe policy.
        seed: seed of the first reset.
        step: environment steps since then; 0 is the reset itself.
        quantity: ``observation``, ``reward``, ``terminated``, ``truncated``,
            ``observation_space`` or ``action_space`` (the shape or number of actions), or ``perturb``:
            without it the rest of the list makes no environment.
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
class Moment:
    """What two environments show after the same reset or step.

    Attributes:
        step: environment steps since the first reset.
        begins: whether it is a reset.
        shown: what each of the two shows.
        states: the environments' own observations, before all perturbations of them.
    """

    step: int
    begins: bool
    shown: tuple[Shown, Shown]
    states: tuple[object, object]


class Clock:
    """The time that a probe has left.

    Args:
        seconds: from now on.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def over(self) -> bool:
        """Whether none is left."""
        return time.monotonic() >= self._end


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Gymnasium's advice on environments; the probe plays them on purpose oddly.

    Yields:
        Nothing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def play_together(
    base: Env, other: Env, probe: ProbePolicy, seed: int, steps: int, *, through_termination: bool = False
) -> Iterator[Moment]:
    """Play ``probe`` on both environments at once.

    Args:
        base: the reference; the policy sees its unperturbed observations.
        other: the environment compared with it.
        probe: the policy.
        seed: seed of the first reset; episode k is reset with ``seed + k``.
        steps: environment steps in all.
        through_termination: keep stepping after ``terminated`` until truncation, for
            perturbations of the clock.

    Yields:
        Every reset and every step, until ``base`` has made the last one.
    """
    act = probe.start(other.action_space, seed)
    done, episode, clock = True, 0, 0
    state: object = None
    for step in range(steps):
        if done:
            (first, info), (second, more) = (env.reset(seed=seed + episode) for env in (base, other))
            episode, clock = episode + 1, 0
            states = _seen(first, info), _seen(second, more)
            yield Moment(step, True, ({"observation": first}, {"observation": second}), states)
            state = states[0]
        action = act(state, clock)
        results = [env.step(action) for env in (base, other)]
        shown = [
            {"observation": o, "reward": r, "terminated": terminated, "truncated": truncated}
            for o, r, terminated, truncated, _ in results
        ]
        states = _seen(results[0][0], results[0][4]), _seen(results[1][0], results[1][4])
        yield Moment(step + 1, False, (shown[0], shown[1]), states)
        state, clock = states[0], clock + 1
        done = bool(results[0][3]) if through_termination else bool(results[0][2] or results[0][3])


def first_divergence(base: Env, other: Env, probe: ProbePolicy, seed: int, steps: int) -> Divergence | None:
    """Play ``probe`` on both environments and report the first bit that differs, if any.

    Args:
        base: the reference; the policy sees its unperturbed observations.
        other: the environment compared with it.
        probe: the policy.
        seed: seed of the first reset; episode k is reset with ``seed + k``.
        steps: environment steps in all.

    Returns:
        The first difference; None if there is none.

    Raises:
        NonFiniteError: ``other`` returned NaN or infinity where ``base`` did not.
    """
    for moment in play_together(base, other, probe, seed, steps):
        if found := divergence(moment, probe.name, seed):
            return found
    return None


def divergence(moment: Moment, policy: str, seed: int) -> Divergence | None:
    """The first quantity of a moment of which a bit differs, if there is one.

    Args:
        moment: what both environments show.
        policy: name of the policy that is played.
        seed: seed of the first reset.

    Returns:
        The difference; None if there is none.

    Raises:
        NonFiniteError: the second environment shows NaN or infinity where the first does not.
    """
    for quantity, first in moment.shown[0].items():
        second = moment.shown[1][quantity]
        if differ(first, second):
            texts = (np.array2string(np.asarray(value)) for value in (first, second))
            return Divergence(policy, seed, moment.step, quantity, *texts)
    return None


def differ(first: object, second: object) -> bool:
    """Whether two observations, rewards or flags differ in any bit.

    Args:
        first: the base environment's.
        second: the perturbed environment's.

    Returns:
        Whether any element does, or the shape; NaN equals NaN.

    Raises:
        NonFiniteError: ``second`` is NaN or infinite where ``first`` is finite.
    """
    if first is second:
        return False
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return any(differ(first[name], second[name]) for name in first)
    if isinstance(first, tuple) and isinstance(second, tuple):
        return any(differ(a, b) for a, b in zip(first, second, strict=True))
    a, b = np.asarray(first), np.asarray(second)
    if a.dtype == b.dtype != object and a.shape == b.shape and a.tobytes() == b.tobytes():
        return False  # nearly always, and in a fifth of the time of what follows
    refuse_not_finite(a, b)
    return a.shape != b.shape or not np.array_equal(a, b, equal_nan=np.issubdtype(a.dtype, np.inexact))


def refuse_not_finite(first: Array, second: Array) -> None:
    """Refuse numbers that the perturbation broke.

    Args:
        first: the base environment's.
        second: the perturbed environment's.

    Raises:
        NonFiniteError: ``second`` is NaN or infinite where ``first`` is finite.
    """
    if np.issubdtype(second.dtype, np.inexact) and not np.isfinite(second).all() and np.isfinite(first).all():
        raise NonFiniteError(f"the perturbed environment returned {second}, where the base gave {first}.")


def _seen(observation: object, info: Info) -> object:
    """What a policy goes by: registered ones know the unperturbed observation."""
    return info.get("base_observation", observation)
