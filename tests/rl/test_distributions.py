"""What losses take for a policy's action distribution, against Stable-Baselines3's own likelihoods."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import StateDependentNoiseDistribution, TanhBijector
from torch import Tensor

from rl_transfer.errors import TransferError
from rl_transfer.results import RunFolder
from rl_transfer.rl.policies.bundle import load_policy
from rl_transfer.rl.strategy.anchors import policy_fisher
from rl_transfer.rl.strategy.distributions import Gaussian, check_distribution, distribution, divergence
from support.algorithms import ALGORITHMS, HEAVY, PENDULUM, run_of, target_of
from support.foreign import BOX, CONTINUOUS, sb3_model
from support.rl import played

SQUASHED = ("SAC", "TQC")
CASES = [(name, sde) for name in ("PPO", "A2C", *SQUASHED) for sde in (True, False)]
NAMES = [f"{name}-{'gSDE' if sde else 'plain'}" for name, sde in CASES]
STATES = 300


def policy_of(name: str, sde: bool) -> Any:
    # Wide enough that an array [feature, action] cannot pass for one of [state, action] by its shape alone.
    policy = sb3_model(name, BOX, CONTINUOUS, use_sde=sde, policy_kwargs={"net_arch": [STATES]}).policy
    with torch.no_grad():  # keep the Gaussians away from the ends of tanh, where its inverse is clipped
        for key, tensor in policy.named_parameters():
            tensor.mul_(0.1)
            if sde and key.endswith("log_std"):
                tensor.sub_(3.0)
    return policy


def states() -> Tensor:
    return torch.randn(STATES, 5, generator=torch.Generator().manual_seed(0))


def own(policy: Any, observations: Tensor) -> Any:
    """Stable-Baselines3's distribution object."""
    if hasattr(policy, "get_distribution"):
        return policy.get_distribution(observations)
    mean, log_std, more = policy.actor.get_action_dist_params(observations)
    return policy.actor.action_dist.proba_distribution(mean, log_std, **more)


def unsquashed_log_prob(name: str, policy: Any, action: Tensor, observations: Tensor) -> Tensor:
    """Stable-Baselines3's log-likelihood with the Jacobian of tanh, which no parameter changes, taken out."""
    found = own(policy, observations)
    if name not in SQUASHED:
        return found.log_prob(action)  # type: ignore[no-any-return]
    squashed = torch.tanh(action)
    if isinstance(found, StateDependentNoiseDistribution):
        jacobian = TanhBijector(found.epsilon).log_prob_correction(action).sum(-1)
    else:
        jacobian = torch.log(1 - squashed**2 + found.epsilon).sum(-1)
    return found.log_prob(squashed) + jacobian  # type: ignore[no-any-return]


def drawn(gaussian: Gaussian) -> Tensor:
    noise = torch.randn(gaussian.mean.shape, generator=torch.Generator().manual_seed(1))
    return (gaussian.mean + gaussian.std * noise).detach()


@pytest.mark.parametrize(("name", "sde"), CASES, ids=NAMES)
def test_mean_and_deviation_are_those_of_the_librarys_likelihood(name: str, sde: bool) -> None:
    policy, observations = policy_of(name, sde), states()
    found = distribution(policy, name, observations)
    assert isinstance(found, Gaussian)
    assert found.mean.shape == found.std.shape == (STATES, 2)
    action = drawn(found)
    mine = torch.distributions.Normal(found.mean, found.std).log_prob(action).sum(-1)
    torch.testing.assert_close(
        mine, unsquashed_log_prob(name, policy, action, observations), atol=1e-3, rtol=1e-3
    )
    if name not in SQUASHED:  # a squashed Gaussian has no entropy in closed form
        entropy = torch.distributions.Normal(found.mean, found.std).entropy().sum(-1)
        torch.testing.assert_close(entropy, own(policy, observations).entropy())


@pytest.mark.parametrize(("name", "sde"), CASES, ids=NAMES)
def test_the_likelihoods_gradient_is_the_librarys(name: str, sde: bool) -> None:
    policy, observations = policy_of(name, sde), states()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        mine = distribution(policy, name, observations).log_likelihood()  # type: ignore[union-attr]
        torch.manual_seed(3)
        found = distribution(policy, name, observations)
        assert isinstance(found, Gaussian)
        action = (found.mean + found.std * torch.randn_like(found.mean)).detach()
    theirs = unsquashed_log_prob(name, policy, action, observations)
    parameters = {key: each for key, each in policy.named_parameters() if each.requires_grad}
    gradients = [
        torch.autograd.grad(value.sum(), list(parameters.values()), allow_unused=True)
        for value in (mine, theirs)
    ]
    moved = 0
    for key, one, other in zip(parameters, *gradients, strict=True):
        assert (one is None) == (other is None), key
        if one is not None:
            torch.testing.assert_close(one, other, atol=1e-2, rtol=1e-3)
            moved += bool(one.abs().max() > 0)
    assert moved >= 4, "head and trunk"


