"""Every score of one source on one target, from a budget of the target's steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rl_transfer.core.logme import logme
from rl_transfer.errors import (
    BundleError,
    ConfigError,
    EnvironmentSpecError,
    MissingExtraError,
)
from rl_transfer.frame.scores import SourceScores, TransferScore
from rl_transfer.rl.environments import spaces
from rl_transfer.rl.environments.evaluate import random_act
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.scores.context import context_distance
from rl_transfer.rl.scores.estimates import (
    dynamics_gap,
    representation_deviation,
    state_coverage,
    with_actions,
)
from rl_transfer.rl.scores.networks import SourceNetworks
from rl_transfer.rl.scores.sampling import BudgetedPlayer, Transitions, vectors
from rl_transfer.seeding import integer_seed, integer_seeds
from rl_transfer.spec import Environment
from rl_transfer.spec.scores import PairScoring

Floats = NDArray[np.float64]

STEPS = "scores.steps"
MOST_NUMBERS = 512
"""Of an observation; an image is no input for a classifier of a few thousand steps."""
FEW = 20
"""Steps below which nothing is fitted."""
HORIZON, DISCOUNT = 32, 0.99
"""Of the rewards to come that LogME has as labels."""
NOT_AT_HOME = "the source's own environment is not at hand: "


class TargetSide:
    """A target, and what uniform-random actions find there: the same for every source.

    Args:
        env: the target.
        steps: of it that a source may use, the random actions' included.
        root_seed: root of the random streams.
        seed: seed index.
        key: where the number of steps stands, for errors.

    Attributes:
        env: the target.
        player: plays it.
        half: the steps of the source's own share; as many are random.

    Raises:
        EnvironmentSpecError: it cannot be built.
        ConfigError: half of the steps does not hold its longest episode; the least is named.
    """

    def __init__(
        self, env: Environment, steps: int, root_seed: int, seed: int, key: str | None = None
    ) -> None:
        self.env, self.player, self.half = env, BudgetedPlayer(env), steps // 2
        self._root_seed, self._seed = root_seed, seed
        least = 2 * (self.player.limit or 1)
        if steps < least:
            self.player.close()
            raise ConfigError(
                f"{steps:,} steps are too few to score a source on {env.id}: the source's own policy plays "
                f"half of them and uniform-random actions the other, and an episode may take "
                f"{least // 2:,}; give at least {least:,}",
                key=key,
            )

    @property
    def seeds(self) -> list[int]:
        """Of the episodes; the i-th is the same for every source and for random actions."""
        return integer_seeds(self.half, self._root_seed, "scores", self.env.digest, self._seed)

    def seed_of(self, *names: str) -> int:
        """Seed of another stream.

        Args:
            names: its address below this target's.
        """
        return integer_seed(self._root_seed, "scores", self.env.digest, self._seed, *names)

    @cached_property
    def at_random(self) -> Transitions:
        """What uniform-random actions find."""
        act = random_act(self.player.action_space, self.seed_of("random"))
        return self.player.play(act, self.half, self.seeds)


class _Home:
    """The source's own environment: as many steps of its policy, and of random actions."""

    def __init__(self, policy: Policy, target: TargetSide) -> None:
        self.player = BudgetedPlayer(policy.env)
        try:
            cannot = _cannot_act(policy, self.player, "there the environment's")
            if cannot:
                raise BundleError(f"{policy.env.id} is named as its environment, and {cannot}")
            steps = max(target.half, self.player.limit or 1)
            seeds = integer_seeds(steps, target.seed_of("home"), policy.env.digest)
            self.own = self.player.play(policy.act(deterministic=False), steps, seeds)
            act = random_act(self.player.action_space, target.seed_of("random at home"))
            self.at_random = self.player.play(act, steps, seeds)
        finally:
            self.player.close()


def score_policy(policy: Policy, target: TargetSide, scoring: PairScoring) -> SourceScores:
    """TransferScore a source on a target.

    Args:
        policy: the source.
        target: played by random actions already, or now.
        scoring: the source's bar.

    Returns:
        Every score; those that need the source to act are without a value where its spaces differ.

    Raises:
        EnvironmentSpecError: an environment gives NaN or infinity.
    """
    cannot = _cannot_act(policy, target.player)
    home, away = _home(policy, target)
    known = {
        "context_distance": _context(policy, target),
        "source_quality": _quality(policy, home, scoring.bar)
        if home
        else TransferScore.none(NOT_AT_HOME + away),
        "source_budget": _budget(policy),
    }
    if cannot:
        acting = (
            "zero_shot_return", "dynamics_gap", "td_error", "representation_deviation", "logme",
            "state_coverage",
        )  # fmt: skip
        return SourceScores(
            0, {**known, **dict.fromkeys(acting, TransferScore.none(cannot))}, cannot_act=cannot
        )
    own = target.player.play(policy.act(deterministic=False), target.half, target.seeds)
    pair = _Pair(policy, target, own, home, away)
    acting_scores: dict[str, Callable[[], TransferScore]] = {
        "zero_shot_return": pair.zero_shot,
        "dynamics_gap": pair.gap,
        "td_error": pair.td_error,
        "representation_deviation": pair.deviation,
        "logme": pair.logme,
        "state_coverage": pair.coverage,
    }
    found = {name: measure() for name, measure in acting_scores.items()}
    steps = own.steps + target.at_random.steps
    return SourceScores(
        steps,
        {**known, **found},
        tuple(own.returns),
        tuple(own.whole_lengths),
        tuple(target.at_random.returns),
    )


