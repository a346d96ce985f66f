"""Cached features of frozen trunks: the same numbers to the bit, or refused with a reason."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, FlattenExtractor
from torch import nn

from rl_transfer import core
from rl_transfer.core import FrozenParts, PartMap
from rl_transfer.rl.policies.extractors import SmallCNN
from rl_transfer.rl.policies.parts import policy_parts
from rl_transfer.rl.strategy import cached_features

SMALL: dict[str, Any] = {"n_steps": 32, "batch_size": 32, "n_epochs": 3}
N_ENVS = 4
ROLLOUT = 32 * N_ENVS
STEPS = 2 * ROLLOUT


class TwoSensors(gym.Env[Any, Any]):
    """Dict observations: a vector and one of three symbols; reward for naming the symbol."""

    observation_space = gym.spaces.Dict(
        {"vector": gym.spaces.Box(-1, 1, (3,), np.float32), "symbol": gym.spaces.Discrete(3)}
    )
    action_space = gym.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.clock = 0
        return self._observe(), {}

    def step(self, action: Any) -> Any:
        reward = float(action == self.symbol)
        self.clock += 1
        return self._observe(), reward, self.clock == 10, False, {}

    def _observe(self) -> Any:
        self.symbol = int(self.np_random.integers(3))
        return {
            "vector": self.np_random.uniform(-1, 1, 3).astype(np.float32),
            "symbol": np.int64(self.symbol),
        }


class Neighbourly(BaseFeaturesExtractor):
    """Adds the features of the row beside to every row."""

    def __init__(self, observation_space: gym.Space[Any]) -> None:
        super().__init__(observation_space, features_dim=8)
        self.linear = nn.Linear(4, 8)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.linear(observations)
        return features + features.roll(1, 0)


class Forgetful(FlattenExtractor):
    """Drops features in training mode; without parameters, freezing cannot name it."""

    def __init__(self, observation_space: gym.Space[Any]) -> None:
        super().__init__(observation_space)
        self.dropout = nn.Dropout(0.5)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        dropped: torch.Tensor = self.dropout(super().forward(observations))
        return dropped


class OwnPolicy(ActorCriticPolicy):
    """Overrides what the cache would stand in for."""

    def evaluate_actions(self, obs: Any, actions: torch.Tensor) -> Any:
        return super().evaluate_actions(obs, actions)


def build(
    env: Any = "CartPole-v1", policy: Any = "MlpPolicy", n_envs: int = N_ENVS, **arguments: Any
) -> tuple[PPO, PartMap]:
    model = PPO(policy, make_vec_env(env, n_envs, seed=0), seed=0, device="cpu", **(SMALL | arguments))
    return model, policy_parts("PPO", model.policy)


def cnn(**more: Any) -> dict[str, Any]:
    return {
        "env": "rl_transfer_envs:PixelCatch-v0",
        "policy": "CnnPolicy",
        "policy_kwargs": {"features_extractor_class": SmallCNN, "net_arch": [16], **more},
    }


BATCH_NORM = {"features_extractor_kwargs": {"batch_norm": True}}

Between = Callable[[PPO, PartMap, FrozenParts], None]


def trained(
    freeze: tuple[str, ...],
    cached: bool,
    between: Between | None = None,
    steps: int = STEPS,
    **arguments: Any,
) -> tuple[PPO, str]:
    """Freeze, install or not, learn, do ``between``, learn again; the model and install's answer."""
    model, parts = build(**arguments)
    frozen = core.freeze(model.policy, parts, freeze)
    answer = cached_features.install(model, parts, frozen) if cached else ""
    model.learn(steps)
    if between is not None:
        between(model, parts, frozen)
        model.learn(steps)
    frozen.verify()
    return model, answer


def assert_same_numbers(first: PPO, second: PPO) -> None:
    ours, theirs = first.policy.state_dict(), second.policy.state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name
    moments, others = (each.policy.optimizer.state_dict()["state"] for each in (first, second))
    assert moments.keys() == others.keys()
    assert moments
    for index, state in moments.items():
        assert all(torch.equal(value, others[index][name]) for name, value in state.items())


CASES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "both trunks of an MLP": (("trunk",), {}),
    "the actor's trunk alone": (("policy_trunk",), {}),
    "the critic's trunk and head": (("value_trunk", "value_head"), {}),
    "one environment": (("trunk",), {"n_envs": 1, "n_steps": 128}),
    "continuous actions, gSDE": (("trunk",), {"env": "Pendulum-v1", "use_sde": True}),
    "early stopping, clipped values": (("trunk",), {"target_kl": 1e-4, "clip_range_vf": 0.2}),
    "dict observations": (("trunk",), {"env": TwoSensors, "policy": "MultiInputPolicy"}),
    "features of a CNN": (("features",), cnn()),
    "all trunks of a CNN": (("trunk",), cnn()),
    "features and the actor's trunk": (("features", "policy_trunk"), cnn()),
    "separate extractors": (("features", "value_features"), cnn(share_features_extractor=False)),
    "batch normalisation": (("features",), cnn(**BATCH_NORM)),
}


