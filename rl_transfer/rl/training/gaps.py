"""Where source and target part in a policy, before and after training; measured when a run has ended."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from rl_transfer.core import isolated
from rl_transfer.core.layer_outputs import layer_outputs
from rl_transfer.errors import TransferError
from rl_transfer.frame.gaps import INPUT, DomainRows, LayerRows, gaps_record
from rl_transfer.rl.environments import spaces as described
from rl_transfer.rl.environments.build import make_vec_env
from rl_transfer.rl.environments.seeds import diagnostics_seed
from rl_transfer.rl.environments.spaces import Array, Observation
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.normalization import Normalizer, current_normalizer
from rl_transfer.rl.policies.parts import policy_parts
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
        module = source.module
        for mine, theirs in (
            (model.observation_space, module.observation_space),
            (model.action_space, module.action_space),
        ):
            if not described.same(mine, theirs):
                raise TransferError("source and target have other spaces: no policy plays in both")
        end, seed = Snapshot.of(model), integer_seed(diagnostics_seed(self._run), "gaps")
        try:
            with isolated(seed):
                played = [
                    self._played(model, source, env, integer_seed(seed, side))
                    for side, env in (("source", source.env), ("target", self._run.env))
                ]
                start, last = (self._features(model, each, source, played) for each in (self._start, end))
        finally:
            end.restore(model)
        rows = _rows(model, played[0]), _rows(model, played[1])
        states: dict[str, Json] = {
            "rows": int(played[0].rewards[::EVERY].size),
            "policy": "the source policy in both environments, sampling its actions",
            "copies": COPIES,
            "labels": None if rows[0].labels is None else "actions",
        }
        return gaps_record(start, last, rows, states, seed)

    def _played(self, model: BaseAlgorithm, source: Policy, env: Environment, seed: int) -> Rollout:
        built = make_vec_env(env, COPIES)
        play = source.act(deterministic=False)

        def act(observations: Observation) -> tuple[Array, Array]:
            if getattr(source.algorithm, "use_sde", False):
                source.module.reset_noise(COPIES)  # type: ignore[operator]
            actions = play(observations)
            return actions, learned_actions(model, actions)

        try:
            return roll_out(built, act, seed)
        finally:
            built.close()

    def _features(
        self, model: BaseAlgorithm, network: Snapshot, source: Policy, played: list[Rollout]
    ) -> LayerRows:
        network.restore(model)
        normalizers: list[Normalizer | None] = [
            source.normalizer,
            None if model.env is None else current_normalizer(model.env, self._algorithm),
        ]
        layers = {
            f"{layer.part}.{layer.index}": layer
            for part in policy_parts(self._algorithm.name, model.policy)
            for layer in part.layers
            if part.role == "trunk"
        }
        sides: list[dict[str, Tensor]] = []
        for rollout, normalize in zip(played, normalizers, strict=True):
            observations = seen(model.policy, _cut(flat(rollout.observations)), normalize)
            actions = torch.as_tensor(
                rollout.actions.reshape(-1, *rollout.actions.shape[2:])[_chosen(rollout)]
            )
            found = {} if isinstance(observations, dict) else {INPUT: observations.flatten(1).float()}
            with torch.no_grad():
                forward = run_trunks(model.policy, self._algorithm.name, observations, actions)
                sides.append(found | layer_outputs(model.policy, layers, forward))
        return {name: (sides[0][name], sides[1][name]) for name in sides[0]}


def _chosen(rollout: Rollout) -> Array:
    """The rows of every second step, of rows ``[step · copy]``."""
    steps, copies = rollout.rewards.shape
    return np.arange(steps * copies).reshape(steps, copies)[::EVERY].reshape(-1)


def _cut(observations: Observation) -> Observation:
    """Rows of every second step."""

    def cut(array: Array) -> Array:
        return array.reshape(-1, COPIES, *array.shape[1:])[::EVERY].reshape(-1, *array.shape[1:])

    return (
        {k: cut(v) for k, v in observations.items()} if isinstance(observations, dict) else cut(observations)
    )


def _rows(model: BaseAlgorithm, rollout: Rollout) -> DomainRows:
    chosen = _chosen(rollout)
    discrete = isinstance(model.action_space, spaces.Discrete)
    labels = torch.as_tensor(rollout.actions.reshape(-1)[chosen].astype(np.int64)) if discrete else None
    return DomainRows(labels, torch.as_tensor(chosen % COPIES))
