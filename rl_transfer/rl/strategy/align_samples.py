"""Samples for alignment: observations of the target, what the source would have seen, and transitions.

Everything is played in environments of its own with uniform-random actions, so that training draws what it
would have drawn without. Each observation of the target that is used counts as a step of the budget, that of
a reset included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

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
        episodes: ``int64[row]``, the number of the target's episode that a row is of.
        source_steps: environment steps and resets in the source's environment; they cost nothing of the
            target's budget.
    """

    target: Matrix
    source: Matrix
    moves: AlignmentMoves
    episodes: NDArray[np.int64]
    source_steps: int
    own_partners: bool = False
    """Whether no moment had a partner of its own, so that each observation is paired with itself."""


@dataclass
class _Player:
    """One environment under random actions, restarted with known seeds.

    Attributes:
        partners: what its infos say lies beneath its observations, in their order.
    """

    env: Env
    rng: np.random.Generator
    name: str
    partners: list[object] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.env.action_space.seed(int(self.rng.integers(2**31)))

    def start(self) -> Array:
        """A reset: what is observed."""
        observation, info = self.env.reset(seed=int(self.rng.integers(2**31)))
        return self._seen(observation, 0.0, info)

    def step(self, action: Array) -> tuple[Array, bool]:
        """A step: likewise, and whether the episode is over."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._seen(observation, float(reward), info), bool(terminated or truncated)

    def _seen(self, observation: Array, reward: float, info: Mapping[str, object]) -> Array:
        seen = np.asarray(observation)[None]
        refuse_non_finite(self.name, seen, np.asarray([reward]), "a sample for alignment")
        self.partners.append(info.get(BASE))
        return observation

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
            player = _Player(envs[0], rng, target.id)
            seen, moves, episodes = _played(player, pairs)
            if align.from_ == BASE:
                if align.observations:
                    _refuse_perturbed_source(source)
                beneath, alone = _beneath(player.partners, seen)
                return AlignmentSamples(seen, beneath, moves, episodes, 0, alone)
            theirs, _, _ = _played(_Player(envs[1], rng, source.id), pairs)
            return AlignmentSamples(seen, theirs, moves, episodes, pairs)
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
            return _played(_Player(env, np.random.default_rng(seed), config.id), steps)[1]
    finally:
        env.close()


def shuffled_samples(samples: AlignmentSamples, changes: bool, rng: np.random.Generator) -> AlignmentSamples:
    """A control: the partners of other rows, and the actions (or the changes of state) of other steps.

    Args:
        samples: what they are.
        changes: whether it is the changes of state that are shuffled.
        rng: of the orders.
    """
    order, moves = rng.permutation(len(samples.source)), samples.moves
    if changes:
        moves = replace(moves, after=moves.before + rng.permutation(moves.after - moves.before))
    else:
        moves = replace(moves, actions=rng.permutation(moves.actions))
    return replace(samples, source=samples.source[order], moves=moves)


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


def _played(player: _Player, rows: int) -> tuple[Matrix, AlignmentMoves, NDArray[np.int64]]:
    """Episodes one after another until so many observations were seen; transitions, and rows' episodes."""
    seen: list[Array] = []
    episodes: list[int] = []
    before: list[int] = []
    actions: list[list[float]] = []
    over, episode = True, -1
    while len(seen) < rows:
        if over:
            observation, over = player.start(), False
            episode += 1
        else:
            action = player.sample()
            before.append(len(seen) - 1)
            actions.append(_numbers(action, player.env.action_space))
            observation, over = player.step(action)
        seen.append(np.array(observation, dtype=np.float64))
        episodes.append(episode)
    rows_of = np.array(seen, dtype=np.float64)
    places = np.array(before, dtype=int)
    acted = np.array(actions, dtype=np.float64).reshape(len(actions), -1)
    moves = AlignmentMoves(rows_of[places], acted, rows_of[places + 1])
    return rows_of, moves, np.array(episodes, dtype=np.int64)


def _beneath(partners: list[object], seen: Matrix) -> tuple[Matrix, bool]:
    """What lies beneath observations, and whether nothing does, so that each is its own partner.

    Raises:
        TransferError: only some have a partner, or it is none that align can map to.
    """
    known = [each for each in partners if each is not None]
    if not known:
        return seen.copy(), True
    if len(known) < len(partners):
        raise TransferError(
            f"{len(known):,} of {len(partners):,} infos of the target have a {BASE}; give one at every "
            "reset and step, or use from: resets, rollouts or unpaired",
            key=f"{KEY}.from",
        )
    vectors = [_vector(each) for each in known]
    if len({len(each) for each in vectors}) > 1:
        raise TransferError(
            f"the target's {BASE} has {min(map(len, vectors))} entries at one moment and "
            f"{max(map(len, vectors))} at another; give as many at each",
            key=f"{KEY}.from",
        )
    found = np.array(vectors, dtype=np.float64)
    if not np.isfinite(found).all():
        row, entry = np.argwhere(~np.isfinite(found))[0]
        raise TransferError(
            f"the target's {BASE} holds {found[row, entry]} at sample {row}, entry {entry}; expected finite "
            "numbers",
            key=f"{KEY}.from",
        )
    return found, False


def _at_once(
    align: Align, envs: list[Env], pairs: int, rng: np.random.Generator, name: str
) -> AlignmentSamples:
    """Source and target from equal seeds; under ``rollouts`` with equal actions as well."""
    seeds = rng.integers(2**31, size=2)
    players = [_Player(env, np.random.default_rng(int(seeds[0])), name) for env in envs]
    rows: list[tuple[Array, Array]] = []
    episodes: list[int] = []
    for episode, mine, theirs in _moments(align, players):
        rows.append((mine, theirs))
        episodes.append(episode)
        if len(rows) == pairs:
            break
    target, source = (np.array(side, dtype=np.float64) for side in zip(*rows, strict=True))
    none = AlignmentMoves(target[:0], np.zeros((0, 1)), target[:0])
    return AlignmentSamples(target, source, none, np.array(episodes, dtype=np.int64), len(rows))


def _moments(align: Align, players: list[_Player]) -> Iterator[tuple[int, Array, Array]]:
    """Number of the episode, and what target and source observe."""
    for episode in count():
        yield episode, players[0].start(), players[1].start()
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
            yield episode, steps[0][0], steps[1][0]
            over = any(step[1] for step in steps)


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
    if not isinstance(base, np.ndarray) or base.ndim != 1 or base.dtype.kind not in "fiub":
        raise TransferError(
            "beneath the target's perturbations there is no vector of numbers, so that from: "
            "base_observation has no pairs; use from: resets, rollouts or unpaired",
            key=f"{KEY}.from",
        )
    return base


def _numbers(action: Array, space: Space) -> list[float]:
    start = int(space.start) if isinstance(space, spaces.Discrete) else 0
    return [float(each) - start for each in np.ravel(action)]
