"""``adapt: spaces`` trains the layers that depend on a difference of spaces, and freezes the rest."""

import itertools
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from rl_transfer.errors import TransferError
from rl_transfer.results import RunFolder
from rl_transfer.rl.policies.bundle import Policy, load_policy
from rl_transfer.spec import StrategyConfig, parse, shipped
from rl_transfer.spec.yaml_map import read_yaml
from support.algorithms import ALGORITHMS, DISCRETE, run_of
from support.cases import drawn
from support.rl import make_run
from support.rl import played as played_with

ADAPT = parse(StrategyConfig, read_yaml(shipped("strategies")["adapt-to-spaces"]).data).verbs().plain()
CRITIC_ACTS = {"SAC", "TQC", "TD3", "DDPG"}


class Toy(gym.Env[Any, Any]):
    """Random observations, a reward for any action, episodes of eight steps."""

    def __init__(self, observations: int = 3, actions: int = 2, continuous: bool = False) -> None:
        self.observation_space = spaces.Box(-1, 1, (observations,), np.float32)
        self.action_space = (
            spaces.Box(-1, 1, (actions,), np.float32) if continuous else spaces.Discrete(actions)
        )
        self._left = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._left = 8
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        self._left -= 1
        reward = float(np.sum(np.asarray(action, dtype=np.float64)))
        return self._seen(), reward, False, self._left == 0, {}

    def _seen(self) -> Any:
        return np.asarray(self.np_random.uniform(-1, 1, self.observation_space.shape), np.float32)


gym.register("AdaptToy-v0", entry_point=lambda **kwargs: Toy(**kwargs))


def env(name: str, observations: int, actions: int) -> dict[str, Any]:
    kwargs = {"observations": observations, "actions": actions, "continuous": name not in DISCRETE}
    return {"id": "AdaptToy-v0", "kwargs": kwargs}


def played(folder: Path, source: RunFolder | None = None, /, **fields: Any) -> RunFolder:
    return played_with(folder, source, **run_of(fields.pop("name"), **fields))


@pytest.fixture(scope="module")
def source_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return cache(lambda name: played(tmp_path_factory.mktemp(name), name=name, env=env(name, 3, 2)))


def moved(before: Policy, after: Policy) -> set[str]:
    """The layers, ``part.index``, that are not the source's."""
    found = set()
    for part in after.parts:
        if part.role != "auxiliary":
            for layer in part.layers:
                pairs = [(before.state[name], after.state[name]) for name in layer.tensors]
                if not all(one.shape == other.shape and torch.equal(one, other) for one, other in pairs):
                    found.add(f"{part.name}.{layer.index}")
    return found


def trunks(policy: Policy) -> set[str]:
    return {f"{part.name}.0" for part in policy.parts if part.role == "trunk" and part.layers}


def heads(policy: Policy) -> set[str]:
    return {f"{p.name}.{layer.index}" for p in policy.parts if p.role == "head" for layer in p.layers}


@pytest.mark.parametrize(
    ("name", "observations", "actions"),
    [
        *itertools.product(ALGORITHMS, [5], [4]),
        *drawn([*itertools.product(ALGORITHMS, [5], [2]), *itertools.product(ALGORITHMS, [3], [4])], 8),
    ],
)
def test_what_depends_on_a_difference_trains_and_nothing_else(
    name: str, observations: int, actions: int, source_of: Any, tmp_path: Path
) -> None:
    run = played(tmp_path, source_of(name), name=name, env=env(name, observations, actions), strategy=ADAPT)
    before, after = (load_policy(each.bundle) for each in (source_of(name), run))
    expected = set()
    if observations != 3:
        expected |= trunks(after)
    if actions != 2:
        expected |= heads(after)
        if name in CRITIC_ACTS:
            expected |= {layer for layer in trunks(after) if layer.startswith("value")}
    assert moved(before, after) == expected
    frozen = run.record()["frozen"]
    assert frozen["digest_before"] == frozen["digest_after"]
    assert {row["frozen"] for row in run.record()["plan"] if row["action"] == "reset"} == {""}


def test_a_declared_map_counts_as_a_difference(source_of: Any, tmp_path: Path) -> None:
    strategy = {**ADAPT, "output_maps": {"action_head": (1, 0)}}
    run = played(tmp_path, source_of("PPO"), name="PPO", env=env("PPO", 3, 2), strategy=strategy)
    before, after = (load_policy(each.bundle) for each in (source_of("PPO"), run))
    assert moved(before, after) == heads(after)


@pytest.mark.parametrize(("name", "critic"), [("PPO", "vf"), ("SAC", "qf")])
def test_without_hidden_layers_the_heads_read_the_observations(
    name: str, critic: str, tmp_path: Path
) -> None:
    algorithm = {**ALGORITHMS[name], "policy_kwargs": {"net_arch": {"pi": [], critic: [8, 8]}}, "name": name}
    source = played(tmp_path, name=name, env=env(name, 3, 2), algorithm=algorithm)
    run = played(tmp_path, source, name=name, env=env(name, 5, 2), algorithm=algorithm, strategy=ADAPT)
    before, after = (load_policy(each.bundle) for each in (source, run))
    reading = {"log_std.0"} if name == "SAC" else set()  # SAC's deviation is a layer of its own
    assert moved(before, after) == {"action_head.0", *reading, *trunks(after)}


def test_larger_images_train_the_first_layer_and_the_dense_one(tmp_path: Path) -> None:
    small = {"features_extractor": "rl_transfer.rl.policies.extractors:SmallCNN", "net_arch": [8]}
    algorithm = {**ALGORITHMS["PPO"], "name": "PPO", "policy": "CnnPolicy", "policy_kwargs": small}

    def images(side: int) -> dict[str, Any]:
        return {"id": "AdaptImages-v0", "kwargs": {"side": side}}

    source = played(tmp_path, name="PPO", env=images(16), algorithm=algorithm)
    run = played(tmp_path, source, name="PPO", env=images(24), algorithm=algorithm, strategy=ADAPT)
    assert moved(load_policy(source.bundle), load_policy(run.bundle)) == {"features.0", "features.2"}


class Images(Toy):
    """The same on pictures."""

    def __init__(self, side: int = 16) -> None:
        super().__init__()
        self.observation_space = spaces.Box(0, 255, (1, side, side), np.uint8)

    def _seen(self) -> Any:
        return self.np_random.integers(0, 256, self.observation_space.shape, dtype=np.uint8)


gym.register("AdaptImages-v0", entry_point=lambda **kwargs: Images(**kwargs))


@pytest.mark.parametrize("more", [{"freeze": ("trunk",)}, {"critic_warm_up": 0.2}, {"progressive": True}])
def test_what_adapt_decides_itself_is_refused_beside_it(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="adapt decides what is frozen"):
        make_run(strategy={**ADAPT, **more})


def test_with_equal_spaces_there_is_nothing_to_adapt(source_of: Any, tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="the same spaces") as caught:
        played(tmp_path, source_of("SAC"), name="SAC", env=env("SAC", 3, 2), strategy=ADAPT, seed=1)
    assert caught.value.key == "strategy.adapt"
