"""Every private member of Stable-Baselines3 and sb3-contrib that this package touches, one function each.

SB3 may rename or drop what begins with an underscore in any release. ``tests/rl/test_sb3_seams.py``
looks each member up in the installed SB3 and finds accesses outside this module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices

Samples = Callable[[NDArray[np.int64], VecNormalize | None], RolloutBufferSamples]
"""Positions in a flattened rollout buffer → their minibatch."""


def progress_remaining(model: BaseAlgorithm) -> float:
    """The share of the budget that is left, as SB3's schedules see it.

    Hooks on the optimizer run in the middle of ``train()``, where no public attribute says it:
    ``num_timesteps`` has no total beside it.

    Args:
        model: any SB3 model.

    Returns:
        1 at the first step, 0 at the last, negative where the budget is overshot.
    """
    return model._current_progress_remaining


def after_learning_rate_update(model: BaseAlgorithm, then: Callable[[float], None]) -> None:
    """Call ``then`` each time SB3 has written one learning rate into all parameter groups.

    SB3 does so at the top of every ``train()`` and offers nothing to hook into between that and the
    first optimizer step; rates of parts would be overwritten.

    Args:
        model: any SB3 model; its method is replaced on this instance.
        then: gets the learning rate that SB3 has just written.
    """
    original = model._update_learning_rate

    def update(optimizers: list[torch.optim.Optimizer] | torch.optim.Optimizer) -> None:
        original(optimizers)
        then(model.lr_schedule(model._current_progress_remaining))

    model._update_learning_rate = update  # type: ignore[method-assign]


def renew_learning_rate_schedule(model: BaseAlgorithm) -> None:
    """Make the schedule of a model's learning rate anew after ``model.learning_rate`` was set.

    SB3 derives ``lr_schedule`` from it while the model is built, and only then.

    Args:
        model: any SB3 model.
    """
    model._setup_lr_schedule()


@runtime_checkable
class _Aliased(Protocol):
    def _create_aliases(self) -> None: ...


def renew_network_aliases(model: BaseAlgorithm) -> None:
    """Point ``model.actor``, ``model.critic_target`` … at the networks that the policy has now.

    Off-policy models keep names of their own for the policy's networks and train through those;
    after a network of the policy was replaced they would train the old one. On-policy models have
    no such names and are left alone.

    Args:
        model: any SB3 model.
    """
    if isinstance(model, _Aliased):
        model._create_aliases()


class _NaturalGradient(Protocol):
    _compute_actor_grad: Callable[..., object]


def compute_actor_gradient_within(
    model: BaseAlgorithm, surroundings: Callable[[], AbstractContextManager[None]]
) -> None:
    """Let a TRPO model compute its natural gradient inside a context, at every update.

    sb3-contrib differentiates with respect to every parameter that ``policy.named_parameters()``
    gives at that moment and offers no way to say which.

    Args:
        model: sb3-contrib's TRPO; its method is replaced on this instance.
        surroundings: makes the context manager that is entered for one computation.
    """
    natural = cast(_NaturalGradient, model)
    original = natural._compute_actor_grad

    def compute(*args: object, **kwargs: object) -> object:
        with surroundings():
            return original(*args, **kwargs)

    natural._compute_actor_grad = compute


def exchange_actions(
    model: OffPolicyAlgorithm,
    exchange: Callable[
        [NDArray[np.generic], NDArray[np.generic]], tuple[NDArray[np.generic], NDArray[np.generic]]
    ],
) -> None:
    """Let something else act in the place of an off-policy model, in the middle of a rollout.

    What is stored in the replay buffer is chosen beside what is done in the environments; a wrapper
    that acted otherwise would leave the model's own action in the buffer.

    Args:
        model: its method is replaced on this instance.
        exchange: actions ``[env, …]``, and the same as the buffer holds them (Box actions scaled to
            [−1, 1]) → both as they should be.
    """
    original: Callable[..., tuple[NDArray[np.generic], NDArray[np.generic]]] = model._sample_action

    def sample(*args: object, **kwargs: object) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
        return exchange(*original(*args, **kwargs))

    model._sample_action = sample  # type: ignore[method-assign]


def action_distribution(policy: ActorCriticPolicy, latents: torch.Tensor) -> Distribution:
    """The action distribution that the rows in front of a policy's action head give.

    ``policy.get_distribution`` begins at the observation and would compute the trunk again.

    Args:
        policy: of an on-policy algorithm.
        latents: ``float32[row, width]``, what the policy trunk gives.

    Returns:
        SB3's own distribution object, one action per row.
    """
    return policy._get_action_dist_from_latent(latents)


def minibatch(
    buffer: RolloutBuffer, rows: NDArray[np.int64], env: VecNormalize | None
) -> RolloutBufferSamples:
    """The minibatch that SB3's own buffer gives for ``rows``, whatever stands in for it.

    Args:
        buffer: a rollout buffer that is being trained on, hence flat.
        rows: ``int64[row]``, positions in it.
        env: what normalises the samples, as SB3 passes it.
    """
    return type(buffer)._get_samples(buffer, rows, env)


@dataclass(frozen=True)
class StandIn:
    """Takes the place of one method of one object, without a subclass.

    Attributes:
        owner: an object of SB3.
        name: the method's name.
        method: what is called instead.
    """

    owner: object
    name: str
    method: Callable[..., object]

    def attach(self) -> None:
        """Take the method's place."""
        setattr(self.owner, self.name, self.method)

    def detach(self) -> None:
        """Give the place back, unless something else has taken it since."""
        if vars(self.owner).get(self.name) == self.method:
            delattr(self.owner, self.name)


