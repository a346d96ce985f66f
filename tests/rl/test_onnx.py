"""Policies as ONNX graphs: the same actions on raw observations, or nothing is written."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from runpy import run_path
from typing import Any

import gymnasium
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from gymnasium import spaces
from torch.distributions import Distribution

from rl_transfer.errors import BundleError, EnvironmentSpecError, MissingExtraError
from rl_transfer.rl import publishing, room
from rl_transfer.rl.policies import onnx_graph
from rl_transfer.rl.policies.bundle import load_policy
from rl_transfer.rl.policies.onnx_graph import OnnxAgreement, export_onnx
from rl_transfer.rl.sources.load import import_source
from rl_transfer.spec import Environment
from support.cli import calling
from support.foreign import BOX, CONTINUOUS, DICT, DISCRETE, IMAGE, OnlySpaces, Space, saved, sb3_model
from support.rl import Execute

SMALL = {"policy_kwargs": {"net_arch": [6]}}
CASES: dict[str, tuple[str, Space, Space, dict[str, Any]]] = {
    "several choices, numbered states": ("PPO", spaces.Discrete(5), spaces.MultiDiscrete([3, 2]), SMALL),
    "image, channels last": ("PPO", IMAGE, DISCRETE, {}),
    "dict, clipped mean under gSDE": ("A2C", DICT, CONTINUOUS, {"use_sde": True}),
    "argmax of values": ("DQN", BOX, DISCRETE, SMALL),
    "rescaled squashed mean": ("SAC", BOX, CONTINUOUS, SMALL),
}


@pytest.fixture
def here(request: pytest.FixtureRequest) -> Iterator[str]:
    """A registered environment that is only the spaces of a case."""
    _, observations, actions, _ = CASES[request.param]
    gymnasium.register("Here-v0", lambda **_: OnlySpaces(observations, actions), max_episode_steps=6)
    yield request.param
    gymnasium.registry.pop("Here-v0")


@pytest.mark.parametrize("here", CASES, indirect=True)
def test_the_graph_acts_like_the_policy(here: str, tmp_path: Path) -> None:
    name, observations, actions, kwargs = CASES[here]
    model = sb3_model(name, observations, actions, **kwargs)
    import_source(saved(model, tmp_path / "m.zip"), tmp_path / "b", env=Environment(id="Here-v0"))
    agreed = export_onnx(tmp_path / "b", tmp_path / "policy.onnx")
    assert agreed.observations == 8 * 6
    session = onnxruntime.InferenceSession(tmp_path / "policy.onnx")
    observations.seed(99)
    drawn = [observations.sample() for _ in range(5)]
    keys = [*observations.spaces] if isinstance(observations, spaces.Dict) else [""]
    stacked: Any = {key: np.stack([each[key] if key else each for each in drawn]) for key in keys}
    (found,) = session.run(["action"], {key or "observation": value for key, value in stacked.items()})
    wanted = model.predict(stacked.get("", stacked), deterministic=True)[0]
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    if isinstance(actions, spaces.Box):
        policy = load_policy(tmp_path / "b")
        with torch.no_grad():
            for parameter in policy.module.parameters():
                parameter.add_(0.05)
        with pytest.raises(
            BundleError, match=r"differ from the policy's by up to \d\S*, on \d of 5 observations"
        ):
            onnx_graph._compared(policy, (tmp_path / "policy.onnx").read_bytes(), stacked)
    assert len(np.unique(wanted.reshape(5, -1), axis=0)) > 1 or name == "PPO", "the actions differ at all"


def test_statistics_are_in_the_graph(run: Execute, tmp_path: Path) -> None:
    folder = run(algorithm={"name": "A2C", "n_steps": 8, "normalize": {"clip_observation": 0.5}})
    export_onnx(folder.path, tmp_path / "policy.onnx")
    model = onnx.load(tmp_path / "policy.onnx")
    assert {"Sub", "Div", "Clip"} <= {node.op_type for node in model.graph.node}
    told = {entry.key: entry.value for entry in model.metadata_props}
    policy = load_policy(folder.path)
    assert told == {"rl_transfer.digest": policy.digest, "rl_transfer.environment": "CartPole-v1"}
    content = (tmp_path / "policy.onnx").read_bytes()
    assert str(Path.cwd()).encode() not in content
    assert b".py" not in content, "the exporter's stack traces tell of this machine"
    session = onnxruntime.InferenceSession(content)
    batch = np.random.default_rng(0).normal(0, 3, (200, 4)).astype(np.float32)
    (found,) = session.run(None, {"observation": batch})
    np.testing.assert_array_equal(found, policy.act()(batch))
    assert policy.normalizer is not None
    usual = replace(policy, normalizer=replace(policy.normalizer, clip=10.0))
    _, met = onnx_graph._met(usual)
    for clip in (20.0, 1e9):
        other_clip = replace(policy, normalizer=replace(policy.normalizer, clip=clip))
        assert (usual.act()(met[""]) != other_clip.act()(met[""])).any(), "other clipping would be seen"
    moved = replace(policy.normalizer, mean={"": policy.normalizer.mean[""] + 3})
    other = int((replace(policy, normalizer=moved).act()(batch) != found).sum())
    assert other
    with pytest.raises(BundleError, match=f"another action than the policy on {other} of 200 observations"):
        onnx_graph._compared(replace(policy, normalizer=moved), content, {"": batch})


def test_a_graph_that_acts_otherwise_is_not_written(
    run: Execute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def differs(*_: object) -> None:
        raise BundleError("the graph acts otherwise")

    monkeypatch.setattr(onnx_graph, "_graph_bytes", lambda *_: b"a graph")
    monkeypatch.setattr(onnx_graph, "_compared", differs)
    with pytest.raises(BundleError, match="the graph acts otherwise"):
        export_onnx(run().path, tmp_path / "policy.onnx")
    assert not (tmp_path / "policy.onnx").exists()


def test_what_torch_cannot_export_is_told(
    run: Execute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no graph\nof this")

    monkeypatch.setattr("torch.onnx.export", fail)
    before = Distribution._validate_args
    with pytest.raises(
        BundleError, match=r"torch cannot write this policy \(PPO, MlpPolicy\).*no graph of this"
    ):
        export_onnx(run().path, tmp_path / "policy.onnx")
    assert Distribution._validate_args == before
    assert not (tmp_path / "policy.onnx").exists()


def test_bad_destinations_missing_extras_and_environments(
    run: Execute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run()
    (tmp_path / "mine.onnx").write_text("mine")
    for name, message in (("policy.bin", r"must end in \.onnx"), ("mine.onnx", "is not overwritten")):
        with pytest.raises(BundleError, match=message):
            export_onnx(folder.path, tmp_path / name)
    import_source(
        saved(sb3_model("PPO"), tmp_path / "m.zip"), tmp_path / "b", env=Environment(id="Nowhere-v0")
    )
    with pytest.raises(EnvironmentSpecError, match="Nowhere-v0"):
        export_onnx(tmp_path / "b", tmp_path / "policy.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rl-transfer\[onnx\]'"):
        export_onnx(folder.path, tmp_path / "policy.onnx")


def test_export_and_publish_write_it(
    run: Execute, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(bundle: Path, destination: Path) -> OnnxAgreement:
        destination.write_bytes(load_policy(bundle).digest.encode())
        return OnnxAgreement(1234, 2e-7)

    monkeypatch.setattr(room, "export_onnx", written)
    monkeypatch.setattr(publishing, "export_onnx", written)
    call, folder = calling(capfd), str(run().path)
    assert "--sb3 FILE.zip, --onnx FILE.onnx" in call("policies", "export", folder).err
    found = call("policies", "export", folder, "--onnx", str(tmp_path / "p.onnx"))
    assert "p.onnx written: it acts like the policy on 1,234 observations, to 2.0e-07" in found.out
    found = call("policies", "publish", folder, str(tmp_path / "agent"), "--onnx", "--episodes", "0")
    assert found.code == 0, found.err
    card = (tmp_path / "agent" / "README.md").read_text(encoding="utf-8")
    assert 'onnxruntime.InferenceSession("ppo-CartPole-v1.onnx")' in card
    assert "- onnx\n" in card
    shapes: list[dict[str, Any]] = []

    class Session:
        def __init__(self, _: str) -> None:
            pass

        def get_inputs(self) -> list[object]:
            return []

        def run(self, _: list[str], batch: dict[str, Any]) -> list[None]:
            shapes.append({name: value.shape for name, value in batch.items()})
            return [None]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    _, _, code = card.partition("```python\nimport numpy")
    (tmp_path / "snippet.py").write_text(f"import numpy{code.partition('```')[0]}", encoding="utf-8")
    for observation in (np.zeros(4), {"sensor": np.zeros(2), "level": 3}):
        run_path(str(tmp_path / "snippet.py"), {"observation": observation})
    assert shapes == [{"observation": (1, 4)}, {"sensor": (1, 2), "level": (1,)}]
    assert "the same policy as an ONNX graph: it acts like the policy on 1,234 observations" in card
    assert (tmp_path / "agent" / "ppo-CartPole-v1.onnx").read_bytes() == (tmp_path / "p.onnx").read_bytes()
