"""State dicts by name map, and normalisation statistics."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from stable_baselines3 import A2C

from rl_transfer.core import digest_tensors
from rl_transfer.errors import BundleError, TransferError
from rl_transfer.rl.sources.load import import_source, load_source
from rl_transfer.rl.sources.vec_normalize import read_statistics
from rl_transfer.spec import Environment
from support.foreign import (
    ANYWHERE,
    BOX,
    CONTINUOUS,
    DISCRETE,
    normalized,
    observe,
    saved,
    sb3_model,
    torch_bytes,
)
from support.untyped import untyped

CARTPOLE = Environment(id="CartPole-v1")
PENDULUM = Environment(id="Pendulum-v1")
CLEANRL = {"actor_mean.0": "mlp_extractor.policy_net.0", "actor_mean.2": "mlp_extractor.policy_net.2",
           "actor_mean.4": "action_net", "actor_logstd": "log_std", "critic.0": "mlp_extractor.value_net.0",
           "critic.2": "mlp_extractor.value_net.2", "critic.4": "value_net"}  # fmt: skip


def pendulum_ppo() -> Any:
    return sb3_model("PPO", spaces.Box(-8, 8, (3,)), spaces.Box(-2, 2, (1,)))


def cleanrl_state(model: Any) -> dict[str, torch.Tensor]:
    """The tensors of an SB3 PPO under CleanRL's names: two sequences, log_std with a batch dimension."""
    state = {}
    for theirs, ours in CLEANRL.items():
        for name, each in model.policy.state_dict().items():
            if name == ours or name.startswith(f"{ours}."):
                state[theirs + name.removeprefix(ours)] = each
    state["actor_logstd"] = state["actor_logstd"].unsqueeze(0)
    return state


@pytest.mark.parametrize("kind", ["safetensors", "pth", "nested pt"])
def test_a_state_dict_of_another_library_acts_like_the_policy_it_is(kind: str, tmp_path: Path) -> None:
    model = pendulum_ppo()
    state, name_map = cleanrl_state(model), CLEANRL
    path = tmp_path / f"agent.{kind.split()[-1]}"
    if kind == "safetensors":
        save_file({name: each.contiguous() for name, each in state.items()}, path)
    elif kind == "pth":
        path.write_bytes(torch_bytes(state))
    else:
        checkpoint = {"agent": state, "optimizer": {"step": torch.ones(1), "lr": 0.1}, "epoch": 7}
        path.write_bytes(torch_bytes(checkpoint))
        name_map = {f"agent.{old}": new for old, new in CLEANRL.items()} | {"optimizer": "unused"}
    policy = load_source(path, env=PENDULUM, algorithm="PPO", name_map=name_map)
    assert digest_tensors(policy.module.state_dict()) == digest_tensors(model.policy.state_dict())
    batch = observe(model.observation_space)
    np.testing.assert_array_equal(policy.act()(batch), model.predict(batch, deterministic=True)[0])
    assert policy.metadata["notes"][-2:] == [
        "activation tanh was assumed (PPO's default; the tensors do not show it)",
        "the file says nothing of how it was trained; the defaults were assumed",
    ]


def test_target_networks_that_a_state_dict_leaves_out_are_filled_from_the_online_ones(tmp_path: Path) -> None:
    model = sb3_model(
        "TD3", spaces.Box(-8, 8, (3,)), spaces.Box(-2, 2, (1,)), policy_kwargs={"net_arch": [6]}
    )
    state = {name: each for name, each in model.policy.state_dict().items() if "_target" not in name}
    save_file(state, tmp_path / "td3.safetensors")
    policy = load_source(tmp_path / "td3.safetensors", env=PENDULUM, algorithm="TD3")
    for online, target in ((policy.module.actor, policy.module.actor_target),
                           (policy.module.critic, policy.module.critic_target)):  # fmt: skip
        assert digest_tensors(untyped(online).state_dict()) == digest_tensors(untyped(target).state_dict())
    assert [note for note in policy.metadata["notes"] if "target" in note] == [
        "actor_target is missing and was filled from actor",
        "critic_target is missing and was filled from critic",
    ]


