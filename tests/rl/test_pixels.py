"""Pixels: the environment, the CNN, and a transferred features extractor whose freeze holds."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env as gymnasium_check
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as sb3_check
from stable_baselines3.common.env_util import make_vec_env

import rl_transfer_envs
from rl_transfer import core
from rl_transfer.errors import ConfigError
from rl_transfer.rl.environments.build import make_vec_env as make_own_vec_env
from rl_transfer.rl.policies.algorithms import build_model
from rl_transfer.rl.policies.bundle import load_policy
from rl_transfer.rl.policies.extractors import SmallCNN
from rl_transfer.rl.policies.parts import policy_parts
from rl_transfer.rl.training.preflight import preflight
from rl_transfer.spec import Environment, RLSuite
from rl_transfer.spec.load import load
from support.rl import Execute

PIXELS = "rl_transfer_envs:PixelCatch-v0"
LEFT, STAY, RIGHT = 0, 1, 2


def game(*perturb: dict[str, Any]) -> Any:
    """The bare environment, perturbed; its state can be set."""
    env = rl_transfer_envs.make({"id": "PixelCatch-v0", "perturb": list(perturb)})
    env.reset(seed=0)
    return env.unwrapped


class TestGame:
    def test_checkers_of_gymnasium_and_sb3_have_nothing_to_say(self) -> None:
        gymnasium_check(gym.make(PIXELS, render_mode="rgb_array").unwrapped)
        sb3_check(gym.make(PIXELS))

    def test_the_first_image_by_hand(self) -> None:
        # Paddle: 2 rows of 8 pixels of 160; ball: 4 × 4 of 255; everything else 0.
        # Sum = 2·8·160 + 4·4·255 = 2560 + 4080.
        env = game()
        env._columns[0] = 0.25  # of 36 − 4 = 32 places: column 8
        image = env.reset(seed=0)[0]
        assert image.shape == (36, 36, 1)
        assert image.dtype == np.uint8
        assert image.sum() == 2560 + 4080
        assert set(np.unique(image)) == {0, 160, 255}
        # The paddle stands in the middle: (36 − 8) / 2 = 14 … 21.
        assert (image[34:, 14:22, 0] == 160).all()

    def test_a_ball_lands_at_the_eleventh_step_and_an_episode_has_ten(self) -> None:
        # A ball of height 4 that falls 3 pixels a step is at 3k after k steps and lands when
        # 3k + 4 > 36 − 2, that is at k = 11; ten balls make 110 steps.
        env = gym.make(PIXELS)
        env.reset(seed=1)
        rewards, endings = [], []
        for _ in range(110):
            _, reward, terminated, truncated, _ = env.step(STAY)
            rewards.append(float(reward))
            endings.append(terminated)
            assert not truncated
        assert [k + 1 for k, reward in enumerate(rewards) if reward] == list(range(11, 111, 11))
        assert endings == [False] * 109 + [True]

    @pytest.mark.parametrize(("column", "reward"), [(10, -1), (11, 1), (21, 1), (22, -1)])
    def test_touching_is_catching(self, column: int, reward: int) -> None:
        # The resting paddle covers 14 … 21, a ball in column c covers c … c + 3.
        env = game()
        env._ball_x, env._ball_y = float(column), 30.0
        assert env.step(STAY)[1] == reward

    def test_actions_move_the_paddle_by_its_speed_and_borders_stop_it(self) -> None:
        env = game({"paddle_speed": 5.0})
        for action, expected in ((LEFT, 9.0), (LEFT, 4.0), (LEFT, 0.0), (STAY, 0.0), (RIGHT, 5.0)):
            env.step(action)
            assert env._paddle_x == expected

    def test_wind_shifts_the_ball_until_the_border(self) -> None:
        env = game({"wind": 2.0}, {"ball_speed": 1.0})
        env._ball_x, seen = 29.0, []
        for _ in range(3):
            env.step(STAY)
            seen.append(env._ball_x)
        assert seen == [31.0, 32.0, 32.0]  # the last column in which 4 pixels fit is 36 − 4

    def test_the_same_balls_fall_whatever_the_background(self) -> None:
        plain, speckled = game(), game({"specks": 50})
        np.testing.assert_array_equal(plain._columns, speckled._columns)
        assert (plain._draw() != speckled._draw()).sum() <= 50

    def test_an_image_handed_out_is_never_written_to_again(self) -> None:
        env = game()
        image = env.step(LEFT)[0]
        before = image.copy()
        env.step(RIGHT)
        np.testing.assert_array_equal(image, before)

    def test_the_picture_is_the_observation_enlarged(self) -> None:
        env = gym.make(PIXELS, render_mode="rgb_array")
        image = env.reset(seed=0)[0]
        picture: Any = env.render()
        assert picture.shape == (288, 288, 3)
        np.testing.assert_array_equal(picture[::8, ::8, :1], image)


PARAMETERS = rl_transfer_envs.parameters("PixelCatch-v0")
OWN = [name for name in PARAMETERS if name != "attribute"]


@pytest.mark.parametrize("name", OWN)
def test_defaults_are_those_of_the_game_and_both_bounds_have_an_effect(name: str) -> None:
    parameter = PARAMETERS[name]
    assert parameter.get(game()) == parameter.default
    for value in parameter.bounds or ():
        if value != parameter.default:
            assert rl_transfer_envs.check_effect({"id": "PixelCatch-v0", "perturb": [{name: value}]})


@st.composite
def perturbations(draw: st.DrawFn) -> list[dict[str, Any]]:
    chosen = draw(st.sets(st.sampled_from(OWN), max_size=4))
    found = []
    for name in sorted(chosen):
        low, high = PARAMETERS[name].bounds or (0, 0)
        whole = PARAMETERS[name].kind == "integer"
        found.append({name: draw(st.integers(int(low), int(high)) if whole else st.floats(low, high))})
    return found


@settings(max_examples=40, deadline=None)
@given(perturb=perturbations(), seed=st.integers(0, 2**31 - 1))
def test_any_perturbation_keeps_the_contracts(perturb: list[dict[str, Any]], seed: int) -> None:
    env = rl_transfer_envs.make({"id": "PixelCatch-v0", "perturb": perturb})
    env.action_space.seed(seed)
    image, total, steps, done = env.reset(seed=seed)[0], 0.0, 0, False
    balls: int = env.unwrapped.balls  # type: ignore[attr-defined]
    while not done:
        assert image in env.observation_space
        image, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        total, steps, done = total + float(reward), steps + 1, terminated or truncated
    assert -balls <= total <= balls
    assert steps <= 1000
    if steps < 1000:
        assert (total - balls) % 2 == 0  # every ball counts +1 or −1


class TestSmallCNN:
    @pytest.mark.parametrize("batch_norm", [False, True])
    @pytest.mark.parametrize("shape", [(1, 36, 36), (3, 12, 12), (4, 84, 60)])
    def test_any_image_gives_the_features_asked_for(self, shape: tuple[int, ...], batch_norm: bool) -> None:
        network = SmallCNN(gym.spaces.Box(0, 255, shape, np.uint8), features_dim=7, batch_norm=batch_norm)
        assert network(torch.zeros(5, *shape)).shape == (5, 7)
        norms = [each for each in network.modules() if isinstance(each, torch.nn.BatchNorm2d)]
        assert [each.num_features for each in norms] == ([16, 32] if batch_norm else [])

    def test_what_is_no_image_is_refused_with_a_way_out(self) -> None:
        with pytest.raises(ConfigError, match="use policy: MlpPolicy") as caught:
            SmallCNN(gym.spaces.Box(-1, 1, (4,), np.float32))
        assert caught.value.key == "algorithm.policy_kwargs.features_extractor"
        with pytest.raises(ConfigError, match="at least 12 × 12"):
            SmallCNN(gym.spaces.Box(0, 255, (3, 11, 36), np.uint8))
        with pytest.raises(ConfigError, match="features_dim is 0"):
            SmallCNN(gym.spaces.Box(0, 255, (1, 36, 36), np.uint8), features_dim=0)


def cnn_ppo(batch_norm: bool, **policy_kwargs: Any) -> dict[str, Any]:
    """A tiny PPO as a config names it."""
    return {
        "name": "PPO", "policy": "CnnPolicy", "n_envs": 2, "n_steps": 16, "batch_size": 16, "n_epochs": 2,
        "learning_rate": 0.01,
        "policy_kwargs": {
            "features_extractor": "rl_transfer.rl.policies.extractors:SmallCNN",
            "features_extractor_kwargs": {"batch_norm": batch_norm, "features_dim": 16},
            "net_arch": [8],
            **policy_kwargs,
        },
    }  # fmt: skip


CATCH = {"id": "PixelCatch-v0"}
WINDY = {"id": "PixelCatch-v0", "perturb": [{"wind": 1.0}]}
STATISTICS = ("running_mean", "running_var")


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_transferred_features_extractor_stays_to_the_bit_and_the_rest_moves(
    run: Execute, batch_norm: bool, shared: bool
) -> None:
    algorithm = cnn_ppo(batch_norm, share_features_extractor=shared)
    extractors = ("features",) if shared else ("features", "value_features")
    common = {"algorithm": algorithm, "training": {"total_steps": 64}}
    evaluation = {"every": 64, "episodes": 1}
    source = run(env=CATCH, evaluation=evaluation, **common)
    strategy = {"copy": extractors, "freeze": extractors}
    target = run(env=WINDY, evaluation=evaluation, strategy=strategy, source=source, **common)

    before, after = load_policy(source.bundle).state, load_policy(target.bundle).state
    for name, tensor in after.items():
        assert torch.equal(tensor, before[name]) == ("features_extractor" in name), name
    # The source's statistics had left their initial 0, so that standing still says something.
    means = [name for name in after if name.endswith("running_mean")]
    assert len(means) == (6 if batch_norm else 0)  # two layers, each under three names
    assert all(before[name].abs().max() > 0 for name in means)
    # A shared extractor has three names and one storage; the record counts it once.
    frozen = target.record()["frozen"]
    assert frozen["digest_before"] == frozen["digest_after"]
    names = {name.partition(".")[0] for name in frozen["tensors"]}
    assert names == ({"features_extractor"} if shared else {"features_extractor", "vf_features_extractor"})


def drift(hold: bool) -> tuple[float, float, bool]:
    """Train on with a features extractor that should stay.

    Returns:
        The largest change of a running statistic, the largest change of a feature on fixed
        images, and whether all weights stayed.
    """
    model = PPO(
        "CnnPolicy",
        make_vec_env(PIXELS, 2, seed=0),
        n_steps=16, batch_size=16, n_epochs=2, seed=0, device="cpu",
        policy_kwargs={
            "features_extractor_class": SmallCNN, "features_extractor_kwargs": {"batch_norm": True},
        },
    ).learn(64)  # fmt: skip
    extractor: Any = model.policy.features_extractor
    images = torch.rand(8, 1, 36, 36, generator=torch.Generator().manual_seed(0))

    def features() -> torch.Tensor:
        model.policy.set_training_mode(False)
        with torch.no_grad():
            found: torch.Tensor = extractor(images)
        return found

    if hold:
        core.freeze(model.policy, policy_parts("PPO", model.policy), ("features",))
    else:
        extractor.requires_grad_(False)
    old, before = features(), {name: value.clone() for name, value in extractor.state_dict().items()}
    model.learn(64)
    new, after = features(), extractor.state_dict()
    change = {name: float((after[name].double() - before[name]).abs().max()) for name in before}
    statistics = max(value for name, value in change.items() if name.endswith(STATISTICS))
    weights = all(value == 0 for name, value in change.items() if name.endswith(("weight", "bias")))
    return statistics, float((new - old).abs().max()), weights


def test_without_the_freeze_running_statistics_drift_and_features_with_them() -> None:
    statistics, features, weights = drift(hold=False)
    # requires_grad alone holds the weights, but not what they compute.
    assert weights
    assert statistics > 0.01
    assert features > 0.01
    assert drift(hold=True) == (0.0, 0.0, True)


def test_the_shipped_suite_builds_and_every_perturbation_in_it_has_an_effect() -> None:
    suite = load("pixels", {"rl": RLSuite}, "suites").config
    said: list[str] = []
    facts = preflight(suite, said.append)
    assert "targets.windy.env: PixelCatch-v0: with and without wind" in said
    assert facts["targets"]["windy"]["effects"][0]["size"] > 0.001
    assert {name: bool(fact["effects"]) for name, fact in facts["targets"].items()} == {
        "reversed-actions": True, "windy": True, "snow": True,
    }  # fmt: skip
    # With linear heads alone, the trunk that strategies freeze is the features extractor.
    model = build_model(suite.algorithm, make_own_vec_env(Environment(id="PixelCatch-v0"), 2), seed=0)
    parts = policy_parts("PPO", model.policy)
    assert {name.partition(".")[0] for name in parts.select(("trunk",))} == {"features_extractor"}


@pytest.mark.full
def test_ppo_learns_to_catch_within_twelve_thousand_steps(run: Execute) -> None:
    # Random play scores about −4 of ±10; seeds 0 to 3 of the suite's settings reach 9 to 10 by then.
    suite = load("pixels", {"rl": RLSuite}, "suites").config
    folder = run(
        env=CATCH,
        algorithm=suite.algorithm.plain(),
        training={"total_steps": 12288},
        evaluation={"every": 12288, "episodes": 10},
    )
    first, last = (float(np.mean(point["returns"])) for point in folder.curve())
    assert first < 0 < 3 < last