def _cannot_act(policy: Policy, player: BudgetedPlayer, whose: str = "the target's") -> str:
    """Why a policy cannot act; empty where it can."""
    for what in ("observation_space", "action_space"):
        has, needs = getattr(policy.module, what), getattr(player, what)
        if not spaces.same(has, needs):
            return (
                f"its {what.replace('_', ' ')} is {spaces.in_short(has)}, {whose} is {spaces.in_short(needs)}"
            )
    return ""


def _home(policy: Policy, target: TargetSide) -> tuple[_Home | None, str]:
    try:
        return _Home(policy, target), ""
    except (BundleError, EnvironmentSpecError, MissingExtraError) as error:
        return None, error.message


def _context(policy: Policy, target: TargetSide) -> TransferScore:
    try:
        return context_distance(policy.described_env, target.env)
    except EnvironmentSpecError as error:
        return TransferScore.none(error.message)


def _quality(policy: Policy, home: _Home, bar: float | None) -> TransferScore:
    """(score − random) / (bar − random) at home: 0 as random actions, 1 at the bar; unit 1, higher is better.

    The score is what the source's training recorded, else the mean return of its episodes here; the bar is
    that of the suite, else the reward threshold of the environment. It is the "quality of source data" of the
    theory, in one number.
    """
    recorded = policy.metadata.get("score")
    score = float(np.mean(home.own.returns)) if recorded is None and home.own.returns else recorded
    goal = home.player.threshold if bar is None else bar
    if goal is None:
        return TransferScore.none("the source has no bar, and its environment declares no reward threshold")
    if score is None or not home.at_random.returns:
        return TransferScore.none("no episode at home came to its end")
    random = float(np.mean(home.at_random.returns))
    if goal == random:
        return TransferScore.none(f"its bar, {goal:g}, is what random actions reach")
    return TransferScore.of((score - random) / (goal - random), score=score, bar=goal, random=random)


def _budget(policy: Policy) -> TransferScore:
    """Environment steps that the source was trained for; higher is better."""
    training = policy.metadata.get("training")
    steps = training.get("total_steps") if isinstance(training, dict) else None
    if not isinstance(steps, int):
        return TransferScore.none("nothing says how long it was trained")
    return TransferScore.of(steps)


