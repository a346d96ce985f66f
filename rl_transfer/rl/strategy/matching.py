"""The gap between source and target as a loss hook: CORAL or MMD between what a trunk gives on both."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import Tensor

from rl_transfer.core import Layer, PartMap, isolated
from rl_transfer.core.gaps import LEAST, Estimator, coral, gap_by_label, mmd
from rl_transfer.core.layer_outputs import layer_outputs
from rl_transfer.errors import TransferError
from rl_transfer.rl.environments.spaces import Space, in_short, same, same_shape
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.traits import traits_of
from rl_transfer.rl.strategy.action_labels import action_labels
from rl_transfer.rl.strategy.buffered import buffered_states
from rl_transfer.rl.strategy.translate import expand
from rl_transfer.rl.strategy.visited import visited
from rl_transfer.seeding import generator, integer_seed
from rl_transfer.spec.strategy import DistributionMatch, Selectors
from rl_transfer.wording import in_words

BATCH = 128
"""States of each side per term."""
ESTIMATORS: Mapping[str, Estimator] = {"coral": coral, "mmd": mmd}
KEY = "strategy.match"


class MatchLoss:
    """Pulls together what trunks give on states of the source and of the target.

    The source's states were met by the source policy in its own environment, and pass through the network
    that is in training; the target's are drawn from its buffer. Both are drawn on a generator of its own.

    Args:
        config: kind, strength and whether states of one action are compared.
        algorithm: SB3's name of it.
        layers: name → layer whose outputs are compared; the gaps are summed.
        states: of the source, as the networks see them.
        actions: done there, ``[state, dimension]`` as the buffer has them.
        seed: of the minibatches.

    Attributes:
        stored: what is drawn from; it never changes.
    """

    def __init__(
        self,
        config: DistributionMatch,
        algorithm: str,
        layers: Mapping[str, Layer],
        states: PyTorchObs,
        actions: Tensor,
        seed: int,
    ) -> None:
        self._config, self._algorithm, self._layers = config, algorithm, dict(layers)
        self.stored = (states, actions)
        self._generator = generator(seed, "match")

    def loss(self, model: BaseAlgorithm, parts: PartMap, progress: float) -> Tensor | None:
        """Strength · gap; none where the minibatches share no action.

        Args:
            model: the SB3 model in the middle of ``train()``.
            parts: not used.
            progress: not used.

        Returns:
            A scalar with gradient.
        """
        states, actions = self.stored
        chosen = torch.as_tensor(self._generator.integers(len(actions), size=min(BATCH, len(actions))))
        target, done = buffered_states(model, BATCH, self._generator)
        if len(done) < LEAST:
            return None
        source = (_rows(states, chosen), actions[chosen].to(done.device))
        sides = [self._features(model.policy, *each) for each in (source, (target, done))]
        labels = self._labels(model.policy, source[1], done) if self._config.conditional else None
        terms = []
        for name in self._layers:
            gap = self._gap(sides[0][name], sides[1][name], labels)
            if gap is not None:
                terms.append(gap)
        return self._config.strength * torch.stack(terms).sum() if terms else None

    def _features(self, policy: BasePolicy, observations: PyTorchObs, actions: Tensor) -> dict[str, Tensor]:
        forward = run_trunks(policy, self._algorithm, observations, actions)
        return layer_outputs(policy, self._layers, forward)

    def _labels(self, policy: BasePolicy, mine: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
        """Of the actions; buffers on policy keep what was sampled, and environments took it clipped."""
        space = policy.action_space
        if isinstance(space, spaces.Box) and not _scaled(policy):
            low, high = (torch.as_tensor(each.reshape(-1)).to(theirs) for each in (space.low, space.high))
            theirs = theirs.clamp(low, high)
        return action_labels(space, mine, theirs)

    def _gap(self, source: Tensor, target: Tensor, labels: tuple[Tensor, Tensor] | None) -> Tensor | None:
        estimator = ESTIMATORS[self._config.kind]
        if labels is None:
            return estimator(source, target)
        found = gap_by_label(estimator, source, target, *labels, LEAST)
        return None if found is None else found.value


def match_loss(
    config: DistributionMatch,
    algorithm: str,
    parts: PartMap,
    source: Policy,
    model: BaseAlgorithm,
    seed: int,
    thaws: bool,
) -> MatchLoss:
    """The loss hook of a strategy's ``match``.

    Args:
        config: the verb.
        algorithm: SB3's name of the target's.
        parts: of the target's policy, everything that adds parameters done.
        source: plays in its own environment; these steps are not the target's.
        model: the target's, frozen as the strategy says.
        seed: of the source's states and of the minibatches.
        thaws: whether frozen parts become trainable later.

    Returns:
        The hook.

    Raises:
        TransferError: the source sees or does something else, the parts are no trunk's, or nothing that
            could bring them together is trained.
    """
    policy = model.policy
    if config.kind == "adversarial":
        raise TransferError(
            "match of kind adversarial is for runs on labelled data: a discriminator beside an actor and a "
            f"critic has no schedule that is known to work; use {in_words([*ESTIMATORS], 'or')}",
            key=f"{KEY}.kind",
        )
    if config.unlabelled is not None:
        raise TransferError(
            "match.unlabelled is for runs on labelled data; a policy's states have no labels, and the term "
            "draws from all that are trained on: leave it out",
            key=f"{KEY}.unlabelled",
        )
    layers = trunk_ends(config.parts, parts)
    _refuse_other_spaces(config, source.module.observation_space, policy.observation_space, "observation")
    on_policy = isinstance(policy, ActorCriticPolicy)
    if config.conditional or not on_policy:
        _refuse_other_spaces(config, source.module.action_space, policy.action_space, "action")
    trained = dict(policy.named_parameters())
    trunk = [name for part in parts if part.role == "trunk" for name in part.tensor_names]
    if not thaws and not any(trained[name].requires_grad for name in trunk if name in trained):
        raise TransferError(
            "match pulls features together by training the trunk, and the whole trunk is frozen", key=KEY
        )
    own = integer_seed(seed, "match")
    with isolated(own):
        met = visited(source, config.samples, own)
    actions = met.actions
    if _scaled(policy):
        actions = policy.scale_action(actions)
    states, _ = policy.obs_to_tensor(met.observations)
    return MatchLoss(
        config, algorithm, layers, states, torch.as_tensor(actions).reshape(len(actions), -1), seed
    )


def _scaled(policy: BasePolicy) -> bool:
    """Whether its buffer has actions within [−1, 1]."""
    squashed = not isinstance(policy, ActorCriticPolicy) or policy.squash_output
    return isinstance(policy.action_space, spaces.Box) and squashed


def trunk_ends(selectors: Selectors, parts: PartMap) -> dict[str, Layer]:
    """The layers whose outputs are the features of selected trunks.

    Args:
        selectors: parts, layers or groups; of each the last layer in every part. Features extractors that
            a trunk follows are no ends of the groups ``trunk``, ``policy``, ``critic`` and ``all``.
        parts: of the policy.

    Returns:
        Name → layer.

    Raises:
        TransferError: a selector matches nothing, or no trunk.
    """
    found: dict[str, Layer] = {}
    for index, selector in enumerate(selectors):
        key = f"{KEY}.parts.{index}"
        ends = {layer.part: layer for layer in parts.layers(expand([selector], parts), key=key)}
        trunks = {part: layer for part, layer in ends.items() if parts[part].role == "trunk"}
        if not trunks:
            raise TransferError(
                f"{selector!r} is no trunk; match compares features, and heads give actions and values",
                key=key,
            )
        last = {part: layer for part, layer in trunks.items() if _follower(part) not in trunks}
        found |= {f"{part}.{layer.index}": layer for part, layer in last.items()}
    return found


def _follower(part: str) -> str:
    """The trunk that a features extractor feeds."""
    return {"features": "policy_trunk", "value_features": "value_trunk"}.get(part, "")


def run_trunks(
    policy: BasePolicy, algorithm: str, observations: PyTorchObs, actions: Tensor
) -> Callable[[], object]:
    """What runs every trunk of a policy once.

    Args:
        policy: of an SB3 model.
        algorithm: SB3's name of it.
        observations: as its networks see them.
        actions: done there; critics of actor-critics off policy read them.

    Returns:
        A function without arguments.
    """
    if isinstance(policy, ActorCriticPolicy):
        return lambda: (policy.get_distribution(observations), policy.predict_values(observations))
    network = traits_of(algorithm).network
    if network:
        return lambda: policy.get_submodule(network)(observations)
    actor, critic = policy.get_submodule("actor"), policy.get_submodule("critic")
    return lambda: (actor(observations), critic(observations, actions))


def _refuse_other_spaces(config: DistributionMatch, source: Space, target: Space, what: str) -> None:
    fits = same(source, target) if config.conditional and what == "action" else same_shape(source, target)
    if not fits:
        raise TransferError(
            f"the source's {what} space is {in_short(source)}, the target's {in_short(target)}; match sends "
            "states of both through one network",
            key=KEY,
        )


def _rows(observations: PyTorchObs, chosen: Tensor) -> PyTorchObs:
    if isinstance(observations, dict):
        return {key: value[chosen] for key, value in observations.items()}
    return observations[chosen]
