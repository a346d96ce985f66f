"""The environments as the engine steps them, beside the same environments under SB3: equal to the bit."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import A2C, DQN
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor, VecNormalize

pytest.importorskip("numba", reason="the compiled engine needs the extra fast")

import rl_transfer_envs
from rl_transfer.errors import EnvironmentSpecError
from rl_transfer.frame.restore import restore
from rl_transfer.frame.state import MISSING, capture
from rl_transfer.rl.compiled.worlds import Worlds, worlds_of
from rl_transfer.rl.compiled.worlds_batched import BatchStepper
from rl_transfer.rl.compiled.worlds_stepped import AnyVecEnv, Stepped
from rl_transfer.rl.environments.batch import BatchedVecEnv
from rl_transfer.rl.environments.state import KINDS, SPECIALS
from support.untyped import untyped

ANGLES = np.random.default_rng(0).uniform(-7, 7, 20_000)
SAME_COSINE = bool((np.cos(ANGLES) == [math.cos(x) for x in ANGLES]).all())
"""On some processors NumPy has a cosine of its own, which compiled physics has not."""

Make = Callable[[], VecEnv]


class Grid(gym.Env[Any, Any]):
    """Whole numbers seen, several chosen at once; it succeeds now and then."""

    observation_space: Any = spaces.MultiDiscrete([3, 4])
    action_space: Any = spaces.MultiDiscrete([2, 3])

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self._seen(), {"why": "reset"}

    def _seen(self) -> Any:
        return self.np_random.integers([3, 4])

    def step(self, action: Any) -> Any:
        assert action.shape == (2,)
        over = bool(self.np_random.random() < 0.1)
        return self._seen(), float(action.sum()), over, False, {"is_success": over and bool(action[0])}


def monitored(spec: Any) -> Monitor[Any, Any]:
    return Monitor(rl_transfer_envs.make(spec))


def dummy(*specs: Any) -> VecEnv:
    return DummyVecEnv([partial(monitored, spec) for spec in specs])


def named(env_id: str, *perturb: dict[str, Any]) -> dict[str, Any]:
    return {"id": env_id, "perturb": list(perturb)}


def normalized(make: Make, **options: Any) -> VecEnv:
    return VecNormalize(make(), gamma=0.9, **options)


def others() -> VecEnv:
    return VecMonitor(DummyVecEnv([partial(rl_transfer_envs.make, PHYSICS)] * 2))


def grids() -> VecEnv:
    return DummyVecEnv([lambda: Monitor(gym.wrappers.TimeLimit(Grid(), 12))] * 3)


PHYSICS = named("CartPole-v1", {"length": {"uniform": [0.3, 1.5]}}, {"time_limit": {"choice": [15, 40]}})
LAYERS = named(
    "CartPole-v1",
    {"observation_noise": 0.1},
    {"observation_delay": 2},
    {"reward_scale": 0.3},
    {"time_limit": 30},
)
PENDULUM = named("Pendulum-v1", {"mass": 1.3}, {"time_limit": 25})
CARS = [named("MountainCarContinuous-v0", {"time_limit": limit}) for limit in (30, 70)]
ACROBOT = named("Acrobot-v1", {"torque_noise": 0.3}, {"time_limit": 60})

WORLDS: dict[str, tuple[Make, type]] = {
    "one CartPole": (partial(dummy, named("CartPole-v1")), BatchStepper),
    "drawn physics": (partial(dummy, PHYSICS, PHYSICS, PHYSICS), BatchStepper),
    "a batch, perturbed": (partial(BatchedVecEnv, [LAYERS] * 3), BatchStepper),
    "a batch, plain": (partial(BatchedVecEnv, [PHYSICS] * 3), BatchStepper),
    "in turn, perturbed": (partial(dummy, LAYERS, LAYERS), Stepped),
    "Pendulum": (partial(dummy, PENDULUM, PENDULUM), BatchStepper),
    "normalised": (partial(normalized, partial(dummy, *[PENDULUM] * 9)), BatchStepper),
    "normalised, one": (partial(normalized, partial(dummy, PHYSICS), clip_obs=1.0), BatchStepper),
    "rewards alone": (partial(normalized, partial(dummy, PENDULUM, PENDULUM), norm_obs=False), BatchStepper),
    "statistics held": (partial(normalized, partial(dummy, PENDULUM), training=False), BatchStepper),
    "normalised in turn": (partial(normalized, partial(dummy, LAYERS, LAYERS)), Stepped),
    "MountainCarContinuous": (partial(dummy, *CARS), BatchStepper),
    "MountainCar": (partial(dummy, named("MountainCar-v0", {"time_limit": 50})), BatchStepper),
    "Acrobot": (partial(dummy, ACROBOT, ACROBOT), BatchStepper),
    "whole numbers, one": (partial(dummy, named("FrozenLake-v1"), named("FrozenLake-v1")), Stepped),
    "whole numbers": (grids, Stepped),
    "any vector environment": (others, AnyVecEnv),
    "normalised, any": (partial(normalized, others), AnyVecEnv),
}


def learner(env: VecEnv, kind: Any = A2C) -> Any:
    """A model that has just begun to learn."""
    model = kind("MlpPolicy", env, device="cpu", seed=3)
    untyped(model)._setup_learn(10_000)
    return model


def flat(env: VecEnv, observations: Any) -> Any:
    """Observations as an MLP sees them."""
    space: Any = env.observation_space
    if isinstance(space, spaces.Discrete):
        return np.eye(int(space.n), dtype=np.float32)[observations]
    if isinstance(space, spaces.MultiDiscrete):
        columns = zip(space.nvec, observations.T, strict=True)
        return np.concatenate([np.eye(n, dtype=np.float32)[each] for n, each in columns], axis=1)
    return observations.reshape(len(observations), -1)


def same(ours: Any, theirs: Any) -> bool:
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    return bool(ours.dtype == theirs.dtype and np.array_equal(ours, theirs))


def episodes(model: Any) -> list[tuple[float, int]]:
    return [(info["r"], info["l"]) for info in model.ep_info_buffer]


def statistics(env: VecEnv) -> list[Any]:
    if not isinstance(env, VecNormalize):
        return []
    found = [env.returns, env.ret_rms.mean, env.ret_rms.var, env.ret_rms.count, env.old_obs, env.old_reward]
    rms: Any = getattr(env, "obs_rms", None)
    return found if rms is None else [*found, rms.mean, rms.var, rms.count]


def lists(env: VecEnv) -> list[Any]:
    names = ("rewards", "episode_returns", "episode_lengths", "total_steps", "needs_reset")
    return [env.get_attr(name) for name in names] if env.has_attr("episode_returns") else []


@pytest.mark.parametrize("name", WORLDS)
def test_a_rollout_is_sb3s_own(name: str) -> None:
    make, kind = WORLDS[name]
    if kind is BatchStepper and not SAME_COSINE:
        pytest.skip("NumPy's cosine is not the C library's on this processor")
    ours, theirs = learner(make()), learner(make())
    worlds = worlds_of(ours)
    assert type(worlds._bare) is kind
    assert compare(worlds, ours, theirs, rollouts=12, steps=60) > 5


def compare(worlds: Worlds, ours: Any, theirs: Any, rollouts: int, steps: int) -> int:
    """Drive both with the same actions; returns how many episodes ended."""
    env, ended = theirs.get_env(), 0
    env.action_space.seed(4)
    for _ in range(rollouts):
        worlds.begin()
        assert same(worlds.observations, flat(env, theirs._last_obs))
        for _ in range(steps):
            actions = np.array([env.action_space.sample() for _ in range(env.num_envs)])
            observations, rewards, dones, infos = env.step(actions)
            worlds.step(actions)
            late = [
                bool(done and info["TimeLimit.truncated"]) for done, info in zip(dones, infos, strict=True)
            ]
            assert same(worlds.observations, flat(env, observations))
            assert same(worlds.rewards, rewards)
            assert same(worlds.dones, dones)
            assert worlds.truncated.tolist() == late
            assert worlds.any_truncated == any(late)
            assert worlds.ended == np.flatnonzero(dones).tolist()
            for row in worlds.ended:
                last = np.asarray(infos[row]["terminal_observation"])[None]
                assert same(worlds.terminal_observations[row], flat(env, last)[0])
            theirs._update_info_buffer(infos, dones)
            theirs._last_obs, theirs._last_episode_starts = observations, dones
            ended += int(dones.sum())
        worlds.finish()
        mine = ours.get_env()
        assert same(ours._last_obs, theirs._last_obs)
        assert same(ours._last_episode_starts, theirs._last_episode_starts)
        assert episodes(ours) == episodes(theirs)
        assert ours.ep_success_buffer == theirs.ep_success_buffer
        assert lists(mine) == lists(env)
        assert all(np.array_equal(*pair) for pair in zip(statistics(mine), statistics(env), strict=True))
        for one, other in zip(mine.reset_infos, env.reset_infos, strict=True):
            assert one.keys() == other.keys()
    return ended


def test_sb3_goes_on_where_the_engine_stopped() -> None:
    """After ``finish`` the vector environment itself steps on, and the engine after that, as if alone."""
    for make, _ in WORLDS.values():
        ours, theirs = learner(make()), learner(make())
        worlds, mine, other = worlds_of(ours), ours.get_env(), theirs.get_env()
        mine.action_space.seed(1)
        for turn in range(6):
            worlds.begin()
            for step in range(25):
                actions = np.array([mine.action_space.sample() for _ in range(mine.num_envs)])
                seen = other.step(actions)
                if turn % 2:
                    result = mine.step(actions)
                    ours._last_obs = result[0]
                    if SAME_COSINE:
                        assert all(same(*pair) for pair in zip(result[:3], seen[:3], strict=True)), step
                else:
                    worlds.step(actions)
            if not turn % 2:
                worlds.finish()


@pytest.mark.skipif(not SAME_COSINE, reason="NumPy's cosine is not the C library's on this processor")
def test_what_a_replay_buffer_gets_is_what_sb3_stores() -> None:
    """Unnormalised; at an episode's end the last observation, normalised, clipped and back."""
    make = partial(normalized, partial(dummy, PHYSICS), clip_obs=0.5)
    ours, theirs = learner(make(), DQN), learner(make(), DQN)
    worlds, env = worlds_of(ours), theirs.get_env()
    worlds.begin()
    env.action_space.seed(2)
    ended = 0
    for step in range(200):
        before = worlds.originals.copy()
        actions = np.array([env.action_space.sample()])
        observations, rewards, dones, infos = env.step(actions)
        theirs._store_transition(theirs.replay_buffer, actions, observations, rewards, dones, infos)
        worlds.step(actions)
        stored = theirs.replay_buffer
        assert same(before, stored.observations[step])
        assert same(worlds.next_originals, stored.next_observations[step])
        assert same(worlds.original_rewards, stored.rewards[step])
        ended += int(dones.sum())
    worlds.finish()
    assert same(ours._last_original_obs, theirs._last_original_obs)
    assert ended > 3