class _Pair:
    """A source that can act in its target, and what both of them played."""

    def __init__(
        self, policy: Policy, target: TargetSide, own: Transitions, home: _Home | None, away: str
    ) -> None:
        self._policy, self._target, self._own, self._home = policy, target, own, home
        self._away = NOT_AT_HOME + away
        self._networks = SourceNetworks(policy)

    def zero_shot(self) -> TransferScore:
        """Mean return of the source's whole episodes in the target, sampled from its action distribution.

        In reward units of the target; higher is better. Episode i begins as every source's i-th does.
        """
        returns = self._own.returns
        if not returns:
            return TransferScore.none(f"no episode ended within {self._target.half:,} steps; give more")
        return TransferScore.of(float(np.mean(returns)), episodes=len(returns))

    def gap(self) -> TransferScore:
        """See :func:`rl_transfer.rl.scores.estimates.dynamics_gap`: nats, lower is better.

        Both domains are sampled by the source's own policy and by random actions.
        """
        trouble = self._no_vectors()
        if trouble or self._home is None:
            return TransferScore.none(trouble or self._away)
        sides = (self._home.own, self._home.at_random), (self._own, self._target.at_random)
        source, target = ([self._steps_of(each) for each in side] for side in sides)
        gap, area = dynamics_gap(source, target, self._target.seed_of("classifiers"))
        return TransferScore.of(gap, auc=area)

    def td_error(self) -> TransferScore:
        """Mean |δ| of the source's critic on the target's steps over the spread of its values at home.

            E_target |r + γ V(s′) − V(s)| / sd_source V(s);  unit 1, lower is better

        on steps of the source's own policy, as the critic was trained for; the same at home stands beside it.
        The temporal-difference error as a sign of what carries over: Sutton (1988) for the error; ours is the
        scaling.
        """
        if self._home is None:
            return TransferScore.none(self._away)
        there, _ = self._networks.temporal_difference(self._own)
        here, values = self._networks.temporal_difference(self._home.own)
        spread = float(values.std())
        if spread <= 1e-9:
            return TransferScore.none("the source's critic gives every state at home the same value")
        return TransferScore.of(
            float(np.abs(there).mean()) / spread, at_home=float(np.abs(here).mean()) / spread
        )

    def deviation(self) -> TransferScore:
        """See :func:`rl_transfer.rl.scores.estimates.representation_deviation`: unit 1, lower is better."""
        if self._home is None:
            return TransferScore.none(self._away)
        source, target = (
            [self._represented(each) for each in side]
            for side in ((self._home.own, self._home.at_random), (self._own, self._target.at_random))
        )
        there, here = representation_deviation(source, target)
        if not np.isfinite(there):
            return TransferScore.none("the source's features never change at home")
        return TransferScore.of(there, at_home=here)

    def logme(self) -> TransferScore:
        """LogME of the source's features on rewards to come: nats per step, higher is better.

        Features are what enters the action head, and a 1 for the intercept; labels y_t = Σ_{k<32} 0.99^k
        r_{t+k}, standardised, on the steps that *random* actions made, so that every source is asked
        about the same states and labels. Steps within 32 of a truncation are left out; after a termination
        no reward comes. See :func:`rl_transfer.core.logme.logme`.
        """
        played = self._target.at_random
        kept, labels = rewards_to_come(played)
        if len(kept) < FEW:
            return TransferScore.none(f"random actions made {len(kept)} steps with {HORIZON} rewards to come")
        spread = float(labels.std())
        if spread <= 1e-9 * max(1.0, float(np.abs(labels).max())):
            return TransferScore.none("random actions meet the same rewards everywhere")
        features = self._networks.features([played.observations[i] for i in kept])
        inputs = np.hstack([features, np.ones((len(features), 1))])
        return TransferScore.of(logme(inputs, (labels - labels.mean()) / spread), steps=len(kept))

    def coverage(self) -> TransferScore:
        """See :func:`rl_transfer.rl.scores.estimates.state_coverage`: a share, higher is better.

        States of both are those of the source's own policy and of random actions.
        """
        trouble = self._no_vectors()
        if trouble or self._home is None:
            return TransferScore.none(trouble or self._away)
        home, target = (
            np.concatenate(
                [vectors(each.observations, self._target.player.observation_space) for each in side]
            )
            for side in ((self._home.own, self._home.at_random), (self._own, self._target.at_random))
        )
        return TransferScore.of(state_coverage(home, target))

    def _no_vectors(self) -> str:
        """Why steps are no input for a classifier; empty where they are."""
        numbers = int(vectors(self._own.observations[:1], self._target.player.observation_space).size)
        if numbers > MOST_NUMBERS:
            return f"an observation has {numbers:,} numbers, more than the {MOST_NUMBERS} that are compared"
        if min(self._own.steps, self._target.at_random.steps) < FEW:
            return f"fewer than {FEW} steps were made"
        return ""

    def _steps_of(self, played: Transitions) -> tuple[Floats, Floats]:
        player = self._target.player
        before, after = (
            vectors(each, player.observation_space) for each in (played.observations, played.following)
        )
        return np.hstack([before, vectors(played.actions, player.action_space)]), after - before

    def _represented(self, played: Transitions) -> tuple[Floats, Floats]:
        actions = vectors(played.actions, self._target.player.action_space)
        features = self._networks.features(played.observations)
        return with_actions(features, actions), self._networks.features(played.following)


def rewards_to_come(played: Transitions) -> tuple[list[int], Floats]:
    """Discounted sums of the next rewards, where the sample tells them.

    Args:
        played: episodes.

    Returns:
        Rows, and y of each; a row whose rewards within the horizon are not all known is left out.
    """
    rows: list[int] = []
    sums: list[float] = []
    weights = DISCOUNT ** np.arange(HORIZON)
    for episode in played.episodes:
        rewards = np.asarray(played.rewards[episode])
        ends = played.terminated[episode.stop - 1]
        last = len(rewards) if ends else len(rewards) - HORIZON + 1
        for at in range(max(last, 0)):
            coming = rewards[at : at + HORIZON]
            rows.append(episode.start + at)
            sums.append(float(coming @ weights[: len(coming)]))
    return rows, np.asarray(sums)


def check_steps(env: Environment, steps: int) -> None:
    """Refuse a number of steps that scores nothing on a target.

    Args:
        env: the target.
        steps: of it that a source may use.

    Raises:
        ConfigError: at ``scores.steps``; the least is named.
        EnvironmentSpecError: the target cannot be built.
    """
    TargetSide(env, steps, 0, 0, STEPS).player.close()
