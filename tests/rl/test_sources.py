import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from rl_transfer.core import digest_tensors
from rl_transfer.errors import BundleError, ConfigError, EnvironmentSpecError
from rl_transfer.rl.policies.bundle import Policy, load_policy
from rl_transfer.rl.sources import env_names
from rl_transfer.rl.sources.load import import_source, load_source
from rl_transfer.spec import Environment
from support.foreign import (
    ANYWHERE,
    BOX,
    CONTINUOUS,
    DICT,
    DISCRETE,
    IMAGE,
    OnlySpaces,
    as_of_2020,
    edit_data,
    edit_state,
    normalized,
    observe,
    rewrite,
    saved,
    sb3_model,
)  # fmt: skip
from support.untyped import untyped

MANY = spaces.Discrete(18)


NO_HYPERPARAMETERS = "the file says nothing of how it was trained; the defaults were assumed"
PICKLED = "hyperparameters that the file holds as pickles alone were not read"


def net(**policy_kwargs: Any) -> dict[str, Any]:
    return {"policy_kwargs": policy_kwargs}


def features(**kwargs: Any) -> dict[str, Any]:
    return {"features_extractor_kwargs": kwargs}


MODELS: dict[str, tuple[Any, ...]] = {
    "PPO": ("PPO", BOX, DISCRETE, {}),
    "PPO wide": ("PPO", BOX, CONTINUOUS, net(net_arch={"pi": [16], "vf": [8, 4]}, activation_fn=nn.ReLU)),
    "PPO without hidden layers": ("PPO", BOX, CONTINUOUS, net(net_arch={"pi": [], "vf": [3]})),
    "PPO gSDE": ("PPO", BOX, CONTINUOUS, {**net(net_arch=[8]), "use_sde": True}),
    "PPO one-hot, binary": ("PPO", spaces.Discrete(4), spaces.MultiBinary(3), {}),
    "PPO many digits": ("PPO", spaces.MultiDiscrete([4, 5]), spaces.MultiDiscrete([2, 3]), {}),
    "PPO CNN": ("PPO", IMAGE, MANY, {}),
    "PPO CNN separate": ("PPO", IMAGE, MANY, net(share_features_extractor=False, **features(features_dim=9))),
    "PPO CNN raw": ("PPO", IMAGE, MANY, net(normalize_images=False)),
    "PPO dict": ("PPO", DICT, CONTINUOUS, {}),
    "A2C": ("A2C", BOX, CONTINUOUS, net(net_arch=[7, 9], activation_fn=nn.ELU)),
    "TRPO": ("TRPO", BOX, CONTINUOUS, {}),
    "TRPO gSDE": ("TRPO", BOX, CONTINUOUS, {**net(net_arch=[8]), "use_sde": True, "sde_sample_freq": 4}),
    "DQN": ("DQN", BOX, DISCRETE, {}),
    "DQN CNN": ("DQN", IMAGE, MANY, net(**features(features_dim=64))),
    "DQN dict": ("DQN", DICT, MANY, net(**features(cnn_output_dim=20))),
    "QRDQN": ("QRDQN", BOX, DISCRETE, net(n_quantiles=7, net_arch=[5])),
    "SAC": ("SAC", BOX, CONTINUOUS, net(net_arch={"pi": [6], "qf": [8, 4]})),
    "SAC gSDE": ("SAC", BOX, CONTINUOUS, {**net(net_arch=[8]), "use_sde": True}),
    "SAC CNN shared": (
        "SAC", IMAGE, CONTINUOUS, net(share_features_extractor=True, net_arch=[8], **features(features_dim=9))
    ),
    "TD3": ("TD3", BOX, CONTINUOUS, net(net_arch=[6, 5], activation_fn=nn.Tanh)),
    "TD3 one critic": ("TD3", BOX, CONTINUOUS, net(net_arch=[6], n_critics=1)),
    "TD3 half DDPG": ("TD3", BOX, CONTINUOUS, {**net(net_arch=[6], n_critics=1), "target_noise_clip": 0.0}),
    "DDPG": ("DDPG", BOX, CONTINUOUS, net(net_arch=[6])),
    "TQC": ("TQC", BOX, CONTINUOUS, net(net_arch=[6], n_critics=3, n_quantiles=9)),
}  # fmt: skip


