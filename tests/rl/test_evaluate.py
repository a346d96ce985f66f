"""Evaluation leaves no trace and plays exactly the episodes that its seeds say."""

import random
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces as gym_spaces
from hypothesis import given
from hypothesis import strategies as st

from rl_transfer.errors import EnvironmentSpecError
from rl_transfer.rl.environments import evaluate, spaces
from rl_transfer.rl.environments.evaluate import Episodes, Evaluator, SinglePlayers, random_act
from rl_transfer.spec import Environment


def test_returns_are_those_of_gymnasium_played_by_hand() -> None:
    evaluator = Evaluator(Environment(id="CartPole-v1"), 3)

    def lean(observations: np.ndarray) -> np.ndarray:
        return (observations[:, 2] > 0).astype(int)

    found = evaluator.run(lean, [5, 6, 7])
    for seed, expected in zip([5, 6, 7], found.returns, strict=True):
        env = gym.make("CartPole-v1")
        observation, _ = env.reset(seed=seed)
        total, over = 0.0, False
        while not over:
            observation, reward, terminated, truncated, _ = env.step(int(observation[2] > 0))
            total, over = total + float(reward), terminated or truncated
        assert total == expected
    assert found.lengths == [int(value) for value in found.returns]


def test_an_evaluation_never_plays_fewer_episodes_than_it_was_asked_for() -> None:
    evaluator = Evaluator(Environment(id="CartPole-v1"), 2)
    assert len(evaluator.run(lambda seen: np.zeros(len(seen), int), [1]).returns) == 1
    with pytest.raises(ValueError, match=r"zip\(\) argument 2 is longer"):
        evaluator.run(lambda seen: np.zeros(len(seen), int), [1, 2, 3])


def test_the_global_random_states_are_untouched() -> None:
    evaluator = Evaluator(Environment(id="CartPole-v1"), 2)
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    expected = (torch.rand(1).item(), np.random.rand(), random.random())  # noqa: NPY002

    def noisy(observations: np.ndarray) -> np.ndarray:
        np.random.rand()  # noqa: NPY002
        random.random()
        return torch.randint(2, (len(observations),)).numpy()

    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    first = evaluator.run(noisy, [1, 2])
    assert (torch.rand(1).item(), np.random.rand(), random.random()) == expected  # noqa: NPY002
    torch.manual_seed(99)
    assert evaluator.run(noisy, [1, 2]) == first


def test_a_policy_that_samples_draws_by_the_seeds() -> None:
    evaluator = Evaluator(Environment(id="CartPole-v1"), 2)

    def drawn(seeds: list[int]) -> list[list[float]]:
        """What the policy drew, from all three global generators."""
        seen = []

        def sampling(observations: np.ndarray) -> np.ndarray:
            seen.append([torch.rand(1).item(), np.random.rand(), random.random()])  # noqa: NPY002
            return np.zeros(len(observations), int)

        evaluator.run(sampling, seeds)
        return seen

    first, other = drawn([1, 2]), drawn([3, 4])
    assert drawn([1, 2]) == first
    assert all(a != b for a, b in zip(first[0], other[0], strict=True))


def test_an_episode_ends_where_it_is_truncated(monkeypatch: pytest.MonkeyPatch) -> None:
    # A car that does not move never gets there; Gymnasium cuts MountainCar-v0 after 200 steps of −1.
    monkeypatch.setattr(evaluate, "STEP_LIMIT", 300)
    found = Evaluator(Environment(id="MountainCar-v0"), 2).run(lambda seen: np.ones(len(seen), int), [1, 2])
    assert found == Episodes([-200.0, -200.0], [200, 200])


def test_an_episode_that_does_not_end_is_refused_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = Evaluator(Environment(id="MountainCar-v0"), 2)
    for limit in (200, 199):
        monkeypatch.setattr(evaluate, "STEP_LIMIT", limit)
        if limit == 200:  # the last step that is allowed ends it
            assert evaluator.run(lambda seen: np.ones(len(seen), int), [1, 2]).lengths == [200, 200]
        else:
            with pytest.raises(EnvironmentSpecError, match="MountainCar-v0 did not end within 199 steps"):
                evaluator.run(lambda seen: np.ones(len(seen), int), [1, 2])


