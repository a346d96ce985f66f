"""Where source and target part in a policy, before and after training; measured when a run has ended."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor

from rl_transfer.core import isolated
from rl_transfer.core.layer_outputs import layer_outputs
from rl_transfer.errors import TransferError
from rl_transfer.frame.gaps import INPUT, DomainRows, LayerRows, gaps_record
from rl_transfer.rl.environments import spaces as described
from rl_transfer.rl.environments.build import make_vec_env
from rl_transfer.rl.environments.seeds import diagnostics_seed
from rl_transfer.rl.environments.spaces import Array, Observation
from rl_transfer.rl.policies.bundle import Policy, as_act
from rl_transfer.rl.policies.normalization import Normalizer, current_normalizer
from rl_transfer.rl.policies.parts import policy_parts
from rl_transfer.rl.strategy.action_labels import action_labels, labels_in_words
from rl_transfer.rl.strategy.matching import run_trunks
from rl_transfer.rl.training.curve import Snapshot
from rl_transfer.rl.training.rollouts import COPIES, Rollout, flat, learned_actions, roll_out, seen
from rl_transfer.seeding import integer_seed
from rl_transfer.spec import Algorithm, Environment, RLRun
from rl_transfer.spec.base import Json

EVERY = 2
"""Of the steps of a rollout, every second one is measured."""


class PolicyGaps:
    """Keeps a policy as it is before training, and measures both networks on states of source and target.

    The source policy plays in both environments, sampling its actions: the states are the same for every arm
    of a source and target, and what differs between arms is the network.

    Where maps stand in front of the copied network (``align``, ``input_maps``), neither would make sense: the
    source's states would pass through maps that are not for them, and the source policy acts in the target
    without any. There the policy plays in the target as it is before training, maps and all, and the source's
    states pass through the source's own network.

    Args:
        run: what is trained.
        algorithm: that it is trained by.
        model: the strategy applied, not yet trained.
        start: every tensor of the policy as training begins, without adapters.
        source: the source policy; None: there is nothing to compare with.
    """

    def __init__(
        self,
        run: RLRun,
        algorithm: Algorithm,
        model: BaseAlgorithm,
        start: Mapping[str, Tensor],
        source: Policy | None,
    ) -> None:
        self._run, self._algorithm, self._source = run, algorithm, source
        verbs = run.strategy
        self._mapped = verbs is not None and bool(verbs.align or verbs.input_maps)
        self._other_actions = verbs is not None and bool(
            verbs.output_maps or (verbs.align and verbs.align.actions != "none")
        )
        now = Snapshot.of(model)
        self._start = Snapshot(dict(start), now.statistics, now.entropy)

    def record(self, model: BaseAlgorithm) -> dict[str, Json]:
        """Measure both networks.

        Args:
            model: trained, adapters folded in; afterwards it is what it was, to the bit.

        Returns:
            The record's ``gaps``.

        Raises:
            TransferError: there is no source, or it cannot act in the target.
        """
        source = self._source
        if source is None:
            raise TransferError("the run has no source to be apart from")
        same_actions = described.same(model.action_space, source.module.action_space)
        same_states = described.same(model.observation_space, source.module.observation_space)
        if not self._mapped and not (same_actions and same_states):
            raise TransferError("source and target have other spaces: no policy plays in both")
        end, seed = Snapshot.of(model), integer_seed(diagnostics_seed(self._run), "gaps")
        try:
            with isolated(seed):
                played = (
                    _played(source.module, source.normalizer, source.env, integer_seed(seed, "source")),
                    self._in_target(model, source, integer_seed(seed, "target")),
                )
                start, last = (self._features(model, each, source, played) for each in (self._start, end))
        finally:
            end.restore(model)
        labelled = same_actions and not (self._mapped and self._other_actions)
        states: dict[str, Json] = {
            "rows": int(played[0].rewards[::EVERY].size),
            "policy": "the source policy in its environment, the policy as training begins in the target"
            if self._mapped
            else "the source policy in both environments, sampling its actions",
            "copies": COPIES,
            "labels": labels_in_words(model.action_space) if labelled else None,
        }
        return gaps_record(start, last, _rows(model, played, labelled), states, seed)

    def _in_target(self, model: BaseAlgorithm, source: Policy, seed: int) -> Rollout:
        if not self._mapped:
            return _played(source.module, source.normalizer, self._run.env, seed)
        self._start.restore(model)
        return _played(model.policy, self._normalizer(model), self._run.env, seed)

    def _normalizer(self, model: BaseAlgorithm) -> Normalizer | None:
        return None if model.env is None else current_normalizer(model.env, self._algorithm)

    def _features(
        self, model: BaseAlgorithm, network: Snapshot, source: Policy, played: tuple[Rollout, Rollout]
    ) -> LayerRows:
        network.restore(model)
        target = model.policy, self._algorithm.name
        passed = (source.module, source.algorithm.name) if self._mapped else target
        theirs = _layer_rows(*passed, played[0], source.normalizer)
        mine = _layer_rows(*target, played[1], self._normalizer(model))
        both = [name for name in mine if name in theirs and theirs[name].shape[1] == mine[name].shape[1]]
        return {name: (theirs[name], mine[name]) for name in both}


def _played(policy: BasePolicy, normalize: Normalizer | None, env: Environment, seed: int) -> Rollout:
    play = as_act(policy, normalize, deterministic=False)

    def act(observations: Observation) -> tuple[Array, Array]:
        actions = play(observations)
        return actions, learned_actions(policy, actions)

    built = make_vec_env(env, COPIES)
    try:
        return roll_out(built, act, seed)
    finally:
        built.close()


def _layer_rows(
    policy: BasePolicy, algorithm: str, rollout: Rollout, normalizer: Normalizer | None
) -> dict[str, Tensor]:
    """What every layer of a policy's trunks gives on the states of a rollout, and the states themselves."""
    layers = {
        f"{layer.part}.{layer.index}": layer
        for part in policy_parts(algorithm, policy)
        for layer in part.layers
        if part.role == "trunk"
    }
    observations = seen(policy, _cut(flat(rollout.observations)), normalizer)
    actions = torch.as_tensor(_actions(rollout))
    found = {} if isinstance(observations, dict) else {INPUT: observations.flatten(1).float()}
    with torch.no_grad():
        return found | layer_outputs(policy, layers, run_trunks(policy, algorithm, observations, actions))


