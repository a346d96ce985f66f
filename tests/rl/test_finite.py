"""NaN and infinity from an environment are named, in training and in evaluation."""

from collections.abc import Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from rl_transfer.errors import EnvironmentSpecError
from rl_transfer.results import RunFolder
from rl_transfer.rl.environments.finite import refuse_non_finite
from rl_transfer.rl.training.run import execute
from support.rl import make_run


class Breaks(CartPoleEnv):
    """Gives something at the fifth step of every episode after some."""

    episodes = 0

    def __init__(self, entry: int, value: str, after: int) -> None:
        super().__init__()
        self.entry, self.value, self.after, self.steps = entry, float(value), after, 0

    def reset(self, *, seed=None, options=None):
        Breaks.episodes += 1
        self.steps = 0
        return super().reset(seed=seed, options=options)

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        self.steps += 1
        if self.steps == 5 and Breaks.episodes > self.after:
            if self.entry < 0:
                reward = self.value
            else:
                observation[self.entry] = self.value
        return observation, reward, terminated, truncated, info


def test_finite_numbers_and_whole_numbers_pass() -> None:
    refuse_non_finite("Any-v0", np.zeros((2, 3)), np.ones(2), "step 1")
    refuse_non_finite("Any-v0", np.full((1, 2), 1e38, np.float32), np.ones(1), "step 1")
    refuse_non_finite("Any-v0", {"image": np.zeros((2, 3), np.uint8)}, np.ones(2), "step 1")


@pytest.mark.parametrize(
    ("observations", "rewards", "named"),
    [
        (np.array([[0.0, 1.0], [np.nan, 1.0]]), np.ones(2), "nan as observation, entry 0, at step 7"),
        (np.zeros((2, 1)), np.array([0.0, -np.inf]), "-inf as its reward at step 7"),
        ({"a": np.ones((1, 2)), "b": np.full((1, 2), np.inf)}, np.ones(1), "inf as observation b, entry 0,"),
    ],
)
def test_what_is_not_finite_is_named(observations: object, rewards: np.ndarray, named: str) -> None:
    with pytest.raises(EnvironmentSpecError, match="environment Any-v0 gave " + named):
        refuse_non_finite("Any-v0", observations, rewards, "step 7")  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    gymnasium.register(
        "Breaks-v0", lambda **kwargs: Breaks(**kwargs), max_episode_steps=20, disable_env_checker=True
    )
    Breaks.episodes = 0
    yield
    del gymnasium.registry["Breaks-v0"]


@pytest.mark.parametrize(
    ("entry", "value", "after", "named"),
    [
        (2, "nan", 0, "nan as observation, entry 2, at step 5 of an evaluation"),
        (-1, "inf", 0, "inf as its reward at step 5 of an evaluation"),
        (2, "nan", 3, "nan as observation, entry 2, at training step 10"),
        (-1, "-inf", 3, "-inf as its reward at training step 10"),
    ],
)
def test_a_run_names_what_its_environment_gave(
    entry: int, value: str, after: int, named: str, tmp_path: Path
) -> None:
    run = make_run(env={"id": "Breaks-v0", "kwargs": {"entry": entry, "value": value, "after": after}})
    with pytest.raises(EnvironmentSpecError, match="environment Breaks-v0 gave " + named):
        execute(run, RunFolder(tmp_path / "run"))


def test_the_last_step_of_an_evaluation_is_looked_at_too(tmp_path: Path) -> None:
    gymnasium.registry["Breaks-v0"].max_episode_steps = 5
    run = make_run(env={"id": "Breaks-v0", "kwargs": {"entry": 1, "value": "nan", "after": 0}})
    with pytest.raises(EnvironmentSpecError, match="nan as observation, entry 1, at step 5 of an evaluation"):
        execute(run, RunFolder(tmp_path / "run"))
