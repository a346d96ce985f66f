"""What a policy's action in a state is drawn from, in the terms that anchors and kickstarting compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import torch
from stable_baselines3.common.distributions import (
    CategoricalDistribution,
    DiagGaussianDistribution,
    Distribution,
    StateDependentNoiseDistribution,
)
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import Tensor

from rl_transfer import core
from rl_transfer.errors import TransferError
from rl_transfer.rl.policies.traits import traits_of


@dataclass(frozen=True)
class Categorical:
    """``logits``: ``float32[state, action]``."""

    logits: Tensor

    def log_likelihood(self) -> Tensor:
        """``log p(a)`` of an action drawn here, ``float32[state]``, with gradient."""
        chosen = torch.multinomial(torch.softmax(self.logits.detach(), -1), 1)
        return torch.log_softmax(self.logits, -1).gather(1, chosen)[:, 0]


@dataclass(frozen=True)
class Gaussian:
    """``mean`` and ``std``: ``float32[state, action]``, before any squashing.

    With gSDE (Raffin et al. 2021) ``log_std`` is a matrix ``[feature, action]``, the deviation of the
    exploration weights; the action's own is ``std² = latent² · exp(log_std)² + ε``, as Stable-Baselines3's
    likelihood has it.
    """

    mean: Tensor
    std: Tensor

    def log_likelihood(self) -> Tensor:
        """``log N(a | μ, σ)`` of an action drawn here, but for a constant; ``float32[state]``."""
        action = (self.mean + self.std * torch.randn_like(self.mean)).detach()
        return -(((action - self.mean) / self.std).square() / 2 + self.std.log()).sum(-1)


@dataclass(frozen=True)
class Point:
    """``action``: ``float32[state, action]``, the only one that the policy takes."""

    action: Tensor


ActionDistribution = Categorical | Gaussian | Point


class _GaussianFamily(Protocol):
    def proba_distribution(
        self, mean: Tensor, log_std: Tensor, /, **latents: Tensor
    ) -> DiagGaussianDistribution | StateDependentNoiseDistribution: ...


class _SquashedActor(Protocol):
    action_dist: _GaussianFamily

    def get_action_dist_params(self, obs: PyTorchObs) -> tuple[Tensor, Tensor, dict[str, Tensor]]: ...


def distribution(policy: BasePolicy, algorithm: str, observations: PyTorchObs) -> ActionDistribution:
    """What the policy draws its actions from, by Stable-Baselines3's own distribution object.

    Args:
        policy: of an algorithm whose policy has a likelihood or computes its actions.
        algorithm: SB3's name of it.
        observations: ``float32[state, …]``, as the networks see them; per key for dict observations.

    Raises:
        TransferError: a distribution that is neither categorical nor Gaussian, or none at all.
    """
    traits = traits_of(algorithm)
    if traits.actions == "deterministic":
        return Point(policy.get_submodule("actor")(observations))
    if traits.actions != "distribution":
        raise TransferError(f"a {algorithm} policy has no action distribution", key="strategy")
    if isinstance(policy, ActorCriticPolicy):
        return _known(policy.get_distribution(observations))
    actor = cast(_SquashedActor, policy.get_submodule("actor"))
    mean, log_std, latents = actor.get_action_dist_params(observations)
    return _known(actor.action_dist.proba_distribution(mean, log_std, **latents))


def _known(found: Distribution) -> Categorical | Gaussian:
    _refuse_unknown(found, "strategy")
    if isinstance(found, CategoricalDistribution):
        return Categorical(found.distribution.logits)
    normal = cast(torch.distributions.Normal, found.distribution)
    return Gaussian(normal.mean, normal.stddev)


def check_distribution(policy: BasePolicy, key: str) -> None:
    """Refuse a policy whose action distribution cannot be compared, before anything is trained.

    Args:
        policy: a teacher or a student.
        key: where the strategy asks for the comparison, for the message.

    Raises:
        TransferError: it draws several choices at once (MultiDiscrete or MultiBinary actions).
    """
    if isinstance(policy, ActorCriticPolicy):
        _refuse_unknown(policy.action_dist, key)


def _refuse_unknown(found: Distribution, key: str) -> None:
    known = CategoricalDistribution | DiagGaussianDistribution | StateDependentNoiseDistribution
    if not isinstance(found, known):
        raise TransferError(
            "kickstarting and EWC know policies over Discrete and Box actions (categorical and Gaussian "
            f"distributions), not {type(found).__name__}",
            key=key,
        )


def divergence(teacher: ActionDistribution, student: ActionDistribution) -> Tensor:
    """How far the student's action distribution is from the teacher's.

    Args:
        teacher: of any kind.
        student: of the same kind, for the same states.

    Returns:
        ``float32[state]``: KL(teacher ‖ student), or the squared distance of two actions.

    Raises:
        TransferError: the two are of different kinds.
    """
    if isinstance(teacher, Categorical) and isinstance(student, Categorical):
        return core.categorical_kl(teacher.logits, student.logits)
    if isinstance(teacher, Gaussian) and isinstance(student, Gaussian):
        return core.gaussian_kl(teacher.mean, teacher.std, student.mean, student.std)
    if isinstance(teacher, Point) and isinstance(student, Point):
        return (teacher.action.detach() - student.action).square().sum(-1)
    raise TransferError(
        f"a {type(teacher).__name__} teacher and a {type(student).__name__} student cannot be compared",
        key="strategy.kickstart",
    )