@pytest.mark.parametrize("case", CASES)
def test_training_gives_the_same_weights_and_moments_to_the_bit(case: str) -> None:
    freeze, arguments = CASES[case]
    plain, _ = trained(freeze, cached=False, **arguments)
    kept, answer = trained(freeze, cached=True, **arguments)
    assert answer == "cached"
    assert_same_numbers(plain, kept)


def rows_in_training(model: PPO, layer: nn.Module, steps: int) -> int:
    """Rows that pass ``layer`` while SB3 trains (it collects rollouts without gradients)."""
    seen = [0]

    def count(_module: nn.Module, inputs: tuple[torch.Tensor, ...], _output: torch.Tensor) -> None:
        seen[0] += len(inputs[0]) if torch.is_grad_enabled() else 0

    handle = layer.register_forward_hook(count)
    model.learn(steps)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize(("cached", "passes"), [(False, 3), (True, 1)])
def test_every_observation_passes_the_frozen_layers_once_per_rollout(cached: bool, passes: int) -> None:
    model, parts = build(**cnn())
    frozen = core.freeze(model.policy, parts, ("features", "policy_trunk"))
    if cached:
        assert cached_features.install(model, parts, frozen) == "cached"
    # Two rollouts of 128 rows, each trained on for three epochs; trained layers always see all.
    policy: Any = model.policy
    layers = (policy.features_extractor.cnn[0], policy.mlp_extractor.policy_net[0])
    assert [rows_in_training(model, layer, STEPS) for layer in layers] == [passes * STEPS] * 2
    assert rows_in_training(model, policy.mlp_extractor.value_net[0], STEPS) == 3 * STEPS


def test_a_smaller_last_minibatch_is_cached_or_refused_but_never_wrong() -> None:
    # 4 × 33 = 132 rows leave a last minibatch of 4; 4 × 33 = 132 of 131 leave one row, a matrix-vector
    # product that rounds differently on most processors.
    for batch_size in (32, 131):
        arguments: dict[str, Any] = {"n_steps": 33, "batch_size": batch_size}
        with pytest.warns(UserWarning, match="truncated mini-batch"):
            plain, _ = trained(("trunk",), cached=False, steps=264, **arguments)
        with pytest.warns(UserWarning, match="truncated mini-batch"):
            kept, answer = trained(("trunk",), cached=True, steps=264, **arguments)
        assert answer == "cached" or "place in a minibatch" in answer
        assert_same_numbers(plain, kept)


def thaw(uninstall: bool) -> Between:
    def between(model: PPO, parts: PartMap, frozen: FrozenParts) -> None:
        if uninstall:
            cached_features.uninstall(model)
        frozen.unfreeze(("policy_trunk",))
        if uninstall:
            cached_features.install(model, parts, frozen)

    return between


@pytest.mark.parametrize("case", ["MLP", "CNN", "batch normalisation"])
@pytest.mark.parametrize("uninstall", [True, False])
def test_thawing_gives_the_numbers_of_a_run_without_cache(case: str, uninstall: bool) -> None:
    arguments = {"MLP": {}, "CNN": cnn(), "batch normalisation": cnn(**BATCH_NORM)}[case]

    def everything(model: PPO, parts: PartMap, frozen: FrozenParts) -> None:
        thaw(uninstall)(model, parts, frozen)
        model.learn(STEPS)
        frozen.unfreeze()

    plain, _ = trained(("trunk",), cached=False, between=everything, **arguments)
    kept, answer = trained(("trunk",), cached=True, between=everything, **arguments)
    assert answer == "cached"
    assert_same_numbers(plain, kept)


def overwrite(model: PPO, parts: PartMap, frozen: FrozenParts) -> None:
    """Other weights under the same rollout, one more training on it, and the old weights again."""
    weight = model.policy.get_parameter("mlp_extractor.policy_net.0.weight")
    with torch.no_grad():
        weight.mul_(0.5)
    model.train()
    with torch.no_grad():
        weight.mul_(2.0)


def thaw_on_the_same_rollout(model: PPO, parts: PartMap, frozen: FrozenParts) -> None:
    frozen.unfreeze()
    model.train()


@pytest.mark.parametrize("between", [overwrite, thaw_on_the_same_rollout])
def test_rows_that_no_longer_hold_are_not_used(between: Between) -> None:
    plain, _ = trained(("trunk",), cached=False, between=between)
    kept, _ = trained(("trunk",), cached=True, between=between)
    assert_same_numbers(plain, kept)


def test_installing_in_mid_training_and_twice_changes_no_number() -> None:
    def midway(cached: bool) -> PPO:
        model, parts = build()
        model.learn(STEPS)
        frozen = core.freeze(model.policy, parts, ("trunk",))
        for _ in range(2 if cached else 0):
            assert cached_features.install(model, parts, frozen) == "cached"
        return model.learn(STEPS)

    assert_same_numbers(midway(False), midway(True))


