"""Samples for alignment: observations of the target, what the source would have seen, and transitions.

Everything is played in environments of its own with uniform-random actions, so that training draws what it
would have drawn without. Each observation of the target that is used counts as a step of the budget, that of
a reset included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from gymnasium import spaces

from rl_transfer.core import isolated
from rl_transfer.core.alignment import Matrix
from rl_transfer.errors import TransferError
from rl_transfer.rl.environments.build import make_env
from rl_transfer.rl.environments.finite import refuse_non_finite
from rl_transfer.rl.environments.spaces import Array, Env, Space
from rl_transfer.spec import Environment
from rl_transfer.spec.alignment import Align

KEY = "strategy.align"
BASE = "base_observation"


@dataclass(frozen=True)
class AlignmentMoves:
    """Steps with random actions: ``before`` and ``after`` are ``float64[step, observation]``.

    ``actions`` are ``float64[step, action]``; of discrete actions one column, the number from 0 on.
    """

    before: Matrix
    actions: Matrix
    after: Matrix


@dataclass(frozen=True)
class AlignmentSamples:
    """What the maps are estimated from.

    Attributes:
        target: ``float64[row, observation]`` as the target gives them.
        source: ``float64[row, observation]`` as the source sees them: of the same moments where there are
            pairs, else of states of its own.
        moves: transitions of the target, between rows of ``target``.
        source_steps: environment steps and resets in the source's environment; they cost nothing of the
            target's budget.
    """

    target: Matrix
    source: Matrix
    moves: AlignmentMoves
    source_steps: int


@dataclass
class _Player:
    """One environment under random actions, restarted with known seeds."""

    env: Env
    rng: np.random.Generator
    name: str

    def __post_init__(self) -> None:
        self.env.action_space.seed(int(self.rng.integers(2**31)))

    def start(self) -> tuple[Array, Array]:
        """A reset: what is observed, and what lies beneath the perturbations."""
        observation, info = self.env.reset(seed=int(self.rng.integers(2**31)))
        return observation, _vector(info.get(BASE, observation))

    def step(self, action: Array) -> tuple[Array, Array, bool]:
        """A step: likewise, and whether the episode is over."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        seen, rewards = np.asarray(observation)[None], np.asarray([float(reward)])
        refuse_non_finite(self.name, seen, rewards, "a sample for alignment")
        return observation, _vector(info.get(BASE, observation)), bool(terminated or truncated)

    def sample(self) -> Array:
        """An action that means something: uniform in the space."""
        drawn: Array = self.env.action_space.sample()
        return drawn


def collect(
    align: Align, target: Environment, source: Environment, pairs: int, seed: int
) -> AlignmentSamples:
    """Play for samples.

    Args:
        align: where pairs come from.
        target: the target's environment.
        source: the source's environment.
        pairs: observations of the target.
        seed: of resets and actions.

    Returns:
        As many rows of the target's side.

    Raises:
        TransferError: an environment observes or acts in what cannot be mapped, or there are no such pairs.
        EnvironmentSpecError: one of them cannot be built.
    """
    rng = np.random.default_rng(seed)
    envs = [make_env(target)]
    try:
        refuse_unmappable("the target", envs[0].observation_space, envs[0].action_space)
        if align.from_ != BASE or not align.observations:
            envs.append(make_env(source))
            refuse_unmappable("the source's environment", envs[1].observation_space, envs[1].action_space)
        with isolated(seed):
            if align.from_ in ("resets", "rollouts"):
                return _at_once(align, envs, pairs, rng, target.id)
            seen, beneath, moves = _played(_Player(envs[0], rng, target.id), pairs)
            if align.from_ == BASE:
                if align.observations:
                    _refuse_perturbed_source(source)
                return AlignmentSamples(seen, beneath, moves, 0)
            theirs, _, _ = _played(_Player(envs[1], rng, source.id), pairs)
            return AlignmentSamples(seen, theirs, moves, pairs)
    finally:
        for env in envs:
            env.close()


def transitions(config: Environment, steps: int, seed: int) -> AlignmentMoves:
    """AlignmentMoves of an environment under random actions.

    Args:
        config: the environment.
        steps: rows that are observed, resets included.
        seed: of resets and actions.
    """
    env = make_env(config)
    try:
        with isolated(seed):
            return _played(_Player(env, np.random.default_rng(seed), config.id), steps)[2]
    finally:
        env.close()


