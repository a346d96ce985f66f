"""Observations in another order: what reads them is mapped, statistics included, or refused."""

from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from ruamel.yaml import YAML

from rl_transfer.errors import TransferError
from rl_transfer.results import RunFolder
from rl_transfer.rl.policies.bundle import load_policy
from support.algorithms import ALGORITHMS, DISCRETE, run_of
from support.levers import levers
from support.rl import played as played_with

ORDER = (2, 0, 3, 1)  # no inverse of itself: a map read the wrong way round scores otherwise
SCALE = (1.0, 20.0, 0.1, 5.0)
SEEN = (np.random.default_rng(0).normal(size=(40, 4)) * SCALE).astype(np.float32)
CRITICS = ("SAC", "TQC", "TD3", "DDPG")


def played(
    folder: Path,
    name: str,
    source: RunFolder | None = None,
    shown: tuple[int, ...] = (0, 1, 2, 3),
    order: tuple[int, ...] = (0, 1, 2),
    normalize: bool = False,
    more: dict[str, Any] | None = None,
    **verbs: Any,
) -> RunFolder:
    env = levers(discrete=name in DISCRETE, shown=list(shown), order=list(order), scale=list(SCALE))
    algorithm = {"name": name, **ALGORITHMS[name], **({"normalize": {}} if normalize else {}), **(more or {})}
    return played_with(folder, source, **run_of(name, env=env, algorithm=algorithm, strategy=verbs))


@pytest.fixture(scope="module")
def source_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return cache(
        lambda name, normalize=False: played(tmp_path_factory.mktemp("source"), name, normalize=normalize)
    )


def mapped(source_of: Any, folder: Path, name: str, **given: Any) -> RunFolder:
    """On the target whose observations stand in another order."""
    source = source_of(name, given.get("normalize", False))
    verbs: dict[str, Any] = {
        "copy": ("all",),
        "train": False,
        "input_maps": {"observations": ORDER},
        "shown": ORDER,
        **given,
    }
    return played(folder, name, source, **verbs)


def answers(folder: RunFolder, order: tuple[int, ...] = (0, 1, 2, 3)) -> torch.Tensor:
    """What the policy makes of the same states: actions, or action values."""
    policy = load_policy(folder.bundle)
    seen: Any = SEEN[:, list(order)]
    seen = policy.normalizer(seen) if policy.normalizer is not None else seen
    module: Any = policy.module
    with torch.no_grad():
        states = torch.from_numpy(seen)
        if policy.algorithm.name in DISCRETE:
            network = {"DQN": "q_net", "QRDQN": "quantile_net"}.get(policy.algorithm.name)
            found = (
                getattr(module, network)(states)
                if network
                else module.get_distribution(states).distribution.logits
            )
        else:
            found = torch.from_numpy(module.predict(seen, deterministic=True)[0])
    return torch.as_tensor(found)


