"""What a zip says of how its policy was trained is read where it is plain, and told where it is not."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import PPO
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.utils import LinearSchedule as SB3LinearSchedule
from torch import nn

from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.export import export_sb3
from rl_transfer.rl.sources.hyperparameters import with_hyperparameters
from rl_transfer.rl.sources.load import import_source, load_source
from rl_transfer.spec import Algorithm, PPOConfig, parse
from support.foreign import ANYWHERE, BOX, CONTINUOUS, DISCRETE, edit_data, saved, sb3_class, sb3_model
from support.untyped import untyped

# rl-zoo's PPO on CartPole (hyperparams/ppo.yml), and some of what tells others from their defaults.
ZOO: dict[str, dict[str, Any]] = {
    "PPO": {"n_steps": 32, "batch_size": 32, "gae_lambda": 0.8, "gamma": 0.98, "n_epochs": 20,
            "ent_coef": 0.01, "learning_rate": 0.001, "clip_range": 0.25, "vf_coef": 0.4,
            "max_grad_norm": 0.7},
    "A2C": {"n_steps": 16, "gae_lambda": 0.9, "vf_coef": 0.4, "normalize_advantage": True,
            "rms_prop_eps": 1e-4},
    "TRPO": {"cg_damping": 0.2, "n_critic_updates": 20, "sub_sampling_factor": 2, "target_kl": 0.04},
    "DQN": {"exploration_fraction": 0.16, "exploration_final_eps": 0.04, "target_update_interval": 10,
            "gradient_steps": 128, "learning_starts": 1000, "batch_size": 64, "learning_rate": 2.3e-3},
    "QRDQN": {"exploration_fraction": 0.2, "gradient_steps": -1, "max_grad_norm": 3.0},
    "SAC": {"ent_coef": 0.2, "tau": 0.02, "learning_starts": 7, "target_entropy": -7.5},
    "TQC": {"top_quantiles_to_drop_per_net": 5, "target_update_interval": 3},
    "TD3": {"policy_delay": 3, "target_policy_noise": 0.1, "target_noise_clip": 0.3},
    "DDPG": {"tau": 0.01, "batch_size": 100},
}  # fmt: skip

NORMAL = "<class 'stable_baselines3.common.noise.NormalActionNoise'>"
RMSPROP = "<class 'torch.optim.rmsprop.RMSprop'>"


def zip_of(name: str, folder: Path, **kwargs: Any) -> Path:
    actions = DISCRETE if name in ("PPO", "DQN", "QRDQN") else CONTINUOUS
    return saved(sb3_model(name, BOX, actions, **kwargs), folder / "m.zip")


def read(path: Path) -> Policy:
    return load_source(path, env=ANYWHERE)


def config(path: Path) -> Any:
    return read(path).algorithm


@pytest.mark.parametrize("name", ZOO)
def test_what_is_plain_is_read(name: str, tmp_path: Path) -> None:
    algorithm = config(zip_of(name, tmp_path, **ZOO[name]))
    assert {key: getattr(algorithm, key) for key in ZOO[name]} == ZOO[name]


@pytest.mark.parametrize("name", ZOO)
def test_what_was_read_is_exported(name: str, tmp_path: Path) -> None:
    import_source(zip_of(name, tmp_path, **ZOO[name]), tmp_path / "bundle", env=ANYWHERE)
    export_sb3(tmp_path / "bundle", tmp_path / "exported.zip")
    with zipfile.ZipFile(tmp_path / "m.zip") as before, zipfile.ZipFile(tmp_path / "exported.zip") as after:
        first, second = (json.loads(each.read("data")) for each in (before, after))
    for key in {*ZOO[name], "n_envs", "gamma"} - {"clip_range", "rms_prop_eps"}:
        assert second[key] == first[key], key
    loaded = untyped(sb3_class(name).load(tmp_path / "exported.zip"))
    if name == "PPO":
        assert loaded.clip_range(1.0) == 0.25
        assert (loaded.n_steps, loaded.batch_size) == (32, 32)


def test_copies_of_the_environment_and_rollouts_are_exported_without_being_built(
    tmp_path: Path,
) -> None:
    giant = {"n_envs": 2**16, "n_steps": 10**7, "batch_size": 64}
    path = edit_data(zip_of("PPO", tmp_path), lambda data: data.update(giant))
    import_source(path, tmp_path / "bundle", env=ANYWHERE)
    export_sb3(tmp_path / "bundle", tmp_path / "exported.zip")
    with zipfile.ZipFile(tmp_path / "exported.zip") as archive:
        data = json.loads(archive.read("data"))
    assert {key: data[key] for key in giant} == giant


def test_the_ppo_of_rl_zoo_on_cartpole_keeps_its_eight_copies(tmp_path: Path) -> None:
    zoo = {"n_envs": 8, "n_steps": 32, "gae_lambda": 0.8, "n_epochs": 20, "batch_size": 256}
    path = edit_data(zip_of("PPO", tmp_path), lambda data: data.update(zoo))
    import_source(path, tmp_path / "bundle", env=ANYWHERE)
    found = json.loads((tmp_path / "bundle" / "bundle.json").read_text())["metadata"]["algorithm"]
    assert {key: found[key] for key in zoo} == zoo
    export_sb3(tmp_path / "bundle", tmp_path / "exported.zip")
    loaded = untyped(PPO.load(tmp_path / "exported.zip"))
    assert {key: getattr(loaded, key) for key in zoo} == zoo
    assert loaded.rollout_buffer.buffer_size == 32


def test_what_is_pickled_is_told_with_the_default_that_stands_for_it(tmp_path: Path) -> None:
    policy = read(zip_of("DQN", tmp_path, train_freq=256))
    assert untyped(policy.algorithm).train_freq == 4
    assert policy.metadata["notes"] == [
        "hyperparameters that the file holds as pickles alone were not read; the defaults were assumed: "
        "train_freq (4)"
    ]
    schedule = read(zip_of("PPO", tmp_path / "second", learning_rate=lambda left: 0.1 * left))
    assert "learning_rate (0.0003)" in schedule.metadata["notes"][0]
    assert "clip_range" not in schedule.metadata["notes"][0]


def test_linear_schedules_are_read(tmp_path: Path) -> None:
    path = zip_of("PPO", tmp_path, learning_rate=SB3LinearSchedule(1e-3, 1e-5, 1.0))
    rate = config(path).learning_rate
    assert (rate.linear, rate.final) == (1e-3, 1e-5)
    halfway = read(zip_of("PPO", tmp_path / "b", learning_rate=SB3LinearSchedule(1e-3, 1e-5, 0.5)))
    assert untyped(halfway.algorithm).learning_rate == 3e-4
    assert "learning_rate (0.0003)" in halfway.metadata["notes"][0]


def test_what_no_config_can_say_is_told(tmp_path: Path) -> None:
    policy = read(zip_of("SAC", tmp_path, ent_coef="auto_0.1", use_sde_at_warmup=True))
    assert untyped(policy.algorithm).ent_coef == "auto"
    told = [note for note in policy.metadata["notes"] if note.startswith("a config cannot say")]
    assert told == [
        "a config cannot say use_sde_at_warmup=True, ent_coef=auto_0.1; the defaults were assumed"
    ]
    path = edit_data(zip_of("PPO", tmp_path / "b"), lambda data: data.update(n_steps=100, batch_size=64))
    odd = read(path)
    assert untyped(odd.algorithm).batch_size == 64
    assert odd.metadata["notes"] == ["a config cannot say n_steps=100; the defaults were assumed"]


def test_gaussian_noise_is_read_and_other_noise_told(tmp_path: Path) -> None:
    zeros = np.zeros(2)
    gaussian = read(zip_of("TD3", tmp_path, action_noise=NormalActionNoise(zeros, zeros + 0.15)))
    assert untyped(gaussian.algorithm).action_noise_std == 0.15
    for index, noise in enumerate(
        [OrnsteinUhlenbeckActionNoise(zeros, zeros + 0.15), NormalActionNoise(zeros, np.array([0.1, 0.2]))]
    ):
        other = read(zip_of("TD3", tmp_path / str(index), action_noise=noise))
        assert untyped(other.algorithm).action_noise_std == 0
        assert "action_noise_std (0)" in other.metadata["notes"][0]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("TD3", {"action_noise": {":type:": NORMAL, "_mu": "[0. 0.]", "_sigma": "e"}}),
        ("TD3", {"action_noise": {":type:": NORMAL, "_mu": "[0. 0.]", "_sigma": "[0.1 ... 0.1]"}}),
        ("TD3", {"action_noise": {":type:": NORMAL, "_mu": "array([0.], dtype=float32)", "_sigma": "[0.1]"}}),
        ("PPO", {"learning_rate": {"value_schedule": "ConstantSchedule(val=e)"}}),
        ("PPO", {"clip_range": {"value_schedule": "ConstantSchedule(val=1-2)"}}),
        ("A2C", {"policy_kwargs": {"optimizer_class": RMSPROP, "optimizer_kwargs": "{'eps': 1.2.3}"}}),
    ],
)
def test_what_looks_like_a_number_and_is_none_is_told_not_raised(name: str, data: dict[str, Any]) -> None:
    completed, notes = with_hyperparameters({"name": name}, data, CONTINUOUS)
    assert {"name": name, "use_rms_prop": True, **completed} == {"name": name, "use_rms_prop": True}
    assert "pickles alone" in notes[0]


def test_the_optimizer_of_a2c_is_read(tmp_path: Path) -> None:
    assert config(zip_of("A2C", tmp_path, use_rms_prop=False)).use_rms_prop is False
    assert config(zip_of("A2C", tmp_path / "b")).use_rms_prop is True
    other = read(zip_of("A2C", tmp_path / "c", policy_kwargs={"optimizer_class": torch.optim.SGD}))
    assert "use_rms_prop (True)" in other.metadata["notes"][0]


@pytest.mark.parametrize(
    ("name", "kwargs", "told"),
    [
        ("PPO", {"optimizer_class": torch.optim.SGD}, "optimizer_class=<class 'torch.optim.sgd.SGD'>"),
        ("PPO", {"optimizer_kwargs": {"weight_decay": 0.1}}, "optimizer_kwargs.weight_decay=0.1"),
        ("A2C", {"optimizer_class": torch.optim.RMSprop, "optimizer_kwargs": {"alpha": 0.5, "eps": 1e-4}},
         "optimizer_kwargs.alpha=0.5"),
    ],
)  # fmt: skip
def test_another_optimizer_is_told(name: str, kwargs: dict[str, Any], told: str, tmp_path: Path) -> None:
    notes = read(zip_of(name, tmp_path, policy_kwargs=kwargs)).metadata["notes"]
    assert f"a config cannot say {told}; the defaults were assumed" in notes


@pytest.mark.parametrize("name", ["PPO", "A2C", "QRDQN", "SAC"])
def test_the_usual_optimizer_needs_no_word(name: str, tmp_path: Path) -> None:
    assert "optimizer" not in str(read(zip_of(name, tmp_path)).metadata["notes"])


def test_arguments_of_a_fresh_network_are_read(tmp_path: Path) -> None:
    kwargs = {"activation_fn": nn.ReLU, "ortho_init": False, "log_std_init": -2.0, "normalize_images": False}
    path = saved(sb3_model("PPO", BOX, CONTINUOUS, policy_kwargs=kwargs), tmp_path / "m.zip")
    found = config(path).policy_kwargs
    assert (found.activation, found.ortho_init, found.log_std_init) == ("relu", False, -2.0)
    assert found.normalize_images is False


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*PPOConfig.model_fields, "action_noise", "use_sde_at_warmup"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
            ),
            max_leaves=6,
        ),
        max_size=6,
    )
)
def test_whatever_stands_there_the_config_is_valid(data: dict[str, Any]) -> None:
    completed, notes = with_hyperparameters({"name": "PPO"}, data, DISCRETE)
    algorithm: Algorithm = parse(Algorithm, completed)
    assert algorithm.name == "PPO"
    for key in ("n_epochs", "vf_coef"):
        given_, found = data.get(key), getattr(algorithm, key)
        assert key not in data or given_ == found or any(key in note for note in notes)


def test_sb3_reads_the_zip_too(tmp_path: Path) -> None:
    assert PPO.load(zip_of("PPO", tmp_path, **ZOO["PPO"])).gae_lambda == ZOO["PPO"]["gae_lambda"]
