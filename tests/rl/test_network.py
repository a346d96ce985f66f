"""The network of an algorithm config: SB3's defaults written out, taken over from a source, compared."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from stable_baselines3.common.torch_layers import FlattenExtractor

from rl_transfer.errors import TransferError
from rl_transfer.results import RunFolder, RunStore, run_id
from rl_transfer.rl.policies.bundle import build_policy
from rl_transfer.rl.room import ROOM
from rl_transfer.rl.training.run import execute
from rl_transfer.spec import Algorithm, TransferConfig, parse
from rl_transfer.spec.network import inherit, network
from support.algorithms import ALGORITHMS, DISCRETE, HEAVY, PENDULUM, run_of, target_of
from support.cases import drawn
from support.foreign import sb3_class
from support.rl import played

VECTOR = spaces.Box(-1, 1, (5,))
IMAGE = spaces.Box(0, 255, (1, 36, 36), np.uint8)
OBSERVATIONS: dict[str, gym.Space[Any]] = {
    "MlpPolicy": VECTOR,
    "CnnPolicy": IMAGE,
    "MultiInputPolicy": spaces.Dict({"vector": VECTOR, "image": IMAGE}),
}
OTHER: dict[str, dict[str, Any]] = {
    "PPO": {"activation": "relu", "net_arch": {"pi": [8], "vf": [9, 7]}},
    "A2C": {"activation": "elu", "net_arch": [12]},
    "TRPO": {"activation": "silu", "net_arch": [12, 11]},
    "DQN": {"activation": "tanh", "net_arch": [9, 8]},
    "QRDQN": {"activation": "tanh", "net_arch": [9], "n_quantiles": 7},
    "SAC": {"activation": "gelu", "net_arch": {"pi": [8], "qf": [9, 7]}, "n_critics": 3},
    "TQC": {"activation": "tanh", "net_arch": [9], "n_critics": 3, "n_quantiles": 6},
    "TD3": {"activation": "tanh", "net_arch": [9], "n_critics": 3},
    "DDPG": {"activation": "tanh", "net_arch": [9], "n_critics": 2},
}
"""A network unlike the default in everything that can be said of it."""
SDE = [
    name for name in ALGORITHMS if hasattr(parse(Algorithm, {"name": name, **ALGORITHMS[name]}), "use_sde")
]
Run = Callable[..., RunFolder]


def config(name: str, kwargs: dict[str, Any] | None = None, **changes: Any) -> Any:
    return parse(Algorithm, {"name": name, **ALGORITHMS[name], "policy_kwargs": kwargs or {}, **changes})


def shapes(algorithm: Any) -> tuple[str, dict[str, tuple[int, ...]]]:
    actions: gym.Space[Any] = spaces.Discrete(3) if algorithm.name in DISCRETE else spaces.Box(-1, 1, (2,))
    policy = build_policy(algorithm, OBSERVATIONS[algorithm.policy], actions)
    return str(policy), {name: tuple(each.shape) for name, each in policy.state_dict().items()}


@pytest.mark.parametrize("policy", list(OBSERVATIONS))
@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_the_written_out_network_is_the_one_that_sb3_builds(name: str, policy: str) -> None:
    default = config(name, policy=policy)
    said = network(default)
    arch: Any = said["net_arch"]
    kwargs = {key: said[key] for key in said if key not in ("policy", "use_sde", "net_arch")}
    explicit = config(name, kwargs | {"net_arch": arch["pi"] if len(arch) == 1 else arch}, policy=policy)
    assert shapes(explicit) == shapes(default)


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_an_open_config_takes_over_everything_and_an_equal_one_stays_as_it_is(name: str) -> None:
    source, default = config(name, OTHER[name]), config(name)
    assert network(source) != network(default)
    assert network(inherit(default, source)) == network(source)
    written = {key: value for key, value in network(default).items() if key in ("activation", "n_critics")}
    assert inherit(default, config(name, written)) is default


WIDTHS = st.lists(st.integers(1, 9), max_size=3)
KWARGS = st.fixed_dictionaries(
    {}, optional={"activation": st.sampled_from(["tanh", "relu", "elu", "gelu"]), "net_arch": WIDTHS}
)


@given(st.sampled_from([*ALGORITHMS]), st.sampled_from([*ALGORITHMS]), KWARGS, KWARGS)
def test_taking_over_a_network_twice_is_once_and_open_keys_become_the_sources(
    mine: str, theirs: str, said: dict[str, Any], built: dict[str, Any]
) -> None:
    target, source = config(mine, said), config(theirs, built)
    once = inherit(target, source)
    assert inherit(once, source) == once
    found: Any = network(once)
    wanted: Any = network(source)
    own: Any = network(target)
    assert found["activation"] == (own if "activation" in said else wanted)["activation"]
    policy: Any = found["net_arch"]
    assert policy["pi"] == (own if "net_arch" in said else wanted)["net_arch"]["pi"]
    assert parse(Algorithm, once.plain()) == once


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_what_the_config_says_itself_is_kept(name: str) -> None:
    said = config(name, {"activation": "leaky_relu", "net_arch": [5]})
    found = network(inherit(said, config(name, OTHER[name])))
    assert found["activation"] == "leaky_relu"
    assert found["net_arch"] == network(said)["net_arch"]


def test_between_families_the_policy_and_the_critic_keep_their_widths() -> None:
    source = config("PPO", {"net_arch": {"pi": [8, 4], "vf": [6]}})
    assert network(inherit(config("SAC"), source))["net_arch"] == {"pi": [8, 4], "qf": [6]}
    assert network(inherit(config("DQN"), source))["net_arch"] == {"pi": [8, 4]}
    back = network(inherit(config("PPO"), config("DQN", {"net_arch": [7]})))
    assert back["net_arch"] == {"pi": [7], "vf": [64, 64]}
    assert back["activation"] == "relu"


def test_state_dependent_exploration_is_taken_over_unless_the_config_says_no() -> None:
    source = config("SAC", use_sde=True)
    assert network(inherit(config("SAC"), source))["use_sde"] is True
    assert network(inherit(config("SAC", use_sde=False), source))["use_sde"] is False


@pytest.fixture
def play(tmp_path: Path) -> Run:
    return partial(played, tmp_path)


SAME: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in ALGORITHMS),
    *((name, {"use_sde": True}) for name in SDE),
]
SCORED = [
    (*case, deterministic) for case in SAME for deterministic in drawn([True, False], 1, (case[0], *case[1]))
]
"""Every algorithm, deterministic or not; both with ``CASES=all``."""


@pytest.mark.parametrize(("name", "more", "deterministic"), SCORED)
def test_a_copied_policy_scores_at_step_0_what_the_source_does(
    name: str, more: dict[str, Any], deterministic: bool, play: Run
) -> None:
    theirs = {"name": name, **ALGORITHMS[name], "policy_kwargs": OTHER[name], **more}
    evaluation = {"every": 64, "episodes": 3, "deterministic": deterministic}
    where = {"env": HEAVY} if more else {}  # gSDE is for continuous actions
    source = play(**run_of(name, algorithm=theirs, evaluation=evaluation, **where))
    mine = inherit(config(name), parse(Algorithm, theirs))
    for copy in (("all",), ("policy",)):
        target = target_of(name, algorithm=mine.plain(), evaluation=evaluation, **where)
        record_of = play(source, **target, strategy={"copy": copy})
        record = record_of.record()
        assert record["zero_shot"]["returns"] == record_of.curve()[0]["returns"]
        assert record["architecture"]["source"] == record["architecture"]["target"] == network(mine)


@pytest.mark.parametrize("name", SDE)
def test_measuring_a_policy_with_gsde_leaves_its_exploration_alone(name: str, play: Run) -> None:
    fields = run_of(name, algorithm={"name": name, **ALGORITHMS[name], "use_sde": True}, env=HEAVY)
    rarely, often = (
        {"every": every, "episodes": episodes, "deterministic": False}
        for every, episodes in ((64, 1), (32, 4))
    )
    found = [play(**{**fields, "evaluation": evaluation}) for evaluation in (rarely, often)]
    digests = {folder.record()["weights_digest"] for folder in found}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("name", "kwargs", "more"),
    [
        ("PPO", {"activation_fn": torch.nn.ReLU, "net_arch": {"pi": [9], "vf": [8, 8]}}, {}),
        ("A2C", {"net_arch": [7]}, {"use_sde": True}),
        ("SAC", {"activation_fn": torch.nn.Tanh, "net_arch": [9], "n_critics": 3}, {"use_sde": True}),
        ("TQC", {"net_arch": [8], "n_quantiles": 9}, {}),
    ],
)
def test_a_policy_of_a_zip_brings_its_network_with_it(
    name: str, kwargs: dict[str, Any], more: dict[str, Any], tmp_path: Path, play: Run
) -> None:
    path = tmp_path / f"{name.lower()}-Pendulum-v1.zip"
    sb3_class(name)("MlpPolicy", "Pendulum-v1", policy_kwargs=kwargs, seed=1, device="cpu", **more).save(path)
    found = ROOM.find_source(str(path), tmp_path)
    bare = {
        "name": name,
        **{key: ALGORITHMS[name][key] for key in ALGORITHMS[name] if key != "policy_kwargs"},
    }
    fields = run_of(name, algorithm=bare, env=HEAVY, evaluation={"every": 64, "episodes": 3})
    transfer = TransferConfig.model_validate({**fields, "strategy": {"name": "all", "copy": ("all",)}})
    spec = transfer.transfer_run(found.identity, found.described)
    folder = RunStore(tmp_path).folder(run_id(spec))
    execute(spec, folder, found.bundle, say=lambda _: None)
    assert folder.record()["zero_shot"]["returns"] == folder.curve()[0]["returns"]


DIFFERENT = [
    ("PPO", {"activation": "relu"}, {}, ("all",), "activation: tanh in the source, relu here"),
    ("DQN", {"activation": "tanh"}, {}, ("trunk[:1]",), "activation: relu in the source, tanh here"),
    ("SAC", {"n_critics": 1}, {}, ("critic",), "n_critics: 2 in the source, 1 here"),
    ("TQC", {"n_critics": 1, "n_quantiles": 5}, {}, ("critic",), "n_critics: 2 in the source, 1 here"),
    ("SAC", {}, {"use_sde": True}, ("trunk", "action_head"), "use_sde: false in the source, true here"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kwargs", "more", "copy", "message"), DIFFERENT)
def test_a_difference_that_changes_the_function_is_refused_with_both_sides(
    name: str,
    kwargs: dict[str, Any],
    more: dict[str, Any],
    copy: tuple[str, ...],
    message: str,
    play: Run,
) -> None:
    source = play(**run_of(name))
    own = ALGORITHMS[name]
    other = {"name": name, **own, "policy_kwargs": {**own["policy_kwargs"], **kwargs}, **more}
    target = target_of(name, algorithm=other, strategy={"copy": copy})
    with pytest.raises(TransferError) as caught:
        play(source, **target)
    assert message in caught.value.message
    assert (caught.value.key or "").startswith("algorithm.")


@pytest.mark.parametrize("name", ["SAC", "TD3", "PPO"])
def test_other_bounds_of_actions_stand_in_the_record(name: str, play: Run) -> None:
    source = play(**run_of(name, env=PENDULUM))
    stronger = {"id": "Pendulum-v1", "perturb": ({"max_torque": 4.0}, {"time_limit": 20})}
    told = {"action_bounds": "-4 to 4 here, -2 to 2 in the source"}
    for env, copy, said in ((stronger, "all", told), (stronger, "trunk", {}), (HEAVY, "all", {})):
        run = play(source, **target_of(name, env=env, strategy={"copy": (copy,)}))
        knobs = run.record()["knobs"]
        assert {key: value for key, value in knobs.items() if key == "action_bounds"} == said
        if env is HEAVY:
            assert run.record()["zero_shot"]["returns"] == run.curve()[0]["returns"]


def test_what_the_copied_parts_do_not_depend_on_may_differ(play: Run) -> None:
    source = play(**run_of("SAC"))
    own = ALGORITHMS["SAC"]
    other = {"name": "SAC", **own, "policy_kwargs": {"net_arch": {"pi": [16, 16], "qf": [8]}, "n_critics": 1}}
    target = target_of("SAC", algorithm=other, strategy={"copy": ("policy",)})
    found = play(source, **target)
    assert found.record()["zero_shot"]["returns"] == found.curve()[0]["returns"]


def test_other_clipping_of_normalized_observations_is_refused(play: Run) -> None:
    def normalized(clip: float) -> dict[str, Any]:
        return {"name": "PPO", **ALGORITHMS["PPO"], "normalize": {"reward": False, "clip_observation": clip}}

    source = play(**run_of("PPO", algorithm=normalized(10.0)))
    target = target_of("PPO", algorithm=normalized(5.0))
    with pytest.raises(TransferError, match=r"clip_observation: 10\.0 in the source, 5\.0 here"):
        play(source, **target, strategy={"copy": ("all",)})
    play(source, **target, strategy={"copy": ("all",), "normalization": "fresh"})


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"features_extractor_kwargs": {"features_dim": 64}}, None),
        ({"features_extractor_kwargs": {"features_dim": 64, "batch_norm": False}}, None),
        ({"normalize_images": False}, "normalize_images: true in the source, false here"),
        ({"share_features_extractor": True}, "share_features_extractor: false in the source, true here"),
    ],
)
def test_features_extractors_are_compared_with_their_defaults(
    said: dict[str, Any], message: str | None, play: Run
) -> None:
    small = {"features_extractor": "rl_transfer.rl.policies.extractors:SmallCNN", "net_arch": [8]}
    env = {"id": "rl_transfer_envs:PixelCatch-v0"}

    def fields(kwargs: dict[str, Any], **more: Any) -> dict[str, Any]:
        algorithm = {**ALGORITHMS["PPO"], "policy": "CnnPolicy", "policy_kwargs": kwargs, "name": "PPO"}
        return run_of("PPO", algorithm=algorithm, env=env, **more)

    apart = {**small, "share_features_extractor": False}
    source = play(**fields(apart))
    target = fields({**apart, **said}, strategy={"copy": ("all",)}, seed=1)
    if message is None:
        found = play(source, **target)
        assert found.record()["zero_shot"]["returns"] == found.curve()[0]["returns"]
        return
    with pytest.raises(TransferError, match=message):
        play(source, **target)


class Doubled(FlattenExtractor):
    """No tensors, and yet other inputs for the trunks."""

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(observations)


@pytest.mark.parametrize("copy", ["policy_trunk", "value_trunk"])
def test_an_extractor_without_tensors_is_compared_too(copy: str, play: Run) -> None:
    source = play(**run_of("PPO"))
    own = ALGORITHMS["PPO"]
    kwargs = {**own["policy_kwargs"], "features_extractor": f"{__name__}:Doubled"}
    target = target_of(
        "PPO", algorithm={"name": "PPO", **own, "policy_kwargs": kwargs}, strategy={"copy": (copy,)},
        env=run_of("PPO")["env"],
    )  # fmt: skip
    with pytest.raises(
        TransferError, match=r"features_extractor: .*FlattenExtractor in the source, .*Doubled"
    ):
        play(source, **target)


def test_other_widths_are_refused_with_both_sides(play: Run) -> None:
    source = play(**run_of("SAC"))
    other = {"name": "SAC", **ALGORITHMS["SAC"], "policy_kwargs": {"net_arch": {"pi": [16, 16], "qf": [8]}}}
    target = target_of("SAC", algorithm=other)
    with pytest.raises(TransferError) as caught:
        play(source, **target, strategy={"copy": ("all",)})
    sides = "{'pi': [16, 16], 'qf': [16, 16]} in the source, {'pi': [16, 16], 'qf': [8]} here"
    assert f"net_arch is {sides}; leave it out" in caught.value.message


def test_a_refused_copy_between_algorithms_names_both(play: Run) -> None:
    source = play(**run_of("PPO"))
    target = target_of("DQN", strategy={"copy": ("all",)})
    with pytest.raises(TransferError) as caught:
        play(source, **target)
    assert caught.value.message.startswith("the source is a PPO policy, the target trains DQN: the strategy ")


def test_arguments_of_the_policys_own_extractor_reach_it() -> None:
    """They were left out, without a word, where no extractor was named beside them."""
    algorithm = config("PPO", {"features_extractor_kwargs": {"features_dim": 24}}, policy="CnnPolicy")
    assert shapes(algorithm)[1]["features_extractor.linear.0.bias"] == (24,)