def values(folder: RunFolder, network: str, order: tuple[int, ...] = (0, 1, 2, 3)) -> list[torch.Tensor]:
    """What the critics make of the same states and actions."""
    module: Any = load_policy(folder.bundle).module
    seen = torch.from_numpy(SEEN[:, list(order)])
    with torch.no_grad():
        if network == "value":
            return [module.predict_values(seen)]
        actions = torch.rand(40, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
        return list(getattr(module, network)(seen, actions))


MODES = ("warm", "frozen", "warm_reset_count")
CASES = [
    *((name, False, "warm") for name in ALGORITHMS),
    *((name, True, mode) for name in ("PPO", "DQN", "SAC") for mode in MODES),
]


@pytest.mark.parametrize(("name", "normalize", "mode"), CASES)
def test_with_its_observations_mapped_a_policy_scores_what_it_did_in_the_old_order(
    name: str, normalize: bool, mode: str, source_of: Any, tmp_path: Path
) -> None:
    run = mapped(source_of, tmp_path, name, normalize=normalize, normalization=mode)
    plain: dict[str, Any] = {"copy": ("all",), "train": False, "normalization": mode}
    there = played(tmp_path, name, source_of(name, normalize), normalize=normalize, **plain)
    expected = there.record()["zero_shot"]["returns"]
    assert there.curve()[0]["returns"] == expected
    assert run.curve()[0]["returns"] == pytest.approx(expected, abs=1e-5)
    assert torch.allclose(answers(run, ORDER), answers(there), atol=1e-5)
    assert not torch.allclose(answers(run), answers(there), atol=1e-3), "the order matters"


@pytest.mark.parametrize("name", ["PPO", "A2C", "TRPO", *CRITICS])
def test_with_its_observations_mapped_a_critic_values_them_as_it_did(
    name: str, source_of: Any, tmp_path: Path
) -> None:
    run = mapped(source_of, tmp_path, name)
    for network in ("critic", "critic_target") if name in CRITICS else ("value",):
        online = network.removesuffix("_target")
        pairs = zip(values(source_of(name), online), values(run, network, ORDER), strict=True)
        assert all(torch.allclose(one, other, atol=1e-5) for one, other in pairs)


@pytest.mark.parametrize("name", ["DQN", "TD3"])
def test_target_networks_that_are_copied_are_mapped_too(name: str, source_of: Any, tmp_path: Path) -> None:
    run = mapped(source_of, tmp_path, name, knobs={"target_networks": "fresh"})
    before, after = (load_policy(each.bundle).state for each in (source_of(name), run))
    first = "q_net_target.q_net.0.weight" if name == "DQN" else "actor_target.mu.0.weight"
    assert torch.equal(after[first], before[first][:, list(ORDER)])


@pytest.mark.parametrize("mode", ["warm", "warm_reset_count"])
@pytest.mark.parametrize("name", ["PPO", "DQN", "SAC"])
def test_a_sensor_that_the_source_lacked_starts_without_statistics(
    name: str, mode: str, source_of: Any, tmp_path: Path
) -> None:
    shown, sensors = (2, 0, 4, 3, 1), (2, 0, None, 3, 1)
    given: dict[str, Any] = {"shown": shown, "input_maps": {"observations": sensors}, "normalize": True}
    run = mapped(source_of, tmp_path, name, normalization=mode, **given)
    plain: dict[str, Any] = {"copy": ("all",), "train": False}
    there = played(tmp_path, name, source_of(name, True), normalize=True, **plain)
    assert run.curve()[0]["returns"] == pytest.approx(there.record()["zero_shot"]["returns"], abs=1e-5)
    before, after = (load_policy(each.bundle).bundle.tensors for each in (source_of(name, True), run))
    for field, fresh in (("mean", 0.0), ("var", 1.0)):
        theirs, mine = (each[f"normalization/observation//{field}"] for each in (before, after))
        assert torch.equal(mine[[0, 1, 3, 4]], theirs[[2, 0, 3, 1]])
        assert mine[2] == fresh
    count = after["normalization/observation//count"]
    assert count == (before["normalization/observation//count"] if mode == "warm" else 1e-4)


def test_frozen_statistics_are_refused_where_an_entry_has_none(source_of: Any, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "shown": (2, 0, 4, 3, 1),
        "input_maps": {"observations": (2, 0, None, 3, 1)},
        "normalize": True,
    }
    with pytest.raises(TransferError, match=r"gives entry 2 of the target's .* warm_reset_count") as caught:
        mapped(source_of, tmp_path, "PPO", normalization="frozen", **given)
    assert caught.value.key == "strategy.normalization"


def test_maps_of_single_layers_that_agree_map_the_statistics_too(source_of: Any, tmp_path: Path) -> None:
    parts = {"policy_trunk.0": (2, None, 3, 1), "value_trunk.0": (2, 0, None, 1)}
    run = mapped(source_of, tmp_path, "PPO", normalize=True, input_maps=parts, normalization="frozen")
    before, after = (load_policy(each.bundle).bundle.tensors for each in (source_of("PPO", True), run))
    name = "normalization/observation//mean"
    assert torch.equal(after[name], before[name][list(ORDER)])


HALF: list[tuple[str, dict[str, Any], list[str]]] = [
    ("PPO", {"policy_trunk.0": ORDER}, ["value_trunk.0"]),
    ("PPO", {"value_trunk.0": ORDER}, ["policy_trunk.0"]),
    ("A2C", {"policy_trunk.0": ORDER, "value_trunk.0": (2, 0, 1, 3)}, ["value_trunk.0"]),
    ("TRPO", {"policy_trunk.0": (0, 1, 2, None)}, ["value_trunk.0"]),
    ("SAC", {"policy_trunk.0": ORDER}, ["value_trunk.0", "value_trunk_1.0"]),
    ("TQC", {"value_trunk.0": (*ORDER, 4, 5, 6)}, ["policy_trunk.0", "value_trunk_1.0"]),
    ("TD3", {"policy_trunk.0": ORDER, "value_trunk.0": (*ORDER, 4, 5, 6)}, ["value_trunk_1.0"]),
    ("DDPG", {"observations": ORDER, "value_trunk.0": tuple(range(7))}, ["value_trunk.0"]),
]


@pytest.mark.parametrize(("name", "maps", "missing"), HALF)
def test_a_map_of_a_part_of_it_is_refused_with_the_lines_that_mend_it(
    name: str, maps: dict[str, Any], missing: list[str], source_of: Any, tmp_path: Path
) -> None:
    with pytest.raises(TransferError) as caught:
        mapped(source_of, tmp_path / "half", name, input_maps=maps)
    text = caught.value.message
    assert f"but {', '.join(missing)} " in text
    assert caught.value.key == "strategy.input_maps"
    whole = YAML(typ="safe").load(text.split("of single parts):\n")[1].split("\nOr ")[0])
    own = YAML(typ="safe").load(text.split("\nOr give these their own:\n")[1].split("\nOr ")[0])
    given = [{**maps, **own["input_maps"]}, whole["input_maps"]]
    states = [
        load_policy(mapped(source_of, tmp_path / str(i), name, input_maps=each).bundle).state
        for i, each in enumerate(given)
    ]
    assert all(torch.equal(value, states[1][tensor]) for tensor, value in states[0].items())


def test_with_statistics_a_half_map_is_refused_as_well(source_of: Any, tmp_path: Path) -> None:
    with pytest.raises(TransferError, match=r"but value_trunk\.0 is copied in another order"):
        mapped(source_of, tmp_path, "PPO", normalize=True, input_maps={"policy_trunk.0": ORDER})


@pytest.mark.parametrize(
    ("name", "verbs"),
    [
        ("PPO", {"reset": ("value_trunk",)}),
        ("PPO", {"copy": ("policy",)}),
        ("SAC", {"reset": ("critic", "auxiliary")}),
        ("DQN", {}),
    ],
)
def test_what_starts_fresh_needs_no_map(
    name: str, verbs: dict[str, Any], source_of: Any, tmp_path: Path
) -> None:
    maps = [{"policy_trunk.0": ORDER}, {"observations": ORDER}]
    runs = [
        mapped(source_of, tmp_path / str(i), name, input_maps=each, **verbs) for i, each in enumerate(maps)
    ]
    states = [load_policy(each.bundle).state for each in runs]
    assert all(torch.equal(value, states[1][tensor]) for tensor, value in states[0].items())


@pytest.mark.parametrize("name", ["PPO", *CRITICS])
def test_observations_and_actions_are_mapped_at_once(name: str, source_of: Any, tmp_path: Path) -> None:
    discrete = name in DISCRETE
    pulled = (2, 0, 1)
    maps = {"output_maps": {"actions": pulled}}
    run = mapped(source_of, tmp_path, name, order=pulled, **maps)
    there = played(tmp_path, name, source_of(name), copy=("all",), train=False)
    assert run.curve()[0]["returns"] == pytest.approx(there.record()["zero_shot"]["returns"], abs=1e-5)
    if not discrete:
        first = "critic.qf0.0.weight"
        before, after = (load_policy(each.bundle).state[first] for each in (source_of(name), run))
        assert torch.equal(after, before[:, [*ORDER, 6, 4, 5]])


def test_a_network_without_hidden_layers_is_mapped_in_all_its_heads(tmp_path: Path) -> None:
    small: dict[str, Any] = {"policy_kwargs": {"net_arch": {"pi": (), "qf": (16,)}}}
    source = played(tmp_path / "source", "SAC", more=small)
    verbs: dict[str, Any] = {
        "copy": ("all",),
        "train": False,
        "shown": ORDER,
        "input_maps": {"observations": ORDER},
    }
    run = played(tmp_path, "SAC", source, more=small, **verbs)
    before, after = (load_policy(each.bundle).state for each in (source, run))
    for name in ("actor.mu.weight", "actor.log_std.weight"):
        assert torch.equal(after[name], before[name][:, list(ORDER)])
    with pytest.raises(TransferError, match=r"log_std\.0: \[2, 0, 3, 1\]"):
        played(tmp_path, "SAC", source, more=small, **{**verbs, "input_maps": {
            "action_head.0": ORDER, "value_trunk.0": (*ORDER, 4, 5, 6), "value_trunk_1.0": (*ORDER, 4, 5, 6),
        }})  # fmt: skip


def test_layers_that_the_source_lacks_are_not_mapped(tmp_path: Path) -> None:
    source = played(tmp_path / "source", "A2C", more={"policy_kwargs": {"net_arch": {"pi": (), "vf": ()}}})
    with pytest.raises(TransferError, match="nothing that reads the observations is copied"):
        played(tmp_path, "A2C", source, shown=ORDER, copy=("trunk",), input_maps={"observations": ORDER})


def test_gsdes_matrix_without_a_trunk_cannot_be_mapped(tmp_path: Path) -> None:
    small: dict[str, Any] = {"policy_kwargs": {"net_arch": {"pi": (), "qf": (16,)}}, "use_sde": True}
    source = played(tmp_path / "source", "SAC", more=small)
    verbs: dict[str, Any] = {
        "copy": ("all",),
        "train": False,
        "shown": ORDER,
        "input_maps": {"observations": ORDER},
    }
    with pytest.raises(TransferError, match="list log_std under reset"):
        played(tmp_path, "SAC", source, more=small, **verbs)
    played(tmp_path, "SAC", source, more=small, **verbs, reset=("log_std",))


@pytest.mark.parametrize(
    ("order", "verbs", "message"),
    [
        ((1, 0), {}, "has 2 entries, but the target has 4 observations"),
        ((1, 0, 2, 4), {}, "index 4 is outside the source's observations 0 to 3"),
        (ORDER, {"copy": ("head",)}, "nothing that reads the observations is copied"),
    ],
)
def test_a_map_of_the_observations_that_cannot_be_is_refused(
    order: tuple[int, ...], verbs: dict[str, Any], message: str, source_of: Any, tmp_path: Path
) -> None:
    with pytest.raises(TransferError, match=message) as caught:
        mapped(source_of, tmp_path, "SAC", input_maps={"observations": order}, **verbs)
    assert caught.value.key == "strategy.input_maps.observations"


def test_a_control_with_the_sources_statistics_has_them_in_the_targets_order(
    source_of: Any, tmp_path: Path
) -> None:
    # As a sweep fills in random-frozen beside a strategy with maps: it copies nothing but the statistics.
    verbs: dict[str, Any] = {"copy": (), "as_copied": True, "normalize": True}
    run = mapped(source_of, tmp_path, "PPO", **verbs)
    before, after = (load_policy(each.bundle).bundle.tensors for each in (source_of("PPO", True), run))
    name = "normalization/observation//mean"
    assert torch.equal(after[name], before[name][list(ORDER)])
    assert not any(row["action"] == "copied" for row in run.record()["plan"])


def test_names_stand_for_the_sources_observations(tmp_path: Path) -> None:
    algorithm = {"name": "PPO", **ALGORITHMS["PPO"], "normalize": {}}
    names = ("pole_angle", "cart_position", "pole_angular_velocity", "cart_velocity")
    permuted = {"id": "CartPole-v1", "perturb": ({"observation_permutation": list(ORDER)},)}
    verbs: dict[str, Any] = {"copy": ("all",), "train": False, "input_maps": {"observations": names}}
    source = played_with(tmp_path, **run_of("PPO", algorithm=algorithm))
    run = played_with(tmp_path, source, **run_of("PPO", algorithm=algorithm, env=permuted, strategy=verbs))
    before, after = (load_policy(each.bundle).bundle.tensors for each in (source, run))
    for name in ("normalization/observation//mean", "mlp_extractor.policy_net.0.weight"):
        assert torch.equal(after[name], before[name][..., list(ORDER)])


class Members(gym.Env[Any, Any]):
    """A dict of two vectors, or an image."""

    def __init__(self, image: bool = False) -> None:
        vectors: dict[str, spaces.Space[Any]] = {
            "a": spaces.Box(-1, 1, (2,), np.float32),
            "b": spaces.Box(-1, 1, (3,), np.float32),
        }
        self.observation_space = spaces.Box(0, 255, (3, 16, 16), np.uint8) if image else spaces.Dict(vectors)
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.observation_space.seed(seed)
        self._left = 8
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        self._left -= 1
        return self.observation_space.sample(), float(action), False, self._left == 0, {}


gym.register("Members-v0", entry_point=lambda **kwargs: Members(**kwargs))


def of_members(
    folder: Path, policy: str, source: RunFolder | None = None, normalize: bool = False, **verbs: Any
) -> RunFolder:
    image = policy == "CnnPolicy"
    extractor = {"features_extractor": "rl_transfer.rl.policies.extractors:SmallCNN"} if image else {}
    algorithm = {
        "name": "PPO", **ALGORITHMS["PPO"], "policy": policy,
        "policy_kwargs": {"net_arch": (8,), **extractor},
        **({"normalize": {}} if normalize else {}),
    }  # fmt: skip
    env = {"id": "Members-v0", "kwargs": {"image": image}}
    return played_with(folder, source, **run_of("PPO", env=env, algorithm=algorithm, strategy=verbs))


def test_of_images_the_channels_are_mapped(tmp_path: Path) -> None:
    source = of_members(tmp_path / "source", "CnnPolicy")
    verbs: dict[str, Any] = {"copy": ("all",), "train": False, "input_maps": {"observations": (2, 0, 1)}}
    run = of_members(tmp_path, "CnnPolicy", source, **verbs)
    before, after = (load_policy(each.bundle).state for each in (source, run))
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    first = "features_extractor.cnn.0.weight"
    assert torch.equal(after[first], before[first][:, [2, 0, 1]])
    assert changed == {name for name in after if name.endswith("features_extractor.cnn.0.weight")}


def test_statistics_of_dict_observations_are_not_mapped(tmp_path: Path) -> None:
    source = of_members(tmp_path / "source", "MultiInputPolicy", normalize=True)
    verbs: dict[str, Any] = {
        "copy": ("all",),
        "train": False,
        "input_maps": {"observations": (1, 0, 2, 3, 4)},
    }
    with pytest.raises(TransferError, match="statistics of vectors only; use normalization: fresh"):
        of_members(tmp_path / "refused", "MultiInputPolicy", source, normalize=True, **verbs)
    of_members(tmp_path, "MultiInputPolicy", source, normalize=True, **verbs, normalization="fresh")
    verbs["input_maps"] = {"observations": (0, 1, 2, 3, 4)}
    of_members(tmp_path, "MultiInputPolicy", source, normalize=True, **verbs)