def test_observations_of_several_episodes_are_one_batch_per_key() -> None:
    space = gym_spaces.Dict({"a": gym_spaces.Discrete(5), "b": gym_spaces.Box(0, 9, (2,))})
    seen = [{"a": np.int64(i), "b": np.full(2, i, np.float32)} for i in (1, 4, 2)]
    batch = evaluate.stack(seen, space)
    assert isinstance(batch, dict)
    assert batch["a"].tolist() == [1, 4, 2]
    assert batch["b"].tolist() == [[1, 1], [4, 4], [2, 2]]
    assert random_act(space["b"], 0)(batch).shape == (3, 2), "one action for every episode of a dict batch"
    assert np.array_equal(np.asarray(evaluate.stack([1, 4], space["a"])), [1, 4])


def test_random_actions_are_seeded_and_inside_the_space() -> None:
    space = gym_spaces.Box(-2.0, 2.0, (3,))
    first = random_act(space, 4)(np.zeros((5, 1)))
    second = random_act(space, 4)(np.zeros((5, 1)))
    assert np.array_equal(first, second)
    assert first.shape == (5, 3)


@pytest.mark.parametrize(
    "space",
    [
        gym_spaces.Box(-np.inf, np.inf, (4,), np.float32),
        gym_spaces.Box(np.array([-1.5, -np.inf]), np.array([1.5, 0.1]), (2,), np.float64),
        gym_spaces.Box(0, 255, (8, 8, 3), np.uint8),
        gym_spaces.Discrete(3),
        gym_spaces.Discrete(4, start=-1),
        gym_spaces.MultiDiscrete([2, 3]),
        gym_spaces.MultiBinary(5),
        gym_spaces.Dict({"a": gym_spaces.Discrete(2), "b": gym_spaces.Box(-0.1, 0.3, (2,))}),
    ],
    ids=str,
)
def test_spaces_survive_json(space: gym_spaces.Space[Any]) -> None:
    assert spaces.from_json(spaces.to_json(space)) == space


@given(st.floats(width=32, allow_nan=False), st.floats(width=32, allow_nan=False))
def test_float32_bounds_survive_json_exactly(first: float, second: float) -> None:
    low, high = sorted([first, second])
    space = gym_spaces.Box(np.array([low, 0], np.float32), np.array([high, 1], np.float32))
    assert spaces.from_json(spaces.to_json(space)) == space


def test_channels_may_stand_first_or_last() -> None:
    last = gym_spaces.Box(0, 255, (36, 40, 3), np.uint8)
    first = gym_spaces.Box(0, 255, (3, 36, 40), np.uint8)
    assert spaces.same(last, first)
    assert not spaces.same(last, gym_spaces.Box(0, 255, (3, 40, 36), np.uint8))
    assert not spaces.same(gym_spaces.Discrete(2), gym_spaces.Discrete(3))


def test_closing_closes_every_environment() -> None:
    players = SinglePlayers(Environment(id="CartPole-v1"), 3)
    closed = []
    for env in players._envs:
        env.close = lambda env=env: closed.append(env)  # type: ignore[method-assign, misc]
    Evaluator(Environment(id="CartPole-v1"), 3, players=players).close()
    assert closed == players._envs


class Lucky(gym.Env[Any, Any]):
    """Three steps; whether it succeeded is told at its end, and odd seeds do."""

    observation_space = gym_spaces.Box(-1, 1, (1,))
    action_space = gym_spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._steps, self._lucky = 0, bool((seed or 0) % 2)
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self._steps += 1
        over = self._steps == 3
        info = {"is_success": np.float32(self._lucky)} if over else {"is_success": True}
        return np.zeros(1, np.float32), 1.0, over, False, info


@pytest.fixture
def lucky() -> Environment:
    if "Lucky-v0" not in gym.registry:
        gym.register("Lucky-v0", lambda **_: Lucky())
    return Environment(id="Lucky-v0")


def stay(observations: np.ndarray) -> np.ndarray:
    return np.zeros(len(observations), int)


def test_successes_are_what_the_last_info_says(lucky: Environment) -> None:
    evaluator = Evaluator(lucky, 3, players=SinglePlayers(lucky, 3, success="is_success"))
    assert evaluator.run(stay, [1, 2, 3]).successes == [True, False, True]
    assert evaluator.run(stay, [4, 5]).successes == [False, True], "fewer episodes than environments"
    assert Evaluator(lucky, 1).run(stay, [1]).successes is None, "nobody asked"


def test_an_environment_that_does_not_say_is_told_of(lucky: Environment) -> None:
    evaluator = Evaluator(lucky, 1, players=SinglePlayers(lucky, 1, success="success"))
    with pytest.raises(
        EnvironmentSpecError, match=r"its info has no 'success', but is_success\. Name another"
    ):
        evaluator.run(stay, [1])