class Broken(gym.Env[Any, Any]):
    """Gives a number that is none at its third step: as observation, as reward, or at its end."""

    observation_space: Any = spaces.Box(-1, 1, (2,))
    action_space: Any = spaces.Discrete(2)

    def __init__(self, where: str) -> None:
        self._where = where

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self._step = 0
        return np.zeros(2, dtype=np.float32), {}

    def step(self, action: Any) -> Any:
        self._step += 1
        bad = self._step == 3
        seen = np.array([0, np.nan if bad and self._where != "reward" else 0], dtype=np.float32)
        reward = np.inf if bad and self._where == "reward" else 0.0
        return seen, reward, bad and self._where == "terminated", bad and self._where == "truncated", {}


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("observation", "environment broken gave nan as observation, entry 1, at training step 3;"),
        ("reward", "environment broken gave inf as its reward at training step 3;"),
        ("truncated", "environment broken gave nan as observation, entry 1, at training step 3;"),
        ("terminated", None),
    ],
)
def test_numbers_that_are_none_are_named(where: str, message: str | None) -> None:
    """The last observation before a termination does not matter: nothing is computed from it."""
    model = learner(DummyVecEnv([lambda: Monitor(Broken(where))]))
    worlds = worlds_of(model, "broken")
    worlds.begin()
    for _ in range(2):
        worlds.step(np.array([0]))
    if message is None:
        worlds.step(np.array([0]))
        return
    with pytest.raises(EnvironmentSpecError, match=message):
        worlds.step(np.array([0]))


