"""What lies beside an old agent's zip: rl-zoo's config with its wrappers, statistics of still inputs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from rl_transfer.errors import BundleError
from rl_transfer.rl.environments.build import make_env
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.room import play
from rl_transfer.rl.sources.load import import_source, load_source
from rl_transfer.rl.sources.upbringing import read_wrappers
from rl_transfer.spec import Environment
from support.cli import Call, calling
from support.foreign import normalized, saved, sb3_model

PENDULUM = spaces.Box(np.array([-1, -1, -8], np.float32), np.array([1, 1, 8], np.float32))
WITH_TIME = spaces.Box(np.array([-1, -1, -8, 0], np.float32), np.array([1, 1, 8, 1], np.float32))
TORQUE = spaces.Box(-2, 2, (1,))
# As rl-zoo dumps it (an OrderedDict, with Python's tags), and as people write it.
DUMPED = """\
!!python/object/apply:collections.OrderedDict
- - - batch_size
    - 64
  - - env_wrapper
    - {wrapper}
  - - normalize
    - true
  - - policy_kwargs
    - dict(log_std_init=-2, ortho_init=False)
"""
WRITTEN = "n_timesteps: 1000000.0\nenv_wrapper: {wrapper}\nnormalize: true\n"
NAME = "sb3_contrib.common.wrappers.TimeFeatureWrapper"


def agent(folder: Path, config: str | None, where: str = "", seen: Any = WITH_TIME) -> Path:
    """A zip in rl-zoo's layout: ``ppo/Pendulum-v1_1/Pendulum-v1.zip``, the rest in ``Pendulum-v1/`` there."""
    path = saved(sb3_model("PPO", seen, TORQUE), folder / "ppo" / "Pendulum-v1_1" / "Pendulum-v1.zip")
    beside = path.parent / where
    beside.mkdir(exist_ok=True)
    (beside / "args.yml").write_text("!!python/object/apply:collections.OrderedDict\n- - - algo\n    - ppo\n")
    if config is not None:
        (beside / "config.yml").write_text(config)
    return path


@pytest.mark.parametrize("form", [DUMPED, WRITTEN])
@pytest.mark.parametrize("where", ["", "Pendulum-v1"])
@pytest.mark.parametrize(
    ("wrapper", "expected"),
    [
        (NAME, {"feature": "remaining"}),
        ("utils.wrappers.TimeFeatureWrapper", {"feature": "remaining"}),
        (f"[{NAME}]", {"feature": "remaining"}),
        (f"[{{{NAME}: {{test_mode: true, max_steps: 300}}}}]", {"feature": "constant", "max_steps": 300}),
        (f"{{{NAME}: {{test_mode: false}}}}", {"feature": "remaining"}),
    ],
)
def test_the_time_feature_is_noticed(
    form: str, where: str, wrapper: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    path = agent(tmp_path, form.format(wrapper=wrapper), where)
    policy = load_source(path)
    assert policy.env == Environment(id="Pendulum-v1", perturb=({"time_feature": expected},))
    assert (
        f"config.yml names TimeFeatureWrapper: the environment got time_feature: {expected['feature']}"
        in (policy.metadata["notes"])
    )
    assert play(policy, None, 2, 0, True)[1].lengths == [200, 200]
    again = load_source(path, env=policy.env)
    assert again.env == policy.env, "it is not added twice"
    assert again.digest == policy.digest
    assert load_source(path, env=Environment(id="Pendulum-v1")).env == policy.env


def test_without_its_config_the_policy_does_not_fit_its_environment(tmp_path: Path) -> None:
    from rl_transfer.errors import TransferError

    with pytest.raises(TransferError, match=r"observation space is .*\(4,\)"):
        play(load_source(agent(tmp_path, None)), None, 1, 0, True)


def test_other_wrappers_are_told(tmp_path: Path) -> None:
    path = agent(tmp_path, WRITTEN.format(wrapper="evil_module.wrappers.HistoryWrapper"), seen=PENDULUM)
    policy = load_source(path)
    assert policy.env == Environment(id="Pendulum-v1")
    assert any("names the wrapper evil_module.wrappers.HistoryWrapper" in n for n in policy.metadata["notes"])


@pytest.mark.parametrize(
    "text",
    [
        "env_wrapper: !!python/object/apply:os.system ['true']",
        "env_wrapper: !!python/name:os.system ''",
        "[" * 5000,
        "a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*a, *a, *a, *a]\n" for i in range(9)),
        "a0: &a0 []\n"
        + "".join(f"a{i}: &a{i} [*a{i - 1},*a{i - 1}]\n" for i in range(1, 40))
        + "env_wrapper: [*a39]\n",
        "env_wrapper: [1, 2, {3: 4}]",
        "just text",
        "\x00",
        "key: 1\nkey: 2",
        "",
    ],
    ids=[
        "object",
        "name",
        "deep",
        "aliases",
        "aliases in brackets",
        "numbers",
        "text",
        "zero",
        "twice",
        "nothing",
    ],
)
def test_whatever_a_config_holds_the_policy_is_read_and_nothing_run(text: str, tmp_path: Path) -> None:
    policy = load_source(agent(tmp_path, text, seen=PENDULUM))
    assert policy.env == Environment(id="Pendulum-v1")


def test_a_config_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("env_wrapper: {")
    assert read_wrappers(tmp_path / "config.yml")[1][0].startswith("config.yml beside it was not read: ")
    (tmp_path / "big.yml").write_bytes(b"#" * (2**16 + 1))
    assert read_wrappers(tmp_path / "big.yml") == (
        [],
        ["big.yml beside it was not read: it is larger than 64 KiB"],
    )