def same_policy(policy: Policy, model: BaseAlgorithm) -> None:
    """Every tensor, and every action on a batch of observations, bit for bit."""
    assert digest_tensors(policy.module.state_dict()) == digest_tensors(model.policy.state_dict())
    batch = observe(model.observation_space)
    expected, _ = model.predict(batch, deterministic=True)
    acted = policy.act()(batch)
    assert acted.dtype == expected.dtype
    np.testing.assert_array_equal(acted, expected)
    assert len(np.unique(expected, axis=0)) > 1, "a policy that always does the same shows nothing"


@pytest.mark.parametrize("case", MODELS)
def test_a_zip_gives_the_same_tensors_and_actions_as_sb3(case: str, tmp_path: Path) -> None:
    name, observations, actions, kwargs = MODELS[case]
    model = sb3_model(name, observations, actions, **kwargs)
    policy = load_source(saved(model, tmp_path / "model.zip"), env=ANYWHERE)
    same_policy(policy, model)
    assert policy.algorithm.name == name
    assert policy.module.observation_space == model.observation_space
    assert policy.module.action_space == model.action_space
    assert [note for note in policy.metadata["notes"] if not note.startswith(PICKLED)] == []
    assert policy.metadata["versions"]["stable-baselines3"].startswith("2.")


@pytest.mark.parametrize(("name", "actions"), [("PPO", DISCRETE), ("A2C", CONTINUOUS), ("DQN", DISCRETE)])
def test_a_zip_of_2020_on_old_gym_loads_though_sb3_cannot_load_it(
    name: str, actions: spaces.Space[Any], tmp_path: Path
) -> None:
    observations = spaces.Box(
        np.array([-4.8, -3.4028235e38, -0.41887903], np.float32),
        np.array([4.8, 3.4028235e38, 0.41887903], np.float32),
    )
    model = sb3_model(name, spaces.Box(-1, 1, (3,)), actions)
    model.observation_space = observations
    path = as_of_2020(saved(model, tmp_path / name.lower() / "CartPole-v0_1" / "CartPole-v0.zip"))
    with pytest.raises(ModuleNotFoundError, match="gym"):
        type(model).load(path)
    policy = load_source(path)
    assert policy.module.observation_space == observations
    model.observation_space = spaces.Box(-1, 1, (3,))
    same_policy(policy, model)
    assert policy.env == Environment(id="CartPole-v1")
    assert [note for note in policy.metadata["notes"] if not note.startswith(PICKLED)] == [
        "environment CartPole-v0 is now CartPole-v1 "
        "(the same physics; the time limit is 500 steps instead of 200)"
    ]
    assert policy.metadata["versions"] == {"stable-baselines3": "0.10.0"}


def test_a_cnn_of_before_sb3_1_7_lacks_two_of_its_names(tmp_path: Path) -> None:
    model = sb3_model("PPO", IMAGE, DISCRETE)
    path = as_of_2020(saved(model, tmp_path / "m.zip"))
    same_policy(load_source(path, env=ANYWHERE), model)


def test_names_of_one_tensor_that_hold_different_numbers_are_refused(tmp_path: Path) -> None:
    path = saved(sb3_model("PPO", IMAGE, DISCRETE), tmp_path / "m.zip")

    def contradict(state: dict[str, Any]) -> None:
        name = "pi_features_extractor.linear.0.bias"
        state[name] = state[name] + 1

    with pytest.raises(
        BundleError, match=r"linear\.0\.bias.* should be shared by two networks, but they differ"
    ):
        load_source(edit_state(path, contradict), env=ANYWHERE)


def test_layers_shared_by_policy_and_value_are_put_in_front_of_both(tmp_path: Path) -> None:
    # net_arch [16, dict(pi=[8], vf=[4])] of SB3 < 2: Linear(5, 16) shared, then 16 → 8 and 16 → 4.
    # Today: pi = [16, 8], vf = [16, 4], the first layer of both with the shared weights.
    model = sb3_model("PPO", policy_kwargs={"net_arch": {"pi": [16, 8], "vf": [16, 4]}})
    networks = model.policy.mlp_extractor
    networks.value_net[0].load_state_dict(networks.policy_net[0].state_dict())

    def share(state: dict[str, Any]) -> dict[str, Any]:
        shared = {}
        for name, each in state.items():
            if ".policy_net.0." in name:
                shared[name.replace("policy_net", "shared_net")] = each
            elif ".value_net.0." not in name:
                shared[name.replace("_net.2.", "_net.0.")] = each
        return shared

    path = edit_state(saved(model, tmp_path / "m.zip"), share)
    policy = load_source(path, env=ANYWHERE)
    same_policy(policy, model)
    assert policy.metadata["notes"] == [
        "layers shared by policy and value were put in front of both: the same function"
    ]


