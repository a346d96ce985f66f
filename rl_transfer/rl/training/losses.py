"""The training losses of the algorithms on given transitions, for looking at their gradients.

SB3 and the compiled engine keep theirs inside ``train``, between sampling and stepping. These are the same
losses at the present weights but for constant factors, in evaluation mode, with one-step targets and without
what strategies add:

on-policy     −E[A log π] − ent_coef · H + vf_coef · E[(R − V)²], A by GAE(λ): what the clipped and the
              natural objective come to where old and new policy are one
Q-learning    Huber loss of the TD error; quantile Huber loss with quantiles
actor-critic  actor: E[α log π − Q]; critics: squared TD error, or quantile Huber loss
"""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import Tensor, nn
from torch.nn import functional

from rl_transfer.core.activity import PartLoss
from rl_transfer.rl.policies.bundle import log_entropy_coefficient
from rl_transfer.rl.policies.normalization import Normalizer
from rl_transfer.rl.policies.traits import Traits
from rl_transfer.rl.training.rollouts import Rollout, column, flat, seen


class _Actor(Protocol):
    def __call__(self, obs: PyTorchObs) -> Tensor: ...

    def action_log_prob(self, obs: PyTorchObs) -> tuple[Tensor, Tensor]: ...


class _Noisy(Protocol):
    def reset_noise(self) -> None: ...


class _Learned:
    """Transitions as an algorithm learns from them."""

    def __init__(
        self, model: BaseAlgorithm, rollout: Rollout, normalize: Normalizer | None, gamma: float
    ) -> None:
        policy, self.gamma = model.policy, gamma
        self.observations = seen(policy, flat(rollout.observations), normalize)
        self.following = seen(policy, flat(rollout.following), normalize)
        self.actions = torch.as_tensor(rollout.actions.reshape(-1, *rollout.actions.shape[2:]))
        self.raw_rewards = learned_rewards(model, rollout)
        self.rewards, self.going_on = column(self.raw_rewards), column(~rollout.terminated)
        self.shape, self.ended = rollout.rewards.shape, rollout.ended


def learned_rewards(model: BaseAlgorithm, rollout: Rollout) -> NDArray[np.float64]:
    """Rewards as training has them: scaled where the algorithm normalises them.

    Args:
        model: its environments hold the statistics, which do not change.
        rollout: of its policy.

    Returns:
        ``[step, copy]``.
    """
    normalized = model.get_vec_normalize_env()
    if normalized is None or not normalized.norm_reward:
        return rollout.rewards
    return np.asarray(normalized.normalize_reward(rollout.rewards), dtype=np.float64)


def losses(
    model: BaseAlgorithm, traits: Traits, rollout: Rollout, normalize: Normalizer | None, gamma: float
) -> list[PartLoss]:
    """The losses of a model on a rollout, each with the parameters that learn by it.

    Args:
        model: at its present weights, its policy in evaluation mode.
        traits: of its algorithm.
        rollout: transitions of its policy.
        normalize: what the policy expects its observations to have gone through.
        gamma: discount.

    Returns:
        Scalars with gradient.
    """
    data = _Learned(model, rollout, normalize, gamma)
    if traits.family == "on-policy":
        return [(_policy_gradient(model, traits, data), "")]
    if traits.family == "q-learning":
        return [(_q_learning(model, traits, data), f"{traits.network}.")]
    if getattr(model, "use_sde", False):  # as every update of these begins
        cast(_Noisy, model.policy.get_submodule("actor")).reset_noise()
    return [(_actor_loss(model, traits, data), "actor."), (_critic_loss(model, traits, data), "critic.")]


def _policy_gradient(model: BaseAlgorithm, traits: Traits, data: _Learned) -> Tensor:
    policy = cast(ActorCriticPolicy, model.policy)
    values, log_probabilities, entropy = policy.evaluate_actions(data.observations, data.actions)
    with torch.no_grad():
        following = policy.predict_values(data.following).reshape(data.shape).double().numpy()
    now = values.detach().reshape(data.shape).double().numpy()
    given = advantages(
        data.raw_rewards,
        now,
        following * data.going_on.reshape(data.shape).numpy(),
        data.ended,
        data.gamma,
        float(getattr(model, "gae_lambda", 1.0)),
    )
    weights, returns = (
        torch.as_tensor(each.reshape(-1), dtype=torch.float32) for each in (given, given + now)
    )
    if getattr(model, "normalize_advantage", False):
        weights = (weights - weights.mean()) / (weights.std() + 1e-8)
    bonus = -log_probabilities.mean() if entropy is None else entropy.mean()
    # A critic with steps of its own has the whole loss, whatever the base class of SB3 says of vf_coef.
    share = 1.0 if traits.separate_critic else float(getattr(model, "vf_coef", 1.0))
    return (
        -(weights * log_probabilities).mean()
        - float(getattr(model, "ent_coef", 0.0)) * bonus
        + share * functional.mse_loss(values.flatten(), returns)
    )