def test_double_precision_is_converted_and_said(tmp_path: Path) -> None:
    model = pendulum_ppo()
    save_file({n: e.double() for n, e in model.policy.state_dict().items()}, tmp_path / "m.safetensors")
    policy = load_source(tmp_path / "m.safetensors", env=PENDULUM, algorithm="PPO")
    assert digest_tensors(policy.module.state_dict()) == digest_tensors(model.policy.state_dict())
    assert "13 tensor(s) were converted from float64 to float32" in policy.metadata["notes"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"actor_men.0": CLEANRL["actor_mean.0"]}, TransferError, r"renames 'actor_men\.0'.*Did you mean"),
        ({"critic.4": "valu_net"}, BundleError, r"holds no policy of Stable-Baselines3.*need a name map"),
        ({"critic.4": "action_net"}, TransferError, "both .* become 'action_net.weight'"),
        ({"actor_logstd": "log_sdt"}, BundleError, r"for log_sdt\. Did you mean 'log_std'.*Still missing"),
        ({"actor_logstd": "unused"}, BundleError, "needs log_std, which the file does not have"),
        ({"critic.2": "mlp_extractor.value_net.7"}, BundleError, r"no place for mlp_extractor\.value_net\.7"),
    ],
)  # fmt: skip
def test_a_wrong_name_map_is_refused_with_the_likely_name(
    change: dict[str, str], error: type[Exception], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "agent.pth"
    path.write_bytes(torch_bytes(cleanrl_state(pendulum_ppo())))
    name_map = {**CLEANRL, **change}
    if "actor_men.0" in change:
        del name_map["actor_mean.0"]
    with pytest.raises(error, match=message):
        load_source(path, env=PENDULUM, algorithm="PPO", name_map=name_map)


def test_a_state_dict_needs_environment_and_algorithm(tmp_path: Path) -> None:
    path = tmp_path / "ppo-CartPole-v1.pth"
    path.write_bytes(torch_bytes(sb3_model("PPO").policy.state_dict()))
    with pytest.raises(BundleError, match="say its env and algorithm as well"):
        load_source(path)
    with pytest.raises(BundleError, match=r"first layer reads 5 numbers, but the observations .* give 4"):
        load_source(path, env=CARTPOLE, algorithm="PPO")
    path.write_bytes(torch_bytes(sb3_model("PPO", spaces.Box(-1, 1, (4,))).policy.state_dict()))
    with pytest.raises(
        BundleError, match=r"action head gives 3 numbers, but the actions Discrete\(2\) need 2"
    ):
        load_source(path, env=CARTPOLE, algorithm="PPO")


def test_transposed_and_cut_tensors_are_refused_by_shape(tmp_path: Path) -> None:
    state = pendulum_ppo().policy.state_dict()
    state["value_net.weight"] = state["value_net.weight"].T
    (tmp_path / "m.pth").write_bytes(torch_bytes(state))
    with pytest.raises(BundleError, match=r"value_net\.weight has shape 64×1, expected 1×64"):
        load_source(tmp_path / "m.pth", env=PENDULUM, algorithm="PPO")


@pytest.mark.parametrize(("value", "word"), [(float("nan"), "NaN"), (float("inf"), "infinite")])
def test_weights_that_are_not_finite_are_refused(value: float, word: str, tmp_path: Path) -> None:
    model = sb3_model("PPO")
    with torch.no_grad():
        model.policy.action_net.bias[1] = value
    with pytest.raises(BundleError, match=rf"policy\.pth: action_net\.bias holds .*{word}"):
        load_source(saved(model, tmp_path / "m.zip"), env=ANYWHERE)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_truncated_tensor_files_are_refused(suffix: str, keep: int, tmp_path: Path) -> None:
    state = pendulum_ppo().policy.state_dict()
    path = tmp_path / f"m.{suffix}"
    save_file(state, path) if suffix == "safetensors" else path.write_bytes(torch_bytes(state))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BundleError, match=r"truncated|holds no tensors"):
        load_source(path, env=PENDULUM, algorithm="PPO")


@pytest.mark.parametrize("name", ["vec_normalize.pkl", "vecnormalize.pkl", "m/vecnormalize.pkl"])
def test_a_policy_gets_the_statistics_beside_it_and_acts_as_under_vecnormalize(
    name: str, tmp_path: Path
) -> None:
    model = sb3_model("A2C", BOX, CONTINUOUS)
    env = normalized(BOX, CONTINUOUS, clip_obs=1.5, clip_reward=7.0, gamma=0.9)
    path = saved(model, tmp_path / "m.zip")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    env.save(str(tmp_path / name))
    policy = import_source(path, tmp_path / "bundle", env=ANYWHERE)
    batch = observe(BOX)
    expected = model.predict(env.normalize_obs(batch), deterministic=True)[0]
    np.testing.assert_array_equal(policy.act()(batch), expected)
    assert not np.array_equal(expected, model.predict(batch, deterministic=True)[0])
    assert policy.algorithm.normalize is not None
    assert policy.algorithm.normalize.plain() == {
        "observation": True, "reward": True, "clip_observation": 1.5, "clip_reward": 7.0,
    }  # fmt: skip
    arrays = policy.bundle.normalization()
    np.testing.assert_array_equal(arrays["observation//mean"], env.obs_rms.mean)
    np.testing.assert_array_equal(arrays["observation//var"], env.obs_rms.var)
    assert arrays["observation//count"] == env.obs_rms.count
    assert arrays["reward//var"] == env.ret_rms.var
    assert policy.metadata["notes"] == ["normalisation statistics of observation and reward were read"]