def test_algorithm_and_environment_are_read_off_the_name_and_hyperparameters(tmp_path: Path) -> None:
    path = saved(sb3_model("A2C"), tmp_path / "a2c-LunarLander-v2.zip")
    policy = load_source(path)
    assert (policy.algorithm.name, policy.env.id) == ("A2C", "LunarLander-v3")
    assert policy.metadata["notes"][0].startswith("environment LunarLander-v2 is now LunarLander-v3")
    with pytest.raises(BundleError, match="does not say which environment it was trained in"):
        load_source(path.rename(tmp_path / "best.zip"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("ppo-CartPole-v1.zip", ("PPO", "CartPole-v1")),
        ("tqc/FetchReach-v1_3/FetchReach-v1.zip", ("TQC", "FetchReach-v1")),
        ("sac/Ant-v3_1/best_model.zip", ("SAC", "Ant-v3")),
        ("sb3/qrdqn-MountainCar-v0/model.zip", ("QRDQN", "MountainCar-v0")),
        ("dqn-SpaceInvadersNoFrameskip-v4.zip", ("DQN", "SpaceInvadersNoFrameskip-v4")),
        ("her-parking-v0.zip", (None, "her-parking-v0")),
        ("downloads/model.zip", (None, None)),
    ],
)
def test_names(path: str, expected: tuple[str | None, str | None]) -> None:
    named = env_names.read_name(Path("/agents", path))
    assert (named.algorithm, named.env) == expected


def test_every_renaming_leads_to_a_registered_environment() -> None:
    import gymnasium as gym

    for old, renamed in env_names.RENAMES.items():
        assert renamed.id in gym.registry, old
        env, note = env_names.current(old)
        assert env.id == renamed.id
        assert note is not None
        assert old in note
        assert renamed.id in note
    assert env_names.current("CartPole-v1") == (Environment(id="CartPole-v1"), None)
    assert env_names.current("Ant-v3")[0].kwargs == {"use_contact_forces": True}


def test_without_hyperparameters_the_algorithm_must_be_said(tmp_path: Path) -> None:
    path = edit_data(
        saved(sb3_model("PPO"), tmp_path / "m.zip"), lambda data: [data.pop(k) for k in ("gae_lambda",)]
    )
    with pytest.raises(BundleError, match="fit PPO, A2C and TRPO alike, and nothing in the file"):
        load_source(path, env=ANYWHERE)
    for name in ("PPO", "a2c", "Trpo"):
        assert load_source(path, env=ANYWHERE, algorithm=name).algorithm.name == name.upper()
    with pytest.raises(BundleError, match="DQN was given, but the tensors are those of PPO or A2C or TRPO"):
        load_source(path, env=ANYWHERE, algorithm="DQN")
    with pytest.raises(ConfigError, match=r"unknown algorithm 'PPOO'\. Did you mean 'PPO'"):
        load_source(path, env=ANYWHERE, algorithm="PPOO")


def test_a_zip_without_data_takes_its_spaces_from_the_environment_and_assumes_the_activation(
    tmp_path: Path,
) -> None:
    model = sb3_model("PPO", spaces.Box(-1, 1, (4,)), spaces.Discrete(2))
    path = rewrite(saved(model, tmp_path / "ppo-CartPole-v1.zip"), lambda members: [members.pop("data")])
    policy = load_source(path)
    same_policy(policy, model)
    assert policy.metadata["notes"] == [
        "environment CartPole-v1 was read off the file's name",
        "the observation space is the one of CartPole-v1",
        "the action space is the one of CartPole-v1",
        "activation tanh was assumed (PPO's default; the tensors do not show it)",
        NO_HYPERPARAMETERS,
    ]
    relu = load_source(path, policy_kwargs={"activation": "relu"})
    assert relu.metadata["notes"][3:] == [NO_HYPERPARAMETERS]
    assert isinstance(untyped(relu.module).mlp_extractor.policy_net[1], nn.ReLU)
    with pytest.raises(EnvironmentSpecError, match="does not print its spaces in full"):
        load_source(path.rename(tmp_path / "m.zip"), env=ANYWHERE, algorithm="PPO")


