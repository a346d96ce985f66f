"""Bundles as Stable-Baselines3's own files, and what is in a policy."""

import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from rl_transfer.core import digest_tensors, load_bundle, save_bundle
from rl_transfer.core import inventory_table as table
from rl_transfer.errors import BundleError
from rl_transfer.frame import InspectionHints
from rl_transfer.rl.policies.bundle import load_policy
from rl_transfer.rl.policies.export import export_sb3
from rl_transfer.rl.room import ROOM
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
    normalized,
    observe,
    saved,
    sb3_class,
    sb3_model,
)
from support.rl import Execute
from support.untyped import untyped

SMALL = {"policy_kwargs": {"net_arch": [6]}}
POLICIES: dict[str, tuple[Any, ...]] = {
    "PPO": ("PPO", BOX, DISCRETE, {}),
    "PPO CNN separate": ("PPO", IMAGE, DISCRETE, {"policy_kwargs": {"share_features_extractor": False}}),
    "PPO dict": ("PPO", DICT, CONTINUOUS, {}),
    "A2C gSDE": ("A2C", BOX, CONTINUOUS, {"use_sde": True}),
    "TRPO": ("TRPO", BOX, CONTINUOUS, {}),
    "DQN": ("DQN", BOX, DISCRETE, SMALL),
    "QRDQN": ("QRDQN", BOX, DISCRETE, {"policy_kwargs": {"n_quantiles": 7}}),
    "SAC": ("SAC", BOX, CONTINUOUS, SMALL),
    "TD3": ("TD3", BOX, CONTINUOUS, SMALL),
    "DDPG": ("DDPG", BOX, CONTINUOUS, SMALL),
    "TQC": ("TQC", BOX, CONTINUOUS, SMALL),
}


