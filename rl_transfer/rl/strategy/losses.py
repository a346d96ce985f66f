"""Built-in loss hooks: anchors to the source (L2-SP, EWC) and kickstarting from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import BaseBuffer
from stable_baselines3.common.distributions import CategoricalDistribution, DiagGaussianDistribution
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor

from rl_transfer import core
from rl_transfer.core import PartMap, isolated
from rl_transfer.errors import TransferError
from rl_transfer.rl.environments.build import make_env
from rl_transfer.rl.environments.evaluate import stack
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.parts import ON_POLICY
from rl_transfer.rl.strategy.hooks import LossHook
from rl_transfer.rl.strategy.translate import expand
from rl_transfer.spec import Algorithm, StrategyVerbs
from rl_transfer.spec.strategy import EWCConfig, Kickstart

STOCHASTIC = (*ON_POLICY, "SAC", "TQC")
DETERMINISTIC = ("TD3", "DDPG")
BATCH = 256
PLAYED_ENVS = 4


def built_in_losses(
    strategy: StrategyVerbs,
    algorithm: Algorithm,
    model: BaseAlgorithm,
    parts: PartMap,
    copied: Mapping[str, Tensor],
    source: Policy | None,
    seed: int,
) -> list[LossHook]:
    """The loss hooks that a strategy's data ask for.

    Raises:
        TransferError: a loss makes no sense for the algorithm or the source.
    """
    hooks: list[LossHook] = []
    if source is None:
        return hooks
    if strategy.anchor is not None:
        selectors = expand(strategy.anchor.parts, parts)
        selected = set(parts.select(selectors, key="strategy.anchor.parts"))
        reference = {name: value for name, value in copied.items() if name in selected}
        if isinstance(strategy.anchor, EWCConfig):
            fisher = policy_fisher(source, strategy.anchor.samples, seed)
            known = {name: value for name, value in fisher.items() if name in reference}
            hooks.append(_Anchored(core.EWC(reference, known, strength=strategy.anchor.strength)))
        else:
            hooks.append(_Anchored(core.L2SP(reference, strength=strategy.anchor.strength)))
    if strategy.kickstart is not None:
        check_teacher(strategy, algorithm, source, model)
        hooks.append(_Kickstart(strategy.kickstart, algorithm.name, source, seed))
    return hooks


class _Anchored:
    def __init__(self, anchor: core.Anchor) -> None:
        self._anchor = anchor

    def loss(self, model: BaseAlgorithm, parts: PartMap, progress: float) -> Tensor | None:
        return self._anchor.penalty(model.policy)


class _Kickstart:
    """Pulls the student's actions to the teacher's on states of the student's own buffer.

    Deviation from Schmitt et al. 2018: the states are a minibatch drawn from the buffer on a
    generator of its own, not the minibatch of the update itself; the weight follows a fixed
    schedule instead of population-based training.
    """

    def __init__(self, config: Kickstart, algorithm: str, teacher: Policy, seed: int) -> None:
        self._coefficient = core.AnnealedCoefficient(config.strength, config.until)
        self._algorithm, self._teacher = algorithm, teacher.module
        self._generator = np.random.default_rng(seed)

    def loss(self, model: BaseAlgorithm, parts: PartMap, progress: float) -> Tensor | None:
        weight = self._coefficient.at(progress)
        if weight == 0.0:
            return None
        observations = buffered_observations(model, BATCH, self._generator)
        with torch.no_grad():
            teacher = distribution(self._teacher, self._algorithm, observations)
        student = distribution(model.policy, self._algorithm, observations)
        return weight * divergence(teacher, student).mean()


def check_teacher(
    strategy: StrategyVerbs, algorithm: Algorithm, source: Policy, model: BaseAlgorithm
) -> None:
    """Refuse a teacher that cannot teach this student.

    Raises:
        TransferError: no action distribution, another algorithm, other actions or observations,
            or differently normalised observations.
    """
    key = "strategy.kickstart"
    if algorithm.name not in (*STOCHASTIC, *DETERMINISTIC):
        raise TransferError(
            f"kickstarting distils an action distribution; {algorithm.name} has none (its greedy policy is "
            f"an argmax over values). It works with {', '.join((*STOCHASTIC, *DETERMINISTIC))}",
            key=key,
        )
    if source.algorithm.name != algorithm.name:
        raise TransferError(
            f"the teacher is a {source.algorithm.name} policy and the student a {algorithm.name} policy; "
            "kickstarting compares distributions of one kind",
            key=key,
        )
    for what in ("observation_space", "action_space"):
        teacher, student = getattr(source.module, what), getattr(model.policy, what)
        if teacher.shape != student.shape or getattr(teacher, "n", None) != getattr(student, "n", None):
            raise TransferError(
                f"the teacher's {what.replace('_', ' ')} is {teacher}, the student's {student}; "
                "a teacher must see and do what its student sees and does",
                key=key,
            )
    normalized = algorithm.normalize is not None and algorithm.normalize.observation
    if normalized != (source.normalizer is not None):
        raise TransferError(
            f"the teacher sees {'normalised' if source.normalizer else 'raw'} observations and the student "
            f"{'normalised' if normalized else 'raw'} ones; let both use the same algorithm.normalize",
            key=key,
        )
    if normalized and strategy.normalization != "frozen":
        raise TransferError(
            "the student's observations are normalised by statistics that move, so the teacher would "
            "misread them; use normalization: frozen with kickstart",
            key=key,
        )


def distribution(policy: BasePolicy, algorithm: str, observations: Any) -> tuple[str, Tensor, Tensor | None]:
    """``("categorical", logits, None)``, ``("gaussian", mean, std)`` or ``("action", action, None)``.

    Gaussians are taken before any squashing.
    """
    module: Any = policy
    if algorithm in DETERMINISTIC:
        return "action", module.actor(observations), None
    if algorithm in ON_POLICY:
        found = module.get_distribution(observations)
        if isinstance(found, CategoricalDistribution):
            return "categorical", found.distribution.logits, None
        if isinstance(found, DiagGaussianDistribution):
            return "gaussian", found.distribution.mean, found.distribution.stddev
        raise TransferError(
            f"kickstarting and EWC know categorical and Gaussian policies, not {type(found).__name__}",
            key="strategy",
        )
    mean, log_std, _ = module.actor.get_action_dist_params(observations)
    return "gaussian", mean, log_std.exp()


def divergence(
    teacher: tuple[str, Tensor, Tensor | None], student: tuple[str, Tensor, Tensor | None]
) -> Tensor:
    """How far the student's action distribution is from the teacher's, per state."""
    kind, first, first_std = teacher
    _, second, second_std = student
    if kind == "categorical":
        return core.categorical_kl(first, second)
    if first_std is not None and second_std is not None:
        return core.gaussian_kl(first, first_std, second, second_std)
    return (first.detach() - second).square().sum(-1)


def buffered_observations(model: Any, count: int, generator: np.random.Generator) -> Any:
    """Observations drawn from the model's buffer, as its networks see them."""
    buffer: BaseBuffer = getattr(model, "rollout_buffer", None) or model.replay_buffer
    held = buffer.observations  # type: ignore[attr-defined]
    # An on-policy buffer that is being trained on is flat; a replay buffer is [position, env, ...].
    flat = getattr(buffer, "generator_ready", False)
    filled = buffer.buffer_size if buffer.full else buffer.pos
    total = filled * buffer.n_envs
    chosen = generator.integers(total, size=min(count, total))

    def pick(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        picked: np.ndarray[Any, Any] = (
            array[chosen] if flat else array[chosen // buffer.n_envs, chosen % buffer.n_envs]
        )
        return picked

    picked = {key: pick(value) for key, value in held.items()} if isinstance(held, dict) else pick(held)
    env = model.get_vec_normalize_env()
    if env is not None and not flat:
        picked = env.normalize_obs(picked)
    # An image space was transposed on the way in; obs_to_tensor leaves channels-first as it is.
    tensors, _ = model.policy.obs_to_tensor(picked)
    return tensors


def policy_fisher(source: Policy, samples: int, seed: int) -> dict[str, Tensor]:
    """Diagonal Fisher information of the source policy on states that it visits in its own environment.

    Actions are sampled from the policy itself, as the definition asks. The critic does not act, so
    its Fisher information is 0 and EWC leaves it free.

    Raises:
        TransferError: the policy has no likelihood (Q-learning, TD3, DDPG).
    """
    name = source.algorithm.name
    if name not in STOCHASTIC:
        raise TransferError(
            f"EWC needs a policy with a likelihood; {name} has none. It works with {', '.join(STOCHASTIC)}; "
            "L2-SP works with every algorithm",
            key="strategy.anchor",
        )
    with isolated(seed):
        observations = _visited(source, samples, seed)
        tensors, _ = source.module.obs_to_tensor(observations)

        def log_probabilities() -> Tensor:
            _, first, std = distribution(source.module, name, tensors)
            if std is None:
                chosen = torch.multinomial(torch.softmax(first.detach(), -1), 1)
                return torch.log_softmax(first, -1).gather(1, chosen)[:, 0]
            # log N(a | μ, σ) up to a constant, for an action drawn from the policy itself.
            action = (first + std * torch.randn_like(first)).detach()
            return -(((action - first) / std).square() / 2 + std.log()).sum(-1)

        parameters = {key: p for key, p in source.module.named_parameters() if p.requires_grad}
        return core.fisher_diagonal(log_probabilities, parameters)


def _visited(source: Policy, samples: int, seed: int) -> Any:
    """States that the source policy meets in its own environment, normalised as it sees them."""
    envs = [make_env(source.env) for _ in range(PLAYED_ENVS)]
    act = source.act(deterministic=False)
    current = [env.reset(seed=seed + index)[0] for index, env in enumerate(envs)]
    met: list[Any] = []
    while len(met) < samples:
        met += current
        actions = act(stack(current, envs[0].observation_space))
        for index, env in enumerate(envs):
            current[index], _, terminated, truncated, _ = env.step(actions[index])
            if terminated or truncated:
                current[index] = env.reset()[0]
    space = envs[0].observation_space
    for env in envs:
        env.close()
    stacked = stack(met[:samples], space)
    return source.normalizer(stacked) if source.normalizer else stacked
