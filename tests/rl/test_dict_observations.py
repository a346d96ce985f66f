"""Dict observations: their members stand in the environment's order, which no file and no wrapper sorts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from ruamel.yaml import YAML
from stable_baselines3 import PPO
from stable_baselines3.common.save_util import data_to_json
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from rl_transfer.errors import ConfigError, TransferError
from rl_transfer.results import RunFolder
from rl_transfer.rl.environments.spaces import channels_first, from_json, same, same_shape, to_json
from rl_transfer.rl.policies.bundle import load_policy
from rl_transfer.rl.sources.load import import_source, load_source
from rl_transfer.rl.sources.printed_spaces import printed_space
from rl_transfer.spec import Environment
from support.algorithms import ALGORITHMS, DISCRETE, run_of
from support.rl import played

VECTOR = spaces.Box(-5, 5, (2,), np.float32)
MEMBERS: dict[str, spaces.Space[Any]] = {
    "velocity": VECTOR,
    "angle": spaces.Box(-5, 5, (3,), np.float32),
    "picture": spaces.Box(0, 255, (36, 36, 3), np.uint8),
    "counter": spaces.Box(0, 200, (3,), np.int32),
    "mirror": spaces.Box(0, 255, (36, 36, 3), np.uint8),
}
Run = Callable[..., RunFolder]


class Unsorted(gym.Env[Any, Any]):
    """Members in an order that is not the alphabet's; what they show decides what an action is worth."""

    def __init__(self, discrete: bool = True, members: str = "velocity angle") -> None:
        self.observation_space = spaces.Dict([(name, MEMBERS[name]) for name in members.split()])
        if members == "picture":
            self.observation_space = MEMBERS["picture"]
        self.action_space = spaces.Discrete(3) if discrete else spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        if seed is not None:
            self.observation_space.seed(seed)
        self._left, self._seen = 8, self.observation_space.sample()
        return self._seen, {}

    def step(self, action: Any) -> Any:
        members = self._seen.values() if isinstance(self._seen, dict) else [self._seen]
        worth = sum(
            float(np.ravel(member)[:3].astype(float) @ [1, -2, 3][: np.size(member)]) for member in members
        )
        self._left, self._seen = self._left - 1, self.observation_space.sample()
        return self._seen, worth * float(np.sum(action)), False, self._left == 0, {}


gym.register("Unsorted-v0", entry_point=lambda **kwargs: Unsorted(**kwargs))


@pytest.fixture
def play(tmp_path: Path) -> Run:
    def go(
        name: str, source: RunFolder | None = None, normalize: dict[str, Any] | None = None,
        policy: str = "MultiInputPolicy", perturb: tuple[Any, ...] = (),
        strategy: dict[str, Any] | None = None, **kwargs: Any,
    ) -> RunFolder:  # fmt: skip
        more = {} if normalize is None else {"normalize": normalize}
        kwargs = {"discrete": name in DISCRETE, **kwargs}
        algorithm = {"name": name, **ALGORITHMS[name], "policy": policy, **more}
        env = {"id": "Unsorted-v0", "kwargs": kwargs, "perturb": perturb}
        return played(tmp_path, source, **run_of(name, algorithm=algorithm, env=env, strategy=strategy or {}))

    return go


def starts_as_its_source(folder: RunFolder) -> bool:
    zero_shot = folder.record()["zero_shot"]["returns"]
    assert np.std([*zero_shot, 0.0]) > 0, "a score that depends on the actions"
    return bool(zero_shot == folder.curve()[0]["returns"])


@pytest.mark.parametrize(
    ("name", "normalize"), [*((name, None) for name in ALGORITHMS), ("PPO", {}), ("SAC", {})]
)
def test_a_policy_reads_the_members_in_the_order_that_it_was_trained_in(
    name: str, normalize: dict[str, Any] | None, play: Run
) -> None:
    source = play(name, normalize=normalize)
    assert list(load_policy(source.bundle).module.observation_space.spaces) == ["velocity", "angle"]  # type: ignore[attr-defined]
    assert starts_as_its_source(play(name, source, normalize=normalize, strategy={"copy": ("all",)}))