@pytest.mark.parametrize("case", POLICIES)
def test_sb3_loads_the_export_and_acts_the_same(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, observations, actions, kwargs = POLICIES[case]
    model = sb3_model(name, observations, actions, **kwargs)
    model.num_timesteps = 4096
    if name in ("SAC", "TQC"):
        with torch.no_grad():
            model.log_ent_coef.fill_(-1.5)
    policy = import_source(saved(model, tmp_path / "m.zip"), tmp_path / "bundle", env=ANYWHERE)
    exported = tmp_path / "out" / "policy.zip"
    export_sb3(tmp_path / "bundle", exported)
    assert [path.name for path in exported.parent.iterdir()] == ["policy.zip"]

    for module in [each for each in sys.modules if each.partition(".")[0] == "rl_transfer"]:
        monkeypatch.setitem(
            sys.modules, module, None
        )  # the zip must load where this package is not installed
    found: Any = sb3_class(name).load(exported, device="cpu")
    batch = observe(model.observation_space)
    expected = model.predict(batch, deterministic=True)[0]
    np.testing.assert_array_equal(found.predict(batch, deterministic=True)[0], expected)
    np.testing.assert_array_equal(policy.act()(batch), expected)
    assert digest_tensors(found.policy.state_dict()) == digest_tensors(model.policy.state_dict())
    assert found.num_timesteps == 4096
    assert found.seed is None, "a seed would seed the global generators of whoever loads the zip"
    if name in ("SAC", "TQC"):
        assert found.log_ent_coef.item() == -1.5
    if hasattr(found, "buffer_size"):
        assert found.buffer_size == model.buffer_size
    assert found.gamma == model.gamma


def test_a_run_exports_with_its_schedules_and_statistics(run: Execute, tmp_path: Path) -> None:
    folder = run(algorithm={
        "name": "PPO", "n_envs": 2, "n_steps": 16, "batch_size": 16, "n_epochs": 2,
        "learning_rate": {"linear": 0.001, "final": 0.0005}, "clip_range": {"linear": 0.2}, "normalize": {},
    })  # fmt: skip
    export_sb3(folder.path, tmp_path / "policy.zip")
    policy = load_policy(folder.path)
    found: Any = sb3_class("PPO").load(tmp_path / "policy.zip", device="cpu")
    placeholder = DummyVecEnv([lambda: OnlySpaces(found.observation_space, found.action_space)] * 2)
    env: Any = VecNormalize.load(str(tmp_path / "vecnormalize.pkl"), placeholder)
    batch = observe(spaces.Box(-2, 2, (4,)))
    np.testing.assert_array_equal(
        found.predict(env.normalize_obs(batch), deterministic=True)[0], policy.act()(batch)
    )
    arrays = policy.bundle.normalization()
    np.testing.assert_array_equal(env.obs_rms.mean, arrays["observation//mean"])
    np.testing.assert_array_equal(env.ret_rms.var, arrays["reward//var"])
    assert env.obs_rms.count == arrays["observation//count"]
    assert not env.training
    # Linear from 0.001 to 0.0005: at half of the budget 0.00075; the clip range from 0.2 to 0: 0.1.
    assert found.lr_schedule(0.5) == pytest.approx(0.00075)
    assert found.clip_range(0.5) == pytest.approx(0.1)
    assert (found.n_envs, found.n_steps, found.num_timesteps) == (2, 16, 128)


def test_an_export_can_go_on_training(run: Execute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SB3_LOGDIR", str(tmp_path))
    export_sb3(run().path, tmp_path / "policy.zip")
    model = sb3_class("PPO").load(tmp_path / "policy.zip", device="cpu")
    before = digest_tensors(model.policy.state_dict())
    venv = DummyVecEnv([lambda: OnlySpaces(model.observation_space, model.action_space)] * 2)
    model.set_env(venv)
    model.learn(64)
    assert digest_tensors(model.policy.state_dict()) != before


def test_an_export_is_a_source_again(run: Execute, tmp_path: Path) -> None:
    folder = run(algorithm={"name": "A2C", "n_steps": 8, "normalize": {"reward": False}})
    export_sb3(folder.path, tmp_path / "a2c-CartPole-v1.zip")
    again, policy = load_source(tmp_path / "a2c-CartPole-v1.zip"), load_policy(folder.path)
    assert again.env == policy.env
    assert again.algorithm.normalize == policy.algorithm.normalize
    batch = observe(spaces.Box(-2, 2, (4,)))
    np.testing.assert_array_equal(again.act()(batch), policy.act()(batch))
    assert again.metadata["training"] == {"total_steps": 128}


def test_statistics_of_some_keys_are_exported_for_those_keys(tmp_path: Path) -> None:
    space = spaces.Dict({"x": spaces.Box(-1, 1, (3,)), "y": spaces.Box(0, 9, (2,))})
    model = sb3_model("PPO", space, CONTINUOUS)
    normalized(space, CONTINUOUS, norm_obs_keys=["y"]).save(str(tmp_path / "vecnormalize.pkl"))
    policy = import_source(saved(model, tmp_path / "m.zip"), tmp_path / "bundle", env=ANYWHERE)
    export_sb3(tmp_path / "bundle", tmp_path / "out" / "policy.zip")
    placeholder = DummyVecEnv([lambda: OnlySpaces(space, CONTINUOUS)])
    env: Any = VecNormalize.load(str(tmp_path / "out" / "vecnormalize.pkl"), placeholder)
    batch = observe(space)
    found: Any = sb3_class("PPO").load(tmp_path / "out" / "policy.zip", device="cpu")
    np.testing.assert_array_equal(
        found.predict(env.normalize_obs(batch), deterministic=True)[0], policy.act()(batch)
    )


@pytest.mark.parametrize("taken", ["policy.zip", "vecnormalize.pkl"])
def test_nothing_is_ever_overwritten(taken: str, tmp_path: Path) -> None:
    model = sb3_model("PPO")
    normalized(BOX, DISCRETE).save(str(tmp_path / "vecnormalize.pkl"))
    import_source(saved(model, tmp_path / "m.zip"), tmp_path / "bundle", env=ANYWHERE)
    out = tmp_path / "out"
    out.mkdir()
    (out / taken).write_text("mine")
    with pytest.raises(BundleError, match=f"{taken} exists already and is not overwritten"):
        export_sb3(tmp_path / "bundle", out / "policy.zip")
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [(taken, "mine")]


def test_what_cannot_be_exported_says_why(tmp_path: Path) -> None:
    import_source(saved(sb3_model("PPO"), tmp_path / "m.zip"), tmp_path / "bundle", env=ANYWHERE)
    with pytest.raises(BundleError, match=r"must end in \.zip"):
        export_sb3(tmp_path / "bundle", tmp_path / "policy.pkl")
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="cannot be written"):
        export_sb3(tmp_path / "bundle", tmp_path / "file" / "policy.zip")
    with pytest.raises(BundleError, match="no such bundle or run folder"):
        export_sb3(tmp_path / "nowhere", tmp_path / "policy.zip")


def test_a_progressive_column_has_no_counterpart_in_sb3(run: Execute, tmp_path: Path) -> None:
    source = run()
    column = run(source=source, strategy={"copy": ["all"], "freeze": [], "progressive": True})
    with pytest.raises(BundleError, match="progressive column, which Stable-Baselines3 does not know"):
        export_sb3(column.path, tmp_path / "policy.zip")


def test_loading_importing_and_exporting_draw_no_random_numbers(tmp_path: Path) -> None:
    path = saved(sb3_model("SAC", BOX, CONTINUOUS, **SMALL), tmp_path / "m.zip")
    before = torch.get_rng_state(), untyped(np.random.get_state())[1].tolist()  # noqa: NPY002
    load_source(path, env=ANYWHERE)
    import_source(path, tmp_path / "b", env=ANYWHERE)
    export_sb3(tmp_path / "b", tmp_path / "policy.zip")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert untyped(np.random.get_state())[1].tolist() == before[1]  # noqa: NPY002


# --- inspect -----------------------------------------------------------------------------------------


def inspect(path: Path, env: Environment | None = None) -> Any:
    return ROOM.inspect(str(path), InspectionHints(env=None if env is None else env.id))


def test_rows_of_a_small_policy_by_hand(tmp_path: Path) -> None:
    # PPO on 5 observations and 3 actions, pi = [4], vf = [2]:
    #   policy_trunk 4·5 + 4 = 24, value_trunk 2·5 + 2 = 12, action_head 3·4 + 3 = 15, value_head 1·2 + 1 = 3;
    #   together 54; statistics: mean 5, var 5, count 1 = 11, and 3 of the return: 14. All in all 68.
    model = sb3_model("PPO", policy_kwargs={"net_arch": {"pi": [4], "vf": [2]}})
    normalized(BOX, DISCRETE).save(str(tmp_path / "vecnormalize.pkl"))
    rows = inspect(saved(model, tmp_path / "m.zip"), env=ANYWHERE)
    totals = {(row["part"], row["role"]): row["elements"] for row in rows if row["tensor"] is None}
    assert totals == {
        ("policy_trunk", "trunk"): 24, ("value_trunk", "trunk"): 12, ("action_head", "head"): 15,
        ("value_head", "head"): 3, ("normalization", "statistics"): 14, ("all", ""): 68,
    }  # fmt: skip
    state = model.policy.state_dict()
    bias = next(row for row in rows if row["tensor"] == "action_net.bias")
    assert bias == {
        "part": "action_head", "role": "head", "tensor": "action_net.bias", "shape": [3], "elements": 3,
        "dtype": "float32", "digest": digest_tensors({"action_net.bias": state["action_net.bias"]})[:12],
    }  # fmt: skip
    head = {name: state[name] for name in ("action_net.weight", "action_net.bias")}
    total = next(row for row in rows if row["part"] == "action_head" and row["tensor"] is None)
    assert total["digest"] == digest_tensors(head)[:12]


def test_the_table_has_a_line_per_row_and_aligned_columns(tmp_path: Path) -> None:
    rows = inspect(saved(sb3_model("PPO"), tmp_path / "m.zip"), env=ANYWHERE)
    lines = table(rows).splitlines()
    assert len(lines) == len(rows) + 2
    assert lines[0].split() == ["part", "role", "tensor", "shape", "elements", "dtype", "digest"]
    weight = next(line for line in lines if "mlp_extractor.policy_net.2.weight" in line)
    assert weight.split()[:6] == [
        "policy_trunk", "trunk", "mlp_extractor.policy_net.2.weight", "64×64", "4,096", "float32"
    ]  # fmt: skip
    assert lines[-1].split()[:2] == ["all", "total"]


def test_a_shared_extractor_is_listed_once_and_changes_show_in_its_part_alone(tmp_path: Path) -> None:
    model = sb3_model("PPO", IMAGE, DISCRETE)
    before = inspect(saved(model, tmp_path / "a.zip"), env=ANYWHERE)
    names = [row["tensor"] for row in before if row["tensor"]]
    assert len(names) == len(set(names))
    assert sum("cnn.0.weight" in name for name in names) == 1
    with torch.no_grad():
        model.policy.action_net.bias[0] += 1
    after = inspect(saved(model, tmp_path / "b.zip"), env=ANYWHERE)
    changed = [
        (old["part"], old["tensor"])
        for old, new in zip(before, after, strict=True)
        if old["digest"] != new["digest"]
    ]
    assert changed == [("action_head", "action_net.bias"), ("action_head", None), ("all", None)]


def test_our_own_bundle_is_inspected_and_an_altered_one_refused(run: Execute, tmp_path: Path) -> None:
    folder = run()
    assert inspect(folder.path) == inspect(folder.bundle)
    bundle = load_bundle(folder.bundle)
    save_bundle(tmp_path / "copy", bundle.state(), bundle.metadata, kind="policy")
    assert inspect(tmp_path / "copy") == inspect(folder.path)
    path = tmp_path / "copy" / "tensors.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="was altered after it was written"):
        inspect(tmp_path / "copy")
    path.write_bytes(content[:-8])
    with pytest.raises(BundleError, match="truncated"):
        inspect(tmp_path / "copy")


def test_the_exported_zip_holds_what_sb3_writes(tmp_path: Path) -> None:
    path = saved(sb3_model("PPO"), tmp_path / "m.zip")
    import_source(path, tmp_path / "bundle", env=ANYWHERE)
    export_sb3(tmp_path / "bundle", tmp_path / "policy.zip")
    with zipfile.ZipFile(path) as theirs, zipfile.ZipFile(tmp_path / "policy.zip") as ours:
        assert sorted(ours.namelist()) == sorted(theirs.namelist())