@pytest.mark.parametrize(("name", "sde"), CASES, ids=NAMES)
def test_the_divergence_is_the_mean_log_ratio_of_the_librarys_likelihoods(name: str, sde: bool) -> None:
    """KL(p ‖ q) = E_p[log p(a) − log q(a)], whatever bijection both go through."""
    teacher, student = policy_of(name, sde), policy_of(name, sde)
    with torch.no_grad():
        for key, tensor in student.named_parameters():
            tensor.mul_(0.7)
            if "log_std" in key:
                tensor.sub_(0.3)
        state = states()[:1]
        exact = divergence(distribution(teacher, name, state), distribution(student, name, state))
        many = state.expand(20_000, -1)
        found = distribution(teacher, name, many)
        assert isinstance(found, Gaussian)
        action = drawn(found)
        ratio = unsquashed_log_prob(name, teacher, action, many) - unsquashed_log_prob(
            name, student, action, many
        )
    assert exact > 0.01
    error = float(ratio.std() / len(ratio) ** 0.5)
    assert abs(float(ratio.mean()) - float(exact)) < 4 * error + 1e-3


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    """Trained gSDE policies in Pendulum."""
    folder, names = tmp_path_factory.mktemp("gsde"), ("PPO", "A2C", *SQUASHED)
    return {name: played(folder, **run_of(name, env=PENDULUM, algorithm=gsde(name))) for name in names}


def gsde(name: str) -> dict[str, Any]:
    return {"name": name, **ALGORITHMS[name], "use_sde": True}


@pytest.mark.parametrize("name", ["PPO", "A2C", *SQUASHED])
@pytest.mark.parametrize("strategy", ["kickstart", "ewc"])
def test_agents_with_state_dependent_exploration_can_teach_and_be_held(
    name: str, strategy: str, sources: dict[str, RunFolder], tmp_path: Path
) -> None:
    """A strong pull keeps the learner nearer to its source than none."""
    pull: dict[str, Any] = {"kickstart": {"strength": 100.0, "until": 1.0}}
    if strategy == "ewc":
        pull = {"anchor": {"kind": "ewc", "strength": 1e7, "parts": ("all",), "samples": 16}}
    copied = {"copy": ("all",)} if strategy == "ewc" else {}
    source = load_policy(sources[name].bundle)
    distances = []
    for verbs in ({**copied, **pull}, copied):
        brief = {"training": {"total_steps": 192}, "evaluation": {"every": 192, "episodes": 1}}
        fields = target_of(name, env=HEAVY, algorithm=gsde(name), strategy=verbs, **brief)
        folder = played(tmp_path, sources[name], **fields)
        learnt = load_policy(folder.bundle)
        angle, speed = torch.linspace(-3, 3, 60), torch.linspace(-4, 4, 7).repeat(9)[:60]
        seen = torch.stack([angle.cos(), angle.sin(), speed], -1)
        with torch.no_grad():
            gap = divergence(
                distribution(source.module, name, seen), distribution(learnt.module, name, seen)
            ).mean()
        distances.append(float(gap))
    assert distances[0] < distances[1]


@pytest.mark.parametrize("name", ["PPO", "SAC"])
def test_the_fisher_information_is_measured_where_the_policys_own_noise_leads(
    name: str, sources: dict[str, RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stable-Baselines3 goes on with the exploration weights that it drew for the untrained network."""
    source = load_policy(sources[name].bundle)
    see, seen = source.module.obs_to_tensor, []

    def watched(observation: Any) -> Any:
        seen.append(np.array(observation))
        return see(observation)

    monkeypatch.setattr(source.module, "obs_to_tensor", watched)
    policy_fisher(source, 32, seed=0)
    loud = seen[-1]
    with torch.no_grad():
        dict(source.module.named_parameters())["actor.log_std" if name == "SAC" else "log_std"].sub_(20)
    policy_fisher(source, 32, seed=0)
    assert loud.shape == seen[-1].shape == (32, 3)
    assert not np.array_equal(loud, seen[-1])


@pytest.mark.parametrize(
    ("actions", "kind"),
    [(spaces.MultiDiscrete([2, 3]), "MultiCategorical"), (spaces.MultiBinary(2), "Bernoulli")],
)
def test_several_choices_at_once_are_refused_before_training(actions: Any, kind: str) -> None:
    with pytest.raises(TransferError, match=rf"Discrete and Box actions .*not {kind}") as caught:
        check_distribution(sb3_model("PPO", BOX, actions).policy, "strategy.kickstart")
    assert caught.value.key == "strategy.kickstart"
    for name, sde in CASES:
        check_distribution(policy_of(name, sde), "strategy.kickstart")