def _chosen(rollout: Rollout) -> Array:
    """The rows of every second step, of rows ``[step · copy]``."""
    steps, copies = rollout.rewards.shape
    return np.arange(steps * copies).reshape(steps, copies)[::EVERY].reshape(-1)


def _actions(rollout: Rollout) -> Array:
    """Those of the rows of :func:`_chosen`."""
    found: Array = rollout.actions.reshape(-1, *rollout.actions.shape[2:])[_chosen(rollout)]
    return found


def _cut(observations: Observation) -> Observation:
    """Rows of every second step."""

    def cut(array: Array) -> Array:
        return array.reshape(-1, COPIES, *array.shape[1:])[::EVERY].reshape(-1, *array.shape[1:])

    return (
        {k: cut(v) for k, v in observations.items()} if isinstance(observations, dict) else cut(observations)
    )


def _rows(
    model: BaseAlgorithm, played: tuple[Rollout, Rollout], labelled: bool
) -> tuple[DomainRows, DomainRows]:
    """What was done in every row of either side, and in which environment."""
    labels: tuple[Tensor, Tensor] | tuple[None, None] = (None, None)
    if labelled:
        source, target = (torch.as_tensor(_actions(each).reshape(len(_chosen(each)), -1)) for each in played)
        labels = action_labels(model.action_space, source, target)
    groups = [torch.as_tensor(_chosen(each) % COPIES) for each in played]
    return DomainRows(labels[0], groups[0]), DomainRows(labels[1], groups[1])