def test_a_batch_that_breaks_is_named() -> None:
    model = learner(dummy(named("Pendulum-v1")))
    worlds = worlds_of(model)
    worlds.begin()
    with pytest.raises(EnvironmentSpecError, match="environment Pendulum-v1 gave nan as its reward"):
        worlds.step(np.full((1, 1), np.nan, dtype=np.float32))


def test_observations_that_are_no_vectors_are_refused() -> None:
    class Picture(Grid):
        observation_space: Any = spaces.Box(0, 255, (36, 36, 3), dtype=np.uint8)

        def _seen(self) -> Any:
            return np.zeros((36, 36, 3), dtype=np.uint8)

    model = A2C("CnnPolicy", DummyVecEnv([lambda: Monitor(Picture())]), device="cpu")
    with pytest.raises(EnvironmentSpecError, match=r"the observations are images; .* use engine: sb3"):
        worlds_of(model)


@pytest.mark.parametrize("name", [name for name in WORLDS if WORLDS[name][1] is not AnyVecEnv])
def test_a_checkpoint_between_rollouts_holds_everything(name: str) -> None:
    """Written into copies that were only reset: after it both step to the same numbers."""
    make, _ = WORLDS[name]
    played, restored = learner(make()), learner(make())
    worlds, again = worlds_of(played), worlds_of(restored)
    space = played.action_space
    space.seed(6)

    def actions() -> Any:
        return np.array([space.sample() for _ in range(worlds.n_envs)])

    again.begin()
    again.step(actions())
    again.finish()
    worlds.begin()
    for _ in range(70):
        worlds.step(actions())
    worlds.finish()
    held = ("_last_obs", "_last_episode_starts")
    env = played.get_env()
    left_out = [env.class_attributes] if isinstance(env, VecNormalize) else []
    root = [env, [getattr(played, each) for each in held]]
    state = capture(root, fixed=left_out, kinds=KINDS, specials=SPECIALS)
    _, seen = untyped(restore(state, [restored.get_env(), [MISSING, MISSING]], specials=SPECIALS))
    for attribute, value in zip(held, seen, strict=True):
        setattr(restored, attribute, value)
    for _ in range(3):
        for each in (worlds, again):
            each.begin()
        for _ in range(30):
            chosen = actions()
            worlds.step(chosen)
            again.step(chosen)
            assert same(worlds.observations, again.observations)
            assert same(worlds.rewards, again.rewards)
            assert same(worlds.dones, again.dones)
        for each in (worlds, again):
            each.finish()
