"""ProbePolicy policies: action sequences that bring a perturbation's effect to light.

Random CartPole play ends after some 22 steps, so random actions alone prove little: the probe
also plays constant extremes, alternations, and policies registered for an environment (such as
one that keeps the pole upright for a whole time limit).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from gymnasium import spaces

from rl_transfer_envs.aliases import Action, Observation, Space
from rl_transfer_envs.errors import DuplicateRegistrationError

Act = Callable[[Observation, int], Action]
"""``act(base observation, steps since reset)``."""


@dataclass(frozen=True)
class ProbePolicy:
    """A named policy: ``start(action_space, seed)`` gives ``act(base observation, step)``."""

    name: str
    start: Callable[[Space, int], Act]


_registered: dict[str, dict[str, ProbePolicy]] = {}


def register_probe(
    env_id: str | Sequence[str], name: str, act: Callable[..., Action], *, with_space: bool = False
) -> None:
    """Add a policy ``act(observation) → action`` to the probe of one or several environments.

    Args:
        env_id: Gymnasium id(s).
        name: the policy's name, as reports show it.
        act: the policy.
        with_space: call ``act(action_space, observation)`` instead, for an environment whose
            constructor arguments choose its action space.

    Raises:
        DuplicateRegistrationError: the environment has a probe of that name.
    """

    def start(space: Space, _seed: int) -> Act:
        return lambda observation, _step: act(space, observation) if with_space else act(observation)

    for one in [env_id] if isinstance(env_id, str) else env_id:
        probes = _registered.setdefault(one, {})
        if name in probes:
            raise DuplicateRegistrationError(f"{one}: probe {name!r} is registered already.")
        probes[name] = ProbePolicy(name, start)


def registered_probes(env_id: str) -> Mapping[str, ProbePolicy]:
    """The probes registered for an environment, by name.

    Args:
        env_id: Gymnasium id.
    """
    return MappingProxyType(_registered.get(env_id, {}))


def probes(env_id: str, space: Space, first: Sequence[str] = ()) -> list[ProbePolicy]:
    """All probes for an environment with this action space.

    Args:
        env_id: Gymnasium id.
        space: the action space.
        first: names of those to try first.

    Returns:
        Random play, the registered policies, constant extremes and alternations.
    """
    known = [_random(), *_registered.get(env_id, {}).values(), *_scripted(space)]
    return sorted(known, key=lambda probe: probe.name not in first)


def _random() -> ProbePolicy:
    def start(space: Space, seed: int) -> Act:
        own = copy.deepcopy(space)
        own.seed(seed)
        return lambda _observation, _step: own.sample()

    return ProbePolicy("random", start)


def _scripted(space: Space) -> Iterator[ProbePolicy]:
    """Constant extremes, and alternations between the two outermost actions."""
    constants = dict(_constants(space))
    for name, action in constants.items():
        yield ProbePolicy(name, _repeat([action], 1))
    ends = [*constants.values()]
    if len(ends) > 1:
        for period in (1, 10):
            yield ProbePolicy(f"alternating every {period}", _repeat([ends[0], ends[-1]], period))


def _repeat(actions: list[Action], period: int) -> Callable[[Space, int], Act]:
    """Each action for ``period`` steps, over and over."""

    def start(_space: Space, _seed: int) -> Act:
        return lambda _observation, step: actions[step // period % len(actions)]

    return start


def _constants(space: Space) -> Iterator[tuple[str, Action]]:
    if isinstance(space, spaces.Discrete):
        for i in range(min(int(space.n), 18)):
            yield f"constant {int(space.start) + i}", int(space.start) + i
    elif isinstance(space, spaces.Box):
        yield "low", np.maximum(space.low, -1e3).astype(space.dtype)
        yield "middle", ((np.maximum(space.low, -1e3) + np.minimum(space.high, 1e3)) / 2).astype(space.dtype)
        yield "high", np.minimum(space.high, 1e3).astype(space.dtype)