def advantages(
    rewards: NDArray[np.float64],
    values: NDArray[np.float64],
    following: NDArray[np.float64],
    ended: NDArray[np.bool_],
    gamma: float,
    gae_lambda: float,
) -> NDArray[np.float64]:
    """Generalised advantage estimates (Schulman et al. 2016, "High-dimensional continuous control …").

        δ_t = r_t + γ V(s_{t+1}) − V(s_t),   A_t = δ_t + γλ A_{t+1}, episodes apart

    Args:
        rewards: ``[step, copy]``, r_t.
        values: ``[step, copy]``, V(s_t).
        following: ``[step, copy]``, V(s_{t+1}); 0 where an episode terminated.
        ended: ``[step, copy]``, where an episode ended for whatever reason.
        gamma: γ.
        gae_lambda: λ.

    Returns:
        ``[step, copy]``.
    """
    errors = rewards + gamma * following - values
    found, last = np.zeros_like(errors), np.zeros(errors.shape[1])
    for step in reversed(range(len(errors))):
        last = errors[step] + gamma * gae_lambda * np.where(ended[step], 0.0, last)
        found[step] = last
    return found


def _q_learning(model: BaseAlgorithm, traits: Traits, data: _Learned) -> Tensor:
    online = model.policy.get_submodule(traits.network)
    target = model.policy.get_submodule(dict(traits.targets)[traits.network])
    chosen = data.actions.long().reshape(-1, 1)
    values = online(data.observations)
    with torch.no_grad():
        after = target(data.following)
    if traits.quantiles is None:
        best = after.max(dim=1, keepdim=True).values
        wanted = data.rewards + data.gamma * data.going_on * best
        return functional.smooth_l1_loss(values.gather(1, chosen), wanted)
    best = after.mean(dim=1, keepdim=True).argmax(dim=2, keepdim=True).expand(-1, after.shape[1], 1)
    wanted = data.rewards + data.gamma * data.going_on * after.gather(2, best).squeeze(2)
    taken = chosen.unsqueeze(1).expand(-1, values.shape[1], 1)
    return _quantile_loss(values.gather(2, taken).squeeze(2), wanted, summed=True)


def _entropy_weight(model: BaseAlgorithm) -> float:
    """α of a maximum-entropy objective; 0 for algorithms without one."""
    learned = log_entropy_coefficient(model)
    if learned is not None:
        return float(learned.detach().exp())
    return float(getattr(model, "ent_coef_tensor", 0.0))


def _drawn(actor: nn.Module, traits: Traits, observations: PyTorchObs) -> tuple[Tensor, Tensor]:
    """Actions of an actor and their log-likelihoods, ``[row, 1]``; 0 for those that are computed."""
    if traits.actions == "distribution":
        actions, likelihoods = cast(_Actor, actor).action_log_prob(observations)
        return actions, likelihoods.reshape(-1, 1)
    actions = actor(observations)
    return actions, actions.new_zeros(len(actions), 1)


def _values(critic: nn.Module, traits: Traits, observations: PyTorchObs, actions: Tensor) -> Tensor:
    """``[row, critic]``, with quantiles their means."""
    found = critic(observations, actions)
    return found.mean(dim=2) if traits.quantiles else torch.cat(found, dim=1)


def _actor_loss(model: BaseAlgorithm, traits: Traits, data: _Learned) -> Tensor:
    actions, likelihoods = _drawn(model.policy.get_submodule("actor"), traits, data.observations)
    values = _values(model.policy.get_submodule("critic"), traits, data.observations, actions)
    if traits.actions == "deterministic":
        return -values[:, 0].mean()
    value = values.mean(dim=1) if traits.quantiles else values.min(dim=1).values
    return (_entropy_weight(model) * likelihoods[:, 0] - value).mean()


def _critic_loss(model: BaseAlgorithm, traits: Traits, data: _Learned) -> Tensor:
    policy, targets = model.policy, dict(traits.targets)
    critic, target = policy.get_submodule("critic"), policy.get_submodule(targets["critic"])
    with torch.no_grad():
        actions, likelihoods = _drawn(
            policy.get_submodule(targets.get("actor", "actor")), traits, data.following
        )
        bonus = -_entropy_weight(model) * likelihoods
        after = target(data.following, actions)
        if traits.quantiles:
            kept = after[0].numel() - int(getattr(model, "top_quantiles_to_drop_per_net", 0)) * after.shape[1]
            after = after.flatten(1).sort(dim=1).values[:, :kept]
        else:
            after = torch.cat(after, dim=1).min(dim=1, keepdim=True).values
        wanted = data.rewards + data.gamma * data.going_on * (after + bonus)
    values = critic(data.observations, data.actions)
    if traits.quantiles:
        return _quantile_loss(values, wanted.unsqueeze(1), summed=False)
    return torch.stack([functional.mse_loss(each, wanted) for each in values]).sum()


def _quantile_loss(values: Tensor, wanted: Tensor, *, summed: bool) -> Tensor:
    from sb3_contrib.common.utils import quantile_huber_loss

    loss: Tensor = quantile_huber_loss(values, wanted, sum_over_quantiles=summed)
    return loss
