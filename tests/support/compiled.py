"""Models of SB3 twice, once with the compiled engine under them, and what makes them comparable."""

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from rl_transfer.core import EWC, L2SP, Anchor
from rl_transfer.engine import generators
from rl_transfer.rl import compiled, sb3_seams
from rl_transfer.rl.policies.parts import policy_parts
from rl_transfer.rl.strategy.anchors import AnchorLoss
from rl_transfer.rl.strategy.hooks import install_losses

KEY = 11


class Walk(gym.Env):
    """Seeded noise around the actions: any spaces, episodes of eleven steps, cut off or ended."""

    def __init__(self, observation_space, action_space, cut=False):
        self.observation_space, self.action_space, self._cut = observation_space, action_space, cut

    def _look(self):
        if isinstance(self.observation_space, spaces.Discrete):
            return int(self.np_random.integers(self.observation_space.n))
        return np.asarray(
            self.np_random.normal(size=self.observation_space.shape), self.observation_space.dtype
        )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._look(), {}

    def step(self, action):
        self._steps += 1
        over = self._steps % 11 == 0
        reward = float(np.sum(action)) + float(self.np_random.normal())
        return self._look(), reward, over and not self._cut, over and self._cut, {}


VECTOR = spaces.Box(-np.inf, np.inf, (3,), np.float32)
GRID = spaces.Box(-np.inf, np.inf, (2, 2), np.float64)
BOX = spaces.Box(np.array([-1, -0.5], np.float32), np.array([1, 2], np.float32))
SPACES = {
    "discrete": (VECTOR, spaces.Discrete(3)),
    "box": (VECTOR, BOX),
    "multi": (VECTOR, spaces.MultiDiscrete([2, 3])),
    "one-hot": (spaces.Discrete(5), spaces.Discrete(2)),
    "grid": (GRID, spaces.Discrete(2)),
}


def environments(kind, n=2, cut=False, normalized=False):
    venv = DummyVecEnv([lambda: Monitor(Walk(*SPACES[kind], cut=cut)) for _ in range(n)])
    return VecNormalize(venv, clip_obs=2.0, clip_reward=1.5) if normalized else venv


def on_policy(algorithm, env, seed=0, **more):
    settings = {"n_steps": 16, "seed": seed, "device": "cpu", "gae_lambda": 0.9, **more}
    if algorithm is PPO:
        settings = {"batch_size": 8, "n_epochs": 1, "ent_coef": 0.02, **settings}
    return algorithm("MlpPolicy", env, **settings)


def twins(algorithm, kind, n=2, cut=False, normalized=False, prepare=None, **more):
    """The same model twice, and beside the second the engine under it."""
    pair = [on_policy(algorithm, environments(kind, n, cut, normalized), **more) for _ in range(2)]
    for model in pair:
        if prepare is not None:
            prepare(model)
        model._setup_learn(10_000)
    compiled.install(pair[1], KEY)
    return pair


def engine_of(model):
    return model.train.__self__


def begun(model):
    """The callback that ``learn`` would make."""
    return model._init_callback(None)


def rollout(model):
    model.collect_rollouts(model.env, begun(model), model.rollout_buffer, model.n_steps)


def copy_rollout(plain, fast):
    """Give the engine the rollout that SB3 made; both are ``[step, environment]``."""
    buffer, engine = plain.rollout_buffer, engine_of(fast)
    engine._net.bind()
    observations = buffer.observations
    if isinstance(plain.observation_space, spaces.Discrete):
        observations = np.eye(plain.observation_space.n)[observations[..., 0].astype(int)]
    engine._observations[:] = observations.reshape(engine._observations.shape)
    engine._actions[:] = buffer.actions.reshape(engine._actions.shape)
    for name, theirs in (
        ("values", "values"),
        ("log_probabilities", "log_probs"),
        ("advantages", "advantages"),
        ("returns", "returns"),
    ):
        engine._numbers[name][:] = getattr(buffer, theirs)


def same_order(monkeypatch, fast):
    """SB3's permutations become the engine's; SB3 numbers transitions by environment, then by step."""
    count, steps = fast.n_envs, fast.n_steps
    place = [sb3_seams.updates(fast)]

    def permutation(length):
        order = np.zeros(length, np.int64)
        generators.shuffle(order, KEY, generators.ORDER, place[0])
        place[0] += 1
        return order % count * steps + order // count

    monkeypatch.setattr(np.random, "permutation", permutation)


def agree(plain, fast, bound):
    """Per tensor ‖Δ‖₂ ≤ bound · ‖θ‖₂."""
    theirs, mine = plain.policy.state_dict(), fast.policy.state_dict()
    worst = {
        name: (torch.linalg.norm(mine[name] - value) / max(torch.linalg.norm(value), 1e-3)).item()
        for name, value in theirs.items()
    }
    assert max(worst.values()) <= bound, worst


def freeze(*prefixes):
    def apply(model):
        for name, parameter in model.policy.named_parameters():
            parameter.requires_grad_(not name.startswith(prefixes))

    return apply


def held(model):
    """L2-SP on the action head, EWC with a random Fisher information on the rest."""
    generator = torch.Generator().manual_seed(0)
    own = {n: p for n, p in model.policy.named_parameters() if "target" not in n}
    head = {
        n: torch.randn(p.shape, generator=generator)
        for n, p in own.items()
        if "action_net" in n or ".4." in n
    }
    rest = {n: torch.randn(p.shape, generator=generator) for n, p in own.items() if n not in head}
    fisher = {n: torch.rand(value.shape, generator=generator) for n, value in rest.items()}
    anchors: list[Anchor] = [L2SP(head, strength=0.3), EWC(rest, fisher, strength=2.0)]
    install_losses(
        model, policy_parts(type(model).__name__, model.policy), [AnchorLoss(each) for each in anchors]
    )
    return anchors


def dqn(kind, normalized=False, **more):
    settings = {
        "buffer_size": 80, "learning_starts": 0, "train_freq": 4, "gradient_steps": 5, "batch_size": 16,
        "seed": 0, "device": "cpu", "learning_rate": 1e-3, "target_update_interval": 20, "tau": 0.5,
        "max_grad_norm": 1.0, **more,
    }  # fmt: skip
    return DQN("MlpPolicy", environments(kind, normalized=normalized, cut=True), **settings)


def learned(steps=64, **more):
    model = on_policy(PPO, environments("box"), **more)
    compiled.install(model, KEY)
    return model.learn(steps)


def weights(model):
    return {name: value.clone() for name, value in model.policy.state_dict().items()}