def test_other_observations_are_computed_not_looked_up() -> None:
    model, _ = trained(("trunk",), cached=True)
    observations = torch.randn(32, 4, generator=torch.Generator().manual_seed(1))
    actions = torch.zeros(32)
    ours = model.policy.evaluate_actions(observations, actions)
    theirs = ActorCriticPolicy.evaluate_actions(model.policy, observations, actions)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))  # type: ignore[arg-type]


def test_uninstalling_leaves_no_trace() -> None:
    model, parts = build()
    before = set(vars(model.policy)), set(vars(model.rollout_buffer))
    frozen = core.freeze(model.policy, parts, ("trunk",))
    assert cached_features.install(model, parts, frozen) == "cached"
    assert (set(vars(model.policy)), set(vars(model.rollout_buffer))) != before
    cached_features.uninstall(model)
    cached_features.uninstall(model)
    assert (set(vars(model.policy)), set(vars(model.rollout_buffer))) == before


def test_what_was_put_on_top_of_the_cache_survives_uninstalling_it() -> None:
    model, parts = build()
    frozen = core.freeze(model.policy, parts, ("trunk",))
    cached_features.install(model, parts, frozen)
    policy: Any = model.policy
    buffer: Any = model.rollout_buffer
    calls = [0]

    def counted(below: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls[0] += 1
            return below(*args, **kwargs)

        return call

    policy.evaluate_actions = counted(policy.evaluate_actions)
    buffer._get_samples = counted(buffer._get_samples)
    cached_features.uninstall(model)
    # Everything is computed in all three epochs again: two methods, 3 × 256 / 32 minibatches.
    assert rows_in_training(model, policy.mlp_extractor.policy_net[0], STEPS) == 3 * STEPS
    assert calls[0] == 2 * 24


def test_saving_loading_copying_and_predicting_work_while_installed(tmp_path: Path) -> None:
    model, answer = trained(("features",), cached=True, **cnn(**BATCH_NORM))
    assert answer == "cached"
    observations: Any = model._last_obs
    expected = model.predict(observations, deterministic=True)[0]
    model.save(tmp_path / "model.zip")
    loaded = PPO.load(tmp_path / "model.zip", device="cpu")
    assert loaded.policy.state_dict().keys() == model.policy.state_dict().keys()
    np.testing.assert_array_equal(loaded.predict(observations, deterministic=True)[0], expected)
    copied = copy.deepcopy(model.policy)
    np.testing.assert_array_equal(copied.predict(observations, deterministic=True)[0], expected)


def refused(freeze: tuple[str, ...] = ("trunk",), norm: Any = "frozen", **arguments: Any) -> str:
    model, parts = build(**arguments)
    frozen = core.freeze(model.policy, parts, freeze, norm=norm)
    answer = cached_features.install(model, parts, frozen)
    assert "evaluate_actions" not in vars(model.policy)
    return answer


def test_reasons_for_not_caching() -> None:
    assert "n_epochs is 1" in refused(n_epochs=1)
    assert "no trunk is frozen as a whole" in refused(("action_head",))
    assert "no trunk is frozen as a whole" in refused(("policy_trunk[:1]",))
    assert "features extractor is trained" in refused(("policy_trunk",), **cnn())
    assert "features extractor is trained" in refused(("features[:1]",), **cnn())
    assert "features extractor is trained" in refused(("features",), **cnn(share_features_extractor=False))
    assert "OwnPolicy has its own evaluate_actions" in refused(policy=OwnPolicy)
    assert "depend on a row's place" in refused(policy_kwargs={"features_extractor_class": Neighbourly})
    forgetful = refused(policy_kwargs={"features_extractor_class": Forgetful})
    assert forgetful == "a Forgetful of the frozen layers still enters training mode"


def test_statistics_that_follow_the_data_are_not_cached() -> None:
    assert "statistics follow the data" in refused(("features",), norm="adapt", **cnn(**BATCH_NORM))


def test_nothing_frozen_and_other_algorithms_are_not_cached() -> None:
    model, parts = build()
    assert cached_features.install(model, parts, None) == "nothing is frozen"
    others: list[tuple[str, BaseAlgorithm]] = [
        ("A2C", A2C("MlpPolicy", "CartPole-v1", device="cpu")),
        ("DQN", DQN("MlpPolicy", "CartPole-v1", device="cpu", buffer_size=10)),
    ]
    for name, other in others:
        parts = policy_parts(name, other.policy)
        frozen = core.freeze(other.policy, parts, ("policy_trunk",))
        assert cached_features.install(other, parts, frozen).startswith(
            f"{name} does not train several epochs"
        )
        cached_features.uninstall(other)


def test_layers_with_listeners_or_adapters_are_not_cached() -> None:
    model, parts = build()
    frozen = core.freeze(model.policy, parts, ("trunk",))
    handle = model.policy.mlp_extractor.policy_net[0].register_forward_hook(lambda *_: None)
    assert cached_features.install(model, parts, frozen) == "a forward hook listens to the frozen layers"
    handle.remove()
    core.add_low_rank(
        model.policy, parts, ("policy_trunk",), rank=2, alpha=2.0, generator=torch.Generator().manual_seed(0)
    )
    answer = cached_features.install(model, parts, frozen)
    assert answer == "trainable parameters were added to the frozen layers"
