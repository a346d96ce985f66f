"""Evaluation through the engine against SB3's policies and single environments."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.vec_env import DummyVecEnv

pytest.importorskip("numba", reason="the compiled engine needs the extra fast")

from rl_transfer.rl.compiled.players import act_of, players
from rl_transfer.rl.environments.build import make_env
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
    return wild(algorithm("MlpPolicy", env, policy_kwargs={"net_arch": [16]}, device="cpu").policy)


def wild(policy: Any, seed: int = 0) -> Any:
    """The policy with weights far from zero: actions differ, and some leave their bounds."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
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


EXTREME = {"id": "CartPole-v1", "perturb": [{"length": "x3"}]}


@pytest.mark.parametrize(
    ("config", "algorithm"),
    [
        (EXTREME, PPO),
        ({"id": "CartPole-v1", "perturb": [{"length": {"uniform": [0.3, 1.0]}}]}, DQN),
        ({"id": "Acrobot-v1", "perturb": [{"torque_noise": 0.5}, {"goal_height": "x0.1"}]}, PPO),
        ({"id": "MountainCar-v0"}, A2C),
        ({"id": "MountainCarContinuous-v0"}, PPO),
        ({"id": "Pendulum-v1", "perturb": [{"gravity": 3.0}]}, A2C),
    ],
)
@pytest.mark.parametrize("normalized", [False, True])
def test_episodes_in_one_go_are_those_that_are_played_step_by_step(
    config: dict[str, Any], algorithm: Any, normalized: bool
) -> None:
    env = Environment.model_validate(config)
    fast, plain = Evaluator(env, 4, players=players(env, 4)), Evaluator(env, 4, players=players(env, 4))
    normalize: Any = shifted if normalized else None
    played = []
    for start in (3, 40):  # environments are used again
        policy = wild(algorithm("MlpPolicy", make_env(env), device="cpu").policy, start)
        act = act_of(policy, normalize, deterministic=True)
        stepped: Any = partial(act)
        seeds = list(range(start, start + 4))
        ours, theirs = fast.run(act, seeds), plain.run(stepped, seeds)
        assert (ours.returns, ours.lengths) == (theirs.returns, theirs.lengths)
        assert fast.players.play(act, seeds) is not None
        assert plain.players.play(stepped, seeds) is None
        played += ours.lengths
        assert fast.players.play(act, seeds[:2]) is None  # other rows would round otherwise
    assert len({*played}) > 1 or config["id"] not in ("CartPole-v1", "Acrobot-v1")


def test_an_evaluation_in_one_go_leaves_what_is_not_finite_to_the_one_that_names_it() -> None:
    env = Environment.model_validate({"id": "Pendulum-v1"})
    policy = PPO("MlpPolicy", make_env(env), device="cpu").policy
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.fill_(float("nan"))
    found = players(env, 2)
    assert found.play(act_of(policy, None, deterministic=True), [0, 1]) is None
    found.close()
