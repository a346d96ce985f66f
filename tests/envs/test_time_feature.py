"""``time_feature`` against sb3-contrib's ``TimeFeatureWrapper``, number by number."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from sb3_contrib.common.wrappers import TimeFeatureWrapper

import rl_transfer_envs
from support.stub import Stub
from support.untyped import untyped


class Goal(Stub):
    """A dict observation, as environments with goals have it, and no time limit."""

    observation_space = spaces.Dict(
        observation=spaces.Box(-1, 1, (2,), np.float64), goal=spaces.Box(-1, 1, (1,), np.float64)
    )

    def look(self) -> dict[str, Any]:
        return {"observation": self.np_random.uniform(-1, 1, 2), "goal": np.zeros(1)}


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gym.registry, "Goal-v0", gym.envs.registration.EnvSpec("Goal-v0", untyped(Goal)))


def same(first: Any, second: Any) -> None:
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            same(first[key], second[key])
    else:
        assert first.dtype == second.dtype
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("name", "arguments", "options"),
    [
        ("Pendulum-v1", "remaining", {}),
        ("Pendulum-v1", "constant", {"test_mode": True}),
        ("Pendulum-v1", {"feature": "remaining", "max_steps": 7}, {"max_steps": 7}),
        ("Goal-v0", "remaining", {}),
        ("Goal-v0", {"feature": "remaining", "max_steps": 50}, {"max_steps": 50}),
        ("Goal-v0", "constant", {"test_mode": True}),
    ],
)
def test_it_shows_what_sb3_contribs_wrapper_shows(name: str, arguments: Any, options: Any) -> None:
    ours = rl_transfer_envs.make({"id": name, "perturb": [{"time_feature": arguments}]})
    theirs: Any = TimeFeatureWrapper(gym.make(name, disable_env_checker=True), **options)
    assert ours.observation_space == theirs.observation_space
    for episode in range(2):
        same(ours.reset(seed=episode)[0], theirs.reset(seed=episode)[0])
        ours.action_space.seed(episode)
        for _ in range(40):
            action = ours.action_space.sample()
            mine, other = ours.step(action), theirs.step(action)
            same(mine[0], other[0])
            assert mine[0] in ours.observation_space


def test_beyond_the_registered_limit_nothing_is_left() -> None:
    env = rl_transfer_envs.make(
        {"id": "Pendulum-v1", "perturb": [{"time_limit": 210}, {"time_feature": "remaining"}]}
    )
    env.reset(seed=0)
    shown = [env.step(np.zeros(1, np.float32))[0][-1] for _ in range(210)]
    # T is the registered 200: after t steps 1 − t / 200, and 0 from t = 200 on
    np.testing.assert_allclose(shown[:3], [0.995, 0.99, 0.985], rtol=1e-6)
    assert shown[199:] == [0.0] * 11


def test_images_and_words_are_refused() -> None:
    with pytest.raises(rl_transfer_envs.EnvError, match=r"needs a (vector|Box)"):
        rl_transfer_envs.make({"id": "PixelCatch-v0", "perturb": [{"time_feature": "remaining"}]})
    with pytest.raises(rl_transfer_envs.EnvError, match="remaining"):
        rl_transfer_envs.make({"id": "Pendulum-v1", "perturb": [{"time_feature": "left"}]})