def test_spaces_keep_the_order_of_their_members_on_disk() -> None:
    space = spaces.Dict([(name, MEMBERS[name]) for name in ("velocity", "picture", "angle")])
    found = from_json(json.loads(json.dumps(to_json(space))))
    assert list(found.spaces) == list(channels_first(space).spaces) == ["velocity", "picture", "angle"]  # type: ignore[attr-defined]
    entry = json.loads(data_to_json({"space": space}))["space"]
    printed = printed_space({key: value for key, value in entry.items() if key != ":serialized:"})
    assert printed is not None
    assert list(printed.spaces) == ["velocity", "picture", "angle"]  # type: ignore[attr-defined]


def test_the_members_of_an_imported_policy_stand_in_its_files_order(tmp_path: Path) -> None:
    path = tmp_path / "ppo-Unsorted-v0.zip"
    env = gym.make("Unsorted-v0", discrete=False)
    model = PPO("MultiInputPolicy", env, seed=1, device="cpu", n_steps=8, batch_size=8)
    model.save(path)
    seen = {"velocity": np.ones((4, 2), np.float32), "angle": np.full((4, 3), -2.0, np.float32)}
    expected, got = (each.predict(seen, deterministic=True)[0] for each in (model, load_source(path).module))
    assert np.array_equal(expected, got)


def test_members_in_another_order_are_refused_and_a_map_puts_them_right(play: Run) -> None:
    source = play("PPO")
    other = {"members": "angle velocity"}
    with pytest.raises(
        TransferError, match=r"order velocity, angle in the source and angle, velocity here"
    ) as caught:
        play("PPO", source, strategy={"copy": ("all",)}, **other)
    assert caught.value.key == "strategy.input_maps"
    play("PPO", source, strategy={"copy": ("head",)}, **other)
    maps = {"observations": (2, 3, 4, 0, 1)}
    run = play("PPO", source, strategy={"copy": ("all",), "train": False, "input_maps": maps}, **other)
    before, after = (load_policy(each.bundle).state for each in (source, run))
    first = "mlp_extractor.policy_net.0.weight"
    assert torch.equal(after[first], before[first][:, [2, 3, 4, 0, 1]])


def test_a_perturbation_of_one_member_leaves_the_order_alone(play: Run) -> None:
    source = play("PPO")
    noisy = ({"observation_noise": {"std": 0.1, "part": "angle"}},)
    run = play("PPO", source, perturb=noisy, strategy={"copy": ("all",)})
    assert starts_as_its_source(run)


@pytest.mark.parametrize(
    ("name", "members", "policy", "normalize"),
    [
        ("SAC", "velocity picture", "MultiInputPolicy", {}),
        ("DQN", "velocity picture", "MultiInputPolicy", {}),
        ("DQN", "picture", "CnnPolicy", {"observation": False}),
        ("PPO", "picture", "CnnPolicy", {"observation": False}),
    ],
)
def test_images_beside_running_statistics_have_their_channels_first_in_buffers_too(
    name: str, members: str, policy: str, normalize: dict[str, Any], play: Run
) -> None:
    source = play(name, normalize=normalize, policy=policy, members=members)
    run = play(name, source, normalize, policy, members=members, strategy={"copy": ("all",)})
    assert starts_as_its_source(run)


@pytest.mark.parametrize("policy", ["CnnPolicy", "MlpPolicy"])
def test_statistics_of_images_are_for_networks_that_take_numbers(policy: str, play: Run) -> None:
    if policy == "MlpPolicy":
        assert play("PPO", normalize={}, policy=policy, members="picture").record()
        return
    with pytest.raises(ConfigError, match=r"are images, .*observation: false") as caught:
        play("PPO", normalize={}, policy=policy, members="picture")
    assert caught.value.key == "algorithm.normalize.observation"


def test_statistics_of_what_has_no_mean_are_refused(tmp_path: Path) -> None:
    algorithm = {"name": "PPO", **ALGORITHMS["PPO"], "normalize": {}}
    with pytest.raises(ConfigError, match=r"Discrete\(16\), which has no mean"):
        played(tmp_path, env={"id": "FrozenLake-v1"}, algorithm=algorithm)