def test_statistics_of_some_keys_of_a_dict(tmp_path: Path) -> None:
    space = spaces.Dict({"x": spaces.Box(-1, 1, (3,)), "y": spaces.Box(0, 9, (2,))})
    model = sb3_model("SAC", space, CONTINUOUS, policy_kwargs={"net_arch": [6]})
    env = normalized(space, CONTINUOUS, norm_obs_keys=["y"], norm_reward=False)
    env.save(str(tmp_path / "vec_normalize.pkl"))
    policy = load_source(saved(model, tmp_path / "m.zip"), env=ANYWHERE)
    batch = observe(space)
    np.testing.assert_array_equal(
        policy.act()(batch), model.predict(env.normalize_obs(batch), deterministic=True)[0]
    )
    assert sorted(policy.bundle.normalization()) == [
        f"observation/y/{each}" for each in ("count", "mean", "var")
    ]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol_is_read(protocol: int, tmp_path: Path) -> None:
    env = normalized(BOX, DISCRETE)
    env.observation_space.seed(3)  # a random generator goes along, in every numpy's notation
    path = tmp_path / "vec_normalize.pkl"
    path.write_bytes(pickle.dumps(env, protocol=protocol))
    arrays = read_statistics(path).arrays
    np.testing.assert_array_equal(arrays["normalization/observation//mean"], env.obs_rms.mean)
    np.testing.assert_array_equal(arrays["normalization/observation//var"], env.obs_rms.var)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_arrays_in_fortran_order_are_not_transposed(protocol: int, tmp_path: Path) -> None:
    env = normalized(spaces.Box(-1, 1, (2, 3)), DISCRETE)
    env.obs_rms.mean = np.asfortranarray(env.obs_rms.mean)
    path = tmp_path / "v.pkl"
    path.write_bytes(pickle.dumps(env, protocol=protocol))
    found = read_statistics(path).arrays["normalization/observation//mean"]
    np.testing.assert_array_equal(found, env.obs_rms.mean)


def test_the_statistics_file_of_an_old_gym_and_numpy(tmp_path: Path) -> None:
    content = pickle.dumps(normalized(BOX, DISCRETE), protocol=0)
    old = content.replace(b"cgymnasium.spaces", b"cgym.spaces").replace(b"cnumpy._core.", b"cnumpy.core.")
    assert old != content
    (tmp_path / "vecnormalize.pkl").write_bytes(old)
    assert read_statistics(tmp_path / "vecnormalize.pkl").config["observation"]


def test_another_epsilon_gives_the_same_scale(tmp_path: Path) -> None:
    # (x − mean) / √(var + ε'): our ε is 1e-8, so var' = var + ε' − 1e-8 gives the same root.
    env = normalized(BOX, DISCRETE, epsilon=0.25)
    env.save(str(tmp_path / "vec_normalize.pkl"))
    arrays = read_statistics(tmp_path / "vec_normalize.pkl").arrays
    np.testing.assert_allclose(
        arrays["normalization/observation//var"] + 1e-8, env.obs_rms.var + 0.25, rtol=1e-15, atol=0
    )


def test_statistics_of_another_policy_and_missing_ones(tmp_path: Path) -> None:
    path = saved(sb3_model("PPO"), tmp_path / "m.zip")
    other = tmp_path / "other.pkl"
    normalized(spaces.Box(-1, 1, (7,)), DISCRETE).save(str(other))
    with pytest.raises(BundleError, match=r"shape \(7,\), but the policy observes .*another policy"):
        load_source(path, env=ANYWHERE, statistics=other)
    with pytest.raises(BundleError, match="cannot be read"):
        load_source(path, env=ANYWHERE, statistics=tmp_path / "nowhere.pkl")


def test_a_policy_trained_under_vecnormalize_without_its_statistics_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SB3_LOGDIR", str(tmp_path))
    model = A2C("MlpPolicy", normalized(BOX, DISCRETE), device="cpu").learn(10)
    policy = load_source(saved(model, tmp_path / "m.zip"), env=ANYWHERE)
    assert "no statistics were found beside it" in policy.metadata["notes"][0]


@pytest.mark.parametrize("field", ["mean", "var"])
def test_statistics_that_are_not_finite_are_refused(field: str, tmp_path: Path) -> None:
    env = normalized(BOX, DISCRETE)
    getattr(env.obs_rms, field)[2] = np.nan
    env.save(str(tmp_path / "v.pkl"))
    with pytest.raises(BundleError, match=f"NaN or infinite values in normalization/observation//{field}"):
        read_statistics(tmp_path / "v.pkl")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mean=st.lists(st.floats(-1e30, 1e30), min_size=5, max_size=5),
    count=st.floats(1e-4, 1e12),
    protocol=st.integers(0, pickle.HIGHEST_PROTOCOL),
    dtype=st.sampled_from(["<f8", ">f8", "<f4"]),
)
def test_any_statistics_are_read_as_pickle_reads_them(
    mean: list[float], count: float, protocol: int, dtype: str, tmp_path: Path
) -> None:
    env = normalized(BOX, DISCRETE)
    env.obs_rms.mean, env.obs_rms.count = np.array(mean).astype(dtype), count
    path = tmp_path / "v.pkl"
    path.write_bytes(pickle.dumps(env, protocol=protocol))
    with path.open("rb") as file:
        theirs = pickle.load(file)
    arrays = read_statistics(path).arrays
    np.testing.assert_array_equal(arrays["normalization/observation//mean"], theirs.obs_rms.mean)
    assert arrays["normalization/observation//count"] == theirs.obs_rms.count
