"""What is inside a policy before and after training; measured when a run has ended, so that nothing moves.

The weights of the start are kept. When everything else of the run is done, both networks are measured on
observations that uniform-random actions reach, the same for every arm of a target: what differs then is the
network. Gradients are those on a short rollout of each network's own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv

from rl_transfer.core import PartMap, isolated
from rl_transfer.core.activity import part_activity, part_agreement
from rl_transfer.frame.diagnosis import END, START, NetworkMoment, diagnostics_record, scalars
from rl_transfer.frame.events import EventWriter
from rl_transfer.rl.environments.build import make_vec_env
from rl_transfer.rl.environments.seeds import diagnostics_seed
from rl_transfer.rl.policies.normalization import Normalizer, current_normalizer
from rl_transfer.rl.policies.parts import policy_parts
from rl_transfer.rl.policies.traits import traits_of
from rl_transfer.rl.strategy.apply import PolicyTransfer
from rl_transfer.rl.training.curve import Snapshot
from rl_transfer.rl.training.losses import losses
from rl_transfer.rl.training.rollouts import COPIES, Rollout, flat, policy_actor, random_actor, roll_out, seen
from rl_transfer.spec import Algorithm, RLRun
from rl_transfer.spec.base import Json


class PolicyDiagnosis:
    """Keeps a policy as it is before training and compares it with what became of it.

    Args:
        run: what is trained.
        algorithm: that it is trained by.
        model: the strategy applied, not yet trained.
        transfer: the strategy.
    """

    def __init__(
        self, run: RLRun, algorithm: Algorithm, model: BaseAlgorithm, transfer: PolicyTransfer
    ) -> None:
        self._run, self._algorithm, self._reference = run, algorithm, transfer.reference
        self._traits = traits_of(algorithm.name)
        now = Snapshot.of(model)
        self._start = Snapshot(transfer.start, now.statistics, now.entropy)

    def record(self, model: BaseAlgorithm, events: EventWriter) -> dict[str, Json]:
        """Measure both networks.

        Args:
            model: trained, adapters folded in; afterwards it is what it was, to the bit.
            events: get the numbers, at step 0 and at the budget's end.

        Returns:
            The record's ``diagnostics``.
        """
        end, mode = Snapshot.of(model), model.policy.training
        model.policy.set_training_mode(False)
        try:
            with isolated(diagnostics_seed(self._run)):
                found = self._measured(model, end)
        finally:
            end.restore(model)
            model.policy.set_training_mode(mode)
        events.add_scalars(scalars(found, START), 0)
        events.add_scalars(scalars(found, END), self._run.total_steps)
        return found

    def _measured(self, model: BaseAlgorithm, end: Snapshot) -> dict[str, Json]:
        training = self._run.training
        env = make_vec_env(
            self._run.env, COPIES, vectorization="sync" if training is None else training.vectorization
        )
        parts, seed = policy_parts(self._algorithm.name, model.policy), diagnostics_seed(self._run)
        try:
            common = roll_out(env, random_actor(model, seed), seed)
            start, last = (self._moment(model, parts, each, common, env) for each in (self._start, end))
        finally:
            env.close()
        batch = {"observations": common.rewards.size, "transitions": common.rewards.size}
        return diagnostics_record(parts, start, last, self._reference, batch)

    def _restored(self, model: BaseAlgorithm, network: Snapshot) -> Normalizer | None:
        """Put a network into the model; what its observations go through."""
        network.restore(model)
        return None if model.env is None else current_normalizer(model.env, self._algorithm)

    def _moment(
        self, model: BaseAlgorithm, parts: PartMap, network: Snapshot, common: Rollout, env: VecEnv
    ) -> NetworkMoment:
        normalize = self._restored(model, network)
        activity = part_activity(model.policy, parts, self._forward(model, common, normalize))
        rollout = roll_out(env, policy_actor(model, normalize), diagnostics_seed(self._run))
        half = COPIES // 2
        halves = [
            partial(losses, model, self._traits, rollout.of_copies(chosen), normalize, self._algorithm.gamma)
            for chosen in (slice(half), slice(half, None))
        ]
        return NetworkMoment(network.policy, activity, part_agreement(model.policy, parts, halves))

    def _forward(
        self, model: BaseAlgorithm, common: Rollout, normalize: Normalizer | None
    ) -> Callable[[], object]:
        """Runs every trunk of the policy."""
        policy = model.policy
        observations = seen(policy, flat(common.observations), normalize)
        actions = torch.as_tensor(common.actions.reshape(-1, *common.actions.shape[2:]))
        if isinstance(policy, ActorCriticPolicy):
            return partial(policy.evaluate_actions, observations, actions)
        if self._traits.network:
            return partial(policy.get_submodule(self._traits.network), observations)
        actor, critic = policy.get_submodule("actor"), policy.get_submodule("critic")
        return lambda: (actor(observations), critic(observations, actions))