def test_the_same_shape_of_two_dicts_is_that_of_their_members() -> None:
    pair = [
        spaces.Dict([(name, MEMBERS[name]) for name in names])
        for names in (("velocity", "angle"), ("angle", "velocity"))
    ]
    assert same_shape(*pair)
    assert not same(*pair)
    assert not same_shape(pair[0], spaces.Dict({"velocity": VECTOR, "angle": VECTOR}))
    assert not same_shape(pair[0], spaces.Dict({"velocity": VECTOR, "other": MEMBERS["angle"]}))
    assert not same_shape(spaces.MultiDiscrete([2, 3]), spaces.MultiDiscrete([3, 2]))


BEHIND = (1, 0, *range(2, 258))  # two velocities beside 256 features of the picture, in another order
TURNED = (2, 0, 1)


@pytest.mark.parametrize(
    ("name", "members", "maps", "missing"),
    [
        ("PPO", "velocity picture", {"policy_trunk.0": BEHIND}, "value_trunk.0"),
        ("SAC", "velocity picture", {"policy_trunk.0": BEHIND}, "value_trunk.0, value_trunk_1.0"),
        ("SAC", "velocity picture", {"value_features.0": TURNED}, "features.0"),
        ("SAC", "mirror picture", {"features.4": TURNED}, "value_features.4"),
    ],
)
def test_a_map_of_one_reader_of_a_member_is_refused_with_the_lines_that_mend_it(
    name: str, members: str, maps: dict[str, Any], missing: str, play: Run
) -> None:
    source = play(name, members=members)
    verbs: dict[str, Any] = {"copy": ("all",), "train": False, "input_maps": maps}
    with pytest.raises(TransferError) as caught:
        play(name, source, members=members, strategy=verbs)
    text = caught.value.message
    assert f"but {missing} is copied in another order" in text
    assert "observations: [" not in text, "which is refused where members have extractors"
    own = YAML(typ="safe").load(text.split("Give these their own maps:\n")[1].split("\nOr ")[0])
    whole = {**maps, **own["input_maps"]}
    run = play(name, source, members=members, strategy={**verbs, "input_maps": whole})
    before, after = (load_policy(each.bundle) for each in (source, run))
    for selector, order in whole.items():
        part, index = selector.split(".")
        weight = next(
            each for each in after.parts[part].layers[int(index)].tensors if each.endswith("weight")
        )
        assert torch.equal(after.state[weight], before.state[weight][:, list(order)])


def test_statistics_of_a_member_that_goes_past_the_extractor_are_not_left_in_the_old_order(play: Run) -> None:
    source = play("PPO", normalize={}, members="velocity picture")
    maps = {"features.0": (0, 1, 2), "policy_trunk.0": BEHIND, "value_trunk.0": BEHIND}
    verbs: dict[str, Any] = {"copy": ("all",), "train": False, "input_maps": maps}
    with pytest.raises(TransferError, match="statistics of vectors only; use normalization: fresh"):
        play("PPO", source, {}, members="velocity picture", strategy=verbs)
    play("PPO", source, {}, members="velocity picture", strategy={**verbs, "normalization": "fresh"})


def test_statistics_of_whole_numbers_are_not_dropped_without_a_word(tmp_path: Path, play: Run) -> None:
    env = VecNormalize(DummyVecEnv([lambda: gym.make("Unsorted-v0", members="velocity counter")]))
    small = {"net_arch": [16, 16]}
    model = PPO("MultiInputPolicy", env, n_steps=8, batch_size=8, policy_kwargs=small, device="cpu", seed=1)
    model.save(tmp_path / "ppo-x.zip")
    env.save(str(tmp_path / "vec_normalize.pkl"))
    where = Environment(id="Unsorted-v0", kwargs={"members": "velocity counter"})
    source = RunFolder(tmp_path / "source")
    import_source(tmp_path / "ppo-x.zip", source.bundle, env=where)
    verbs: dict[str, Any] = {"copy": ("all",)}
    with pytest.raises(TransferError, match="normalises counter of the observation") as caught:
        play("PPO", source, {}, members="velocity counter", strategy=verbs)
    assert caught.value.key == "strategy.normalization"
    fresh = {**verbs, "normalization": "fresh"}
    assert play("PPO", source, {}, members="velocity counter", strategy=fresh).record()