def test_an_abbreviated_space_is_taken_from_the_environment(tmp_path: Path) -> None:
    model = sb3_model("PPO", spaces.Box(-1, 1, (4,)), spaces.Discrete(2))
    path = edit_data(
        saved(model, tmp_path / "ppo-CartPole-v1.zip"), lambda data: data["action_space"].pop("n")
    )
    policy = load_source(path)
    same_policy(policy, model)
    assert policy.metadata["notes"][1] == "the action space is the one of CartPole-v1"


def test_images_of_the_environment_get_their_channels_first(tmp_path: Path) -> None:
    model = sb3_model("PPO", IMAGE, DISCRETE)
    path = edit_data(saved(model, tmp_path / "m.zip"), lambda data: data.pop("observation_space"))
    import gymnasium as gym

    gym.register("OnlyImages-v0", untyped(lambda: OnlySpaces(IMAGE, DISCRETE)))
    try:
        policy = load_source(path, env=Environment(id="OnlyImages-v0"))
    finally:
        del gym.registry["OnlyImages-v0"]
    same_policy(policy, model)


class Doubling(BaseFeaturesExtractor):
    """A custom features extractor."""

    def __init__(self, observation_space: spaces.Box, features_dim: int = 4) -> None:
        super().__init__(observation_space, features_dim)
        self.layer = nn.Linear(observation_space.shape[0], features_dim)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        doubled: torch.Tensor = 2 * self.layer(observations)
        return doubled


def test_a_custom_features_extractor_comes_from_the_users_code_not_from_the_file(tmp_path: Path) -> None:
    model = sb3_model("PPO", policy_kwargs={"features_extractor_class": Doubling,
                                            "features_extractor_kwargs": {"features_dim": 6}})  # fmt: skip
    path = saved(model, tmp_path / "m.zip")
    with pytest.raises(BundleError, match=r"custom \(.*Doubling\).*features_extractor.*module:Class"):
        load_source(path, env=ANYWHERE)
    own: dict[str, Any] = {
        "features_extractor": f"{__name__}:Doubling",
        "features_extractor_kwargs": {"features_dim": 6},
    }
    same_policy(load_source(path, env=ANYWHERE, policy_kwargs=own), model)


def test_policies_that_a_config_cannot_say_are_refused_with_the_reason(tmp_path: Path) -> None:
    squashing = sb3_model("PPO", BOX, CONTINUOUS, use_sde=True, policy_kwargs={"squash_output": True})
    with pytest.raises(BundleError, match="squash_output=True, which cannot be rebuilt"):
        load_source(saved(squashing, tmp_path / "a.zip"), env=ANYWHERE)
    softplus = sb3_model("PPO", policy_kwargs={"activation_fn": nn.Softplus})
    with pytest.raises(BundleError, match="activation function Softplus cannot be said"):
        load_source(saved(softplus, tmp_path / "b.zip"), env=ANYWHERE)
    masked = edit_data(
        saved(sb3_model("PPO"), tmp_path / "c.zip"),
        lambda data: data["policy_class"].update(__module__="sb3_contrib.common.maskable.policies"),
    )
    with pytest.raises(BundleError, match="MaskablePPO, which acts under masks"):
        load_source(masked, env=ANYWHERE)


def test_a_recurrent_policy_is_refused(tmp_path: Path) -> None:
    import sb3_contrib

    from support.foreign import OnlySpaces

    model = sb3_contrib.RecurrentPPO(
        "MlpLstmPolicy", OnlySpaces(BOX, DISCRETE), n_steps=8, batch_size=8, device="cpu"
    )
    with pytest.raises(BundleError, match="recurrent policy"):
        load_source(saved(model, tmp_path / "m.zip"), env=ANYWHERE)


