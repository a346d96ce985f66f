"""Evaluation through the engine against SB3's policies and single environments."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.vec_env import DummyVecEnv

pytest.importorskip("numba", reason="the compiled engine needs the extra fast")

from rl_transfer.rl.compiled.players import act_of, players
from rl_transfer.rl.environments.evaluate import Evaluator
from rl_transfer.rl.policies.bundle import as_act
from rl_transfer.spec import Environment
from support.compiled import SPACES, Walk

POLICIES: dict[str, tuple[Any, str]] = {
    "PPO, discrete": (PPO, "discrete"),
    "PPO, bounded": (PPO, "box"),
    "A2C, several choices": (A2C, "multi"),
    "PPO, one-hot": (PPO, "one-hot"),
    "DQN": (DQN, "discrete"),
    "DQN, grid of doubles": (DQN, "grid"),
}


def shifted(observations: Any) -> Any:
    """Stands for a normaliser: other observations, and so other actions."""
    if observations.dtype.kind == "i":
        return (observations + 2) % 5
    return (3.0 * observations - 4.0).astype(observations.dtype)


def policy_of(algorithm: Any, kind: str) -> Any:
    env = DummyVecEnv([lambda: Walk(*SPACES[kind])])
    policy = algorithm("MlpPolicy", env, policy_kwargs={"net_arch": [16]}, device="cpu").policy
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # far from zero, so that actions differ and some leave their bounds
        for parameter in policy.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return policy


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("name", POLICIES)
def test_actions_are_those_of_sb3(name: str, normalized: bool) -> None:
    algorithm, kind = POLICIES[name]
    space = SPACES[kind][0]
    policy = policy_of(algorithm, kind)
    space.seed(1)
    observations = np.stack([np.asarray(space.sample()) for _ in range(200)])
    normalize: Any = shifted if normalized else None
    theirs: Any = as_act(policy, normalize, deterministic=True)(observations)
    ours: Any = act_of(policy, normalize, deterministic=True)(observations)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert len(np.unique(theirs, axis=0)) > 1
    if normalized:
        plain: Any = act_of(policy, None, deterministic=True)(observations)
        assert not np.allclose(ours, plain)
    if isinstance(policy.action_space, spaces.Box):
        low, high = policy.action_space.low, policy.action_space.high
        assert ((ours >= low) & (ours <= high)).all()
        assert ((ours == low) | (ours == high)).any()


def swing(observations: Any) -> Any:
    """Pushes that depend on what is seen, of Pendulum."""
    return np.sign(observations[:, 2:3]).astype(np.float32) * 1.5


def lean(observations: Any) -> Any:
    """Follows the pole of CartPole."""
    return (observations[:, 2] + 0.1 * observations[:, 3] > 0).astype(np.int64)


@pytest.mark.parametrize("episodes", [1, 4])
@pytest.mark.parametrize(
    ("config", "act"),
    [
        ({"id": "CartPole-v1", "perturb": [{"observation_noise": 0.1}, {"sticky_actions": 0.3}]}, lean),
        ({"id": "CartPole-v1", "perturb": [{"length": {"uniform": [0.3, 1.0]}}]}, lean),
        ({"id": "Pendulum-v1", "perturb": [{"gravity": 3.0}]}, swing),
    ],
)
def test_episodes_are_those_of_single_environments(config: dict[str, Any], act: Any, episodes: int) -> None:
    """Fewer episodes than there are environments too."""
    env = Environment.model_validate(config)
    fast, plain = Evaluator(env, 4, players=players(env, 4)), Evaluator(env, 4)
    assert type(fast.players) is not type(plain.players)
    for seed in (3, 40):  # environments are used again
        ours, theirs = (each.run(act, list(range(seed, seed + episodes))) for each in (fast, plain))
        assert ours.lengths == theirs.lengths
        np.testing.assert_allclose(ours.returns, theirs.returns, rtol=1e-4)
    fast.close()
    plain.close()