def minibatch_stand_in(buffer: RolloutBuffer, method: Samples) -> StandIn:
    """A stand-in that sees which rows each minibatch of a rollout holds.

    ``buffer.get`` yields minibatches without saying which rows they are; the rows are known only in
    the method that it calls for each.

    Args:
        buffer: any rollout buffer.
        method: called for every minibatch; :func:`minibatch` gives what it should return.
    """
    return StandIn(buffer, "_get_samples", method)


def last_seen(model: BaseAlgorithm) -> list[object]:
    """What a model in training remembers of the step before: observations, and whether episodes began there.

    ``learn`` keeps it between two rollouts and has no public name for it.

    Args:
        model: between two rollouts.

    Returns:
        Arrays, or dicts of arrays; None for what the model does not keep.
    """
    return [model._last_obs, model._last_episode_starts, model._last_original_obs]


def set_last_seen(
    model: BaseAlgorithm,
    observations: NDArray[np.generic],
    dones: NDArray[np.bool_],
    original: NDArray[np.generic],
) -> None:
    """Let a model go on from a step that it did not see; see :func:`last_seen`.

    Args:
        model: between two rollouts.
        observations: ``[env, …]`` after the step, as the model's environments gave them.
        dones: ``[env]``, which episodes it ended; off-policy models do not keep them.
        original: ``[env, …]``, the same observations before they were normalised.
    """
    model._last_obs = observations
    if not isinstance(model, OffPolicyAlgorithm):
        model._last_episode_starts = dones
    elif model.get_vec_normalize_env() is not None:
        model._last_original_obs = original


def pending_seeds(env: VecEnv) -> Sequence[int | None]:
    """The seeds, one per instance, that ``env.seed`` set for the next reset; None: unseeded.

    ``VecEnv`` keeps them for its subclasses to read and has no public name for them.

    Args:
        env: a vector environment that implements its own ``reset``.
    """
    return env._seeds


def pending_options(env: VecEnv) -> Sequence[dict[str, object]]:
    """The options, one mapping per instance, that ``env.set_options`` set for the next reset.

    Args:
        env: a vector environment that implements its own ``reset``; see :func:`pending_seeds`.
    """
    return env._options


def forget_pending(env: VecEnv) -> None:
    """Drop seeds and options after the reset that used them, as SB3's vector environments do.

    Args:
        env: a vector environment that implements its own ``reset``.
    """
    env._reset_seeds()
    env._reset_options()


def instance_numbers(env: VecEnv, indices: VecEnvIndices) -> list[int]:
    """The instances that an ``indices`` argument of SB3 means: none for all, one number, or several.

    Args:
        env: a vector environment.
        indices: as given to ``get_attr``, ``set_attr``, ``env_method``.
    """
    return list(env._get_indices(indices))


def update_learning_rate(model: BaseAlgorithm, optimizer: torch.optim.Optimizer) -> None:
    """Write the schedule's learning rate into all groups of an optimizer, as ``train`` begins by doing.

    Args:
        model: any SB3 model; what :func:`after_learning_rate_update` installed is called too.
        optimizer: one of its optimizers.
    """
    model._update_learning_rate(optimizer)


def updates(model: BaseAlgorithm) -> int:
    """How many updates (epochs, gradient steps) a model counts.

    Args:
        model: any SB3 model.
    """
    return model._n_updates


def set_updates(model: BaseAlgorithm, count: int) -> None:
    """Set the number that :func:`updates` gives.

    Args:
        model: any SB3 model.
        count: updates so far.
    """
    model._n_updates = count


def update_info_buffer(
    model: BaseAlgorithm, infos: list[dict[str, object]], dones: NDArray[np.bool_]
) -> None:
    """Let a model remember the episodes that ended, for its log.

    Args:
        model: any SB3 model in training.
        infos: ``[environment]``, of a step.
        dones: ``[environment]``, of the same step.
    """
    model._update_info_buffer(infos, dones)


def count_step(model: OffPolicyAlgorithm) -> None:
    """What an off-policy model does after each step: progress, exploration, target networks.

    Args:
        model: in training, ``num_timesteps`` counted.
    """
    model._update_current_progress_remaining(model.num_timesteps, model._total_timesteps)
    model._on_step()


def log_episodes(model: OffPolicyAlgorithm, ended: int, interval: int | None) -> None:
    """Count episodes that ended, and write a line of the log after every so many.

    Args:
        model: in training.
        ended: how many.
        interval: episodes between two lines; None for no log.
    """
    for _ in range(ended):
        model._episode_num += 1
        if interval is not None and model._episode_num % interval == 0:
            model.dump_logs()