def statistics(path: Path, still: list[int], mean: float = 0.0) -> None:
    """Statistics of a million steps beside the zip, in which some inputs were always 0."""
    env = normalized(PENDULUM, TORQUE)
    env.obs_rms.mean, env.obs_rms.var = np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.5, 4.0])
    env.obs_rms.mean[still], env.obs_rms.var[still] = mean, 9e-11
    env.save(str(path.with_name("vecnormalize.pkl")))


def returns(policy: Policy) -> list[float]:
    return play(policy, None, 3, 0, True)[1].returns


def test_inputs_that_never_moved_are_told_and_masked_on_demand(tmp_path: Path) -> None:
    path = agent(tmp_path, None, seen=PENDULUM)
    statistics(path, [1, 2])
    plain, masked = load_source(path), load_source(path, mask_zeros=True)
    told = [note for note in plain.metadata["notes"] if "always 0" in note]
    assert told[0].startswith("2 of its inputs (1 to 2) were always 0 while it was trained")
    assert "perturb: [{observation_missing: {dimensions: [1, 2], mode: zero}}]" in told[0]
    entry = {"observation_missing": {"dimensions": [1, 2], "mode": "zero"}}
    assert plain.env.perturb == ()
    assert masked.env.perturb == (entry,)
    assert any(note.endswith("the environment got observation_missing") for note in masked.metadata["notes"])
    # By hand: the same observations with those inputs at 0 are what the policy gets.
    seen = np.stack([make_env(masked.env).reset(seed=seed)[0] for seed in range(4)])
    assert (seen[:, 1:] == 0).all()
    assert (seen[:, 0] != 0).all()
    assert returns(plain) != returns(masked)
    assert load_source(path, env=masked.env).env == masked.env, "it is not masked twice, and nothing is told"


def test_inputs_that_stood_elsewhere_or_moved_a_little_are_no_zeros(tmp_path: Path) -> None:
    path = agent(tmp_path, None, seen=PENDULUM)
    statistics(path, [1, 2], mean=0.7)
    assert not [note for note in load_source(path).metadata["notes"] if "always 0" in note]
    assert load_source(path, mask_zeros=True).env.perturb == ()


def test_ants_of_v3_saw_no_contacts(tmp_path: Path) -> None:
    """The layout of rl-zoo's ``ppo/Ant-v3_1``: 84 contact inputs, 27 to 110, that mujoco-py left at 0."""
    pytest.importorskip("mujoco")
    seen = spaces.Box(-np.inf, np.inf, (111,), np.float64)
    model = sb3_model("PPO", seen, spaces.Box(-1, 1, (8,)))
    path = saved(model, tmp_path / "ppo" / "Ant-v3_1" / "Ant-v3.zip")
    env = normalized(seen, spaces.Box(-1, 1, (8,)))
    env.obs_rms.mean[27:], env.obs_rms.var[27:] = 0.0, 1e-11
    (path.parent / "Ant-v3").mkdir()
    env.save(str(path.parent / "Ant-v3" / "vecnormalize.pkl"))
    policy = import_source(path, tmp_path / "bundle", mask_zeros=True)
    assert policy.env.id == "Ant-v4"
    assert policy.env.kwargs == {"use_contact_forces": True}
    assert any(note.startswith("84 of its inputs (27 to 110)") for note in policy.metadata["notes"])
    ant = make_env(policy.env)
    ant.reset(seed=0)
    steps = [ant.step(np.ones(8, np.float32))[0] for _ in range(30)]
    assert not np.any([step[27:] for step in steps])
    plain = make_env(policy.env.model_copy(update={"perturb": ()}))
    plain.reset(seed=0)
    assert np.any([plain.step(np.ones(8, np.float32))[0][27:] for _ in range(30)]), (
        "contacts are reported today"
    )


def test_a_transfer_tells_what_was_assumed_of_its_source(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    call: Call = calling(capfd)
    box = spaces.Box(-1, 1, (4,))
    path = saved(sb3_model("PPO", box, spaces.Discrete(2)), tmp_path / "ppo-CartPole-v0.zip")
    env = normalized(box, spaces.Discrete(2))
    env.obs_rms.mean[3], env.obs_rms.var[3] = 0, 1e-11
    env.save(str(path.with_name("vecnormalize.pkl")))
    short = ["training.total_steps=512", "evaluation.every=512", "evaluation.episodes=1"]
    outcome = call(
        "transfer", "cartpole-reversed", "--source", str(path), "-o", str(tmp_path / "out"), *short,
        "strategy.normalization=fresh",
    )  # fmt: skip
    assert "note: environment CartPole-v0 is now CartPole-v1" in outcome.out, outcome.err
    assert "note: 1 of its inputs (3) were always 0" in outcome.out


def test_the_command_line_masks(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    call: Call = calling(capfd)
    path = agent(tmp_path, None, seen=PENDULUM)
    statistics(path, [2])
    outcome = call("policies", "import", str(path), "-o", str(tmp_path / "bundle"), "--mask-zeros")
    assert outcome.code == 0, outcome.err
    assert "note: 1 of its inputs (2) were always 0" in outcome.out
    described = json.loads((tmp_path / "bundle" / "bundle.json").read_text())["metadata"]
    assert described["env"]["perturb"] == [{"observation_missing": {"dimensions": [2], "mode": "zero"}}]
    played = json.loads(call("evaluate", str(path), "--mask-zeros", "--episodes", "2", "--json").out)
    ours = json.loads(call("evaluate", str(tmp_path / "bundle"), "--episodes", "2", "--json").out)
    assert played["returns"] == ours["returns"]
    refused = call("evaluate", str(tmp_path / "bundle"), "--mask-zeros")
    assert refused.code == 6
    with pytest.raises(BundleError, match="a mask are for foreign files"):
        load_source(tmp_path / "bundle", mask_zeros=True)