@pytest.mark.parametrize(
    ("name", "policy"), [("ARS", "MlpPolicy"), ("ARS", "LinearPolicy"), ("CrossQ", "MlpPolicy")]
)
def test_algorithms_without_a_counterpart_are_refused_by_name(name: str, policy: str, tmp_path: Path) -> None:
    import sb3_contrib

    model = getattr(sb3_contrib, name)(policy, OnlySpaces(BOX, CONTINUOUS), device="cpu")
    with pytest.raises(BundleError, match=rf"holds an? {name} policy"):
        load_source(saved(model, tmp_path / "m.zip"), env=ANYWHERE)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", [set, frozenset, list])
def test_statistics_whose_keys_are_a_set_are_read(kind: Any, protocol: int, tmp_path: Path) -> None:
    env = normalized(DICT, CONTINUOUS, norm_obs_keys=["wide"])
    env.norm_obs_keys = kind(["wide"])
    path = saved(sb3_model("PPO", DICT, CONTINUOUS), tmp_path / "m.zip")
    path.with_name("vec_normalize.pkl").write_bytes(pickle.dumps(env, protocol=protocol))
    policy = load_source(path, env=ANYWHERE)
    assert policy.normalizer is not None
    np.testing.assert_array_equal(policy.normalizer.mean["wide"], env.obs_rms["wide"].mean)


def test_importing_writes_a_bundle_of_the_same_identity(tmp_path: Path) -> None:
    model = sb3_model("SAC", BOX, CONTINUOUS, policy_kwargs={"net_arch": [6]})
    model.num_timesteps = 1234
    with torch.no_grad():
        model.log_ent_coef.fill_(-3.0)
    path = saved(model, tmp_path / "m.zip")
    loaded, imported = load_source(path, env=ANYWHERE), import_source(path, tmp_path / "bundle", env=ANYWHERE)
    assert loaded.digest == imported.digest == load_policy(tmp_path / "bundle").digest
    assert imported.metadata["log_ent_coef"] == -3.0
    assert imported.metadata["training"] == {"total_steps": 1234}
    same_policy(imported, model)
    again = import_source(tmp_path / "bundle", tmp_path / "copy")
    assert again.digest == imported.digest
    with pytest.raises(BundleError, match="exists already"):
        import_source(path, tmp_path / "bundle", env=ANYWHERE)
    moved = load_source(path.rename(tmp_path / "other.zip"), env=ANYWHERE)
    assert moved.digest == imported.digest, "the identity is the content, not the place"


def test_one_changed_weight_changes_the_identity(tmp_path: Path) -> None:
    model = sb3_model("PPO")
    before = load_source(saved(model, tmp_path / "a.zip"), env=ANYWHERE).digest
    with torch.no_grad():
        model.policy.action_net.bias[0] += 1e-6
    assert load_source(saved(model, tmp_path / "b.zip"), env=ANYWHERE).digest != before


def test_a_bundle_describes_itself(tmp_path: Path) -> None:
    path = saved(sb3_model("PPO"), tmp_path / "m.zip")
    bundle = tmp_path / "bundle"
    import_source(path, bundle, env=ANYWHERE)
    assert load_source(bundle, env=ANYWHERE, algorithm="PPO").env == ANYWHERE
    with pytest.raises(BundleError, match="is a PPO policy, but algorithm A2C was given"):
        load_source(bundle, algorithm="A2C")
    with pytest.raises(BundleError, match="was trained in Anywhere-v0, but the environment CartPole-v1"):
        load_source(bundle, env=Environment(id="CartPole-v1"))
    with pytest.raises(BundleError, match="describes itself"):
        load_source(bundle, name_map={"a": "b"})


@pytest.mark.parametrize("name", ["nowhere.zip", "notes.txt", "model.h5"])
def test_what_is_no_source_is_refused_with_what_would_be(name: str, tmp_path: Path) -> None:
    if name != "nowhere.zip":
        (tmp_path / name).write_text("text")
    with pytest.raises(BundleError, match=r"SB3 zip.*state dict|neither an SB3 zip nor a state dict"):
        load_source(tmp_path / name, env=ANYWHERE)


def test_loading_never_calls_sb3s_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(sb3_model("PPO"), tmp_path / "m.zip")

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("PPO.load unpickles")

    monkeypatch.setattr(PPO, "load", forbidden)
    load_source(path, env=ANYWHERE)