def refuse_unmappable(who: str, observation: Space, action: Space) -> None:
    """Refuse spaces that no linear map goes between.

    Args:
        who: it is called in the error.
        observation: its space.
        action: its space.

    Raises:
        TransferError: observations are images, dicts or numbers of states.
    """
    if isinstance(observation, spaces.Box) and len(observation.shape) == 1:
        return
    kind = "images or arrays" if isinstance(observation, spaces.Box) else f"a {type(observation).__name__}"
    raise TransferError(
        f"{who} observes {kind}, and align maps vectors; wrap the environment so that it gives one, or use "
        "input_maps",
        key=KEY,
    )


def _played(player: _Player, rows: int) -> tuple[Matrix, Matrix, AlignmentMoves]:
    """Episodes one after another until so many observations were seen: as seen, beneath, and transitions."""
    seen: list[Array] = []
    beneath: list[Array] = []
    before: list[int] = []
    actions: list[list[float]] = []
    over = True
    while len(seen) < rows:
        if over:
            observation, base = player.start()
            over = False
        else:
            action = player.sample()
            before.append(len(seen) - 1)
            actions.append(_numbers(action, player.env.action_space))
            observation, base, over = player.step(action)
        seen.append(np.array(observation, dtype=np.float64))
        beneath.append(np.array(base, dtype=np.float64))
    rows_of = np.array(seen, dtype=np.float64)
    places = np.array(before, dtype=int)
    acted = np.array(actions, dtype=np.float64).reshape(len(actions), -1)
    return (
        rows_of,
        np.array(beneath, dtype=np.float64),
        AlignmentMoves(rows_of[places], acted, rows_of[places + 1]),
    )


def _at_once(
    align: Align, envs: list[Env], pairs: int, rng: np.random.Generator, name: str
) -> AlignmentSamples:
    """Source and target from equal seeds; under ``rollouts`` with equal actions as well."""
    seeds = rng.integers(2**31, size=2)
    players = [_Player(env, np.random.default_rng(int(seeds[0])), name) for env in envs]
    rows: list[tuple[Array, Array]] = []
    for each in _moments(align, players):
        rows.append(each)
        if len(rows) == pairs:
            break
    target, source = (np.array(side, dtype=np.float64) for side in zip(*rows, strict=True))
    none = AlignmentMoves(target[:0], np.zeros((0, 1)), target[:0])
    return AlignmentSamples(target, source, none, len(rows))


def _moments(align: Align, players: list[_Player]) -> Iterator[tuple[Array, Array]]:
    while True:
        yield tuple(player.start()[0] for player in players)  # type: ignore[misc]
        over = align.from_ == "resets"
        while not over:
            action = players[0].sample()
            if not players[1].env.action_space.contains(action):
                raise TransferError(
                    "from: rollouts takes equal actions in source and target, and the target's are none of "
                    "the source's; use from: resets or base_observation",
                    key=f"{KEY}.from",
                )
            steps = [player.step(action) for player in players]
            yield steps[0][0], steps[1][0]
            over = any(step[2] for step in steps)


def _refuse_perturbed_source(source: Environment) -> None:
    env = make_env(source)
    try:
        perturbed = BASE in env.reset(seed=0)[1]
    finally:
        env.close()
    if perturbed:
        raise TransferError(
            "from: base_observation pairs the target's observations with those beneath its perturbations, "
            "and the source saw perturbed ones itself; use from: resets or rollouts",
            key=f"{KEY}.from",
        )


def _vector(base: object) -> Array:
    """What lies beneath the target's perturbations, if it is what align can map to."""
    if not isinstance(base, np.ndarray) or base.ndim != 1:
        raise TransferError(
            "beneath the target's perturbations there is no vector, so that from: base_observation has no "
            "pairs; use from: resets, rollouts or unpaired",
            key=f"{KEY}.from",
        )
    return base


def _numbers(action: Array, space: Space) -> list[float]:
    start = int(space.start) if isinstance(space, spaces.Discrete) else 0
    return [float(each) - start for each in np.ravel(action)]
