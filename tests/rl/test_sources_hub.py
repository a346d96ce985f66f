"""Policies on the Hugging Face Hub, served by a local server that speaks its protocol."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

import rl_transfer as rt
from rl_transfer.errors import BundleError, MissingExtraError
from rl_transfer.rl.policies.bundle import load_policy
from rl_transfer.rl.sources.hub import fetch
from rl_transfer.rl.sources.load import import_source, load_source
from rl_transfer.spec import Environment
from support.cli import calling
from support.foreign import BOX, CONTINUOUS, normalized, observe, saved, sb3_model
from support.hub import Hub, served
from support.rl import Execute
from support.untyped import untyped


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    yield from served(tmp_path, monkeypatch)


def test_an_agent_of_the_convention_with_its_statistics(hub: Hub, tmp_path: Path) -> None:
    model = sb3_model("A2C", BOX, CONTINUOUS)
    env = normalized(BOX, CONTINUOUS)
    env.save(str(tmp_path / "vec_normalize.pkl"))
    path = saved(model, tmp_path / "model.zip")
    hub.add("sb3/a2c-LunarLanderContinuous-v2", "a2c-LunarLanderContinuous-v2.zip", path)
    hub.add("sb3/a2c-LunarLanderContinuous-v2", "vec_normalize.pkl", tmp_path / "vec_normalize.pkl")
    policy = load_source("hf://sb3/a2c-LunarLanderContinuous-v2")
    batch = observe(BOX)
    expected = model.predict(env.normalize_obs(batch), deterministic=True)[0]
    np.testing.assert_array_equal(policy.act()(batch), expected)
    assert (policy.algorithm.name, policy.env.id) == ("A2C", "LunarLanderContinuous-v3")
    assert policy.metadata["origin"]["repository"] == "sb3/a2c-LunarLanderContinuous-v2"
    imported = import_source("hf://sb3/a2c-LunarLanderContinuous-v2", tmp_path / "bundle")
    assert imported.digest == policy.digest


def test_another_file_and_a_revision(hub: Hub, tmp_path: Path) -> None:
    old, new = (
        saved(sb3_model("PPO", policy_kwargs={"net_arch": [width]}), tmp_path / f"{width}.zip")
        for width in (4, 6)
    )
    hub.add("me/ppo-CartPole-v1", "agents/best.zip", new)
    hub.add("me/ppo-CartPole-v1", "agents/best.zip", old, revision="v1.0")
    for address, width in (
        ("hf://me/ppo-CartPole-v1/agents/best.zip", 6),
        ("hf://me/ppo-CartPole-v1/agents/best.zip@v1.0", 4),
    ):
        policy = load_source(address)
        assert untyped(policy.module).mlp_extractor.policy_net[0].out_features == width
        assert (policy.algorithm.name, policy.env) == ("PPO", Environment(id="CartPole-v1"))
    assert "HEAD me/ppo-CartPole-v1@main/agents/vec_normalize.pkl" in hub.asked


def test_what_is_in_the_cache_needs_no_network(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("sb3/dqn-CartPole-v1", "dqn-CartPole-v1.zip", saved(sb3_model("DQN"), tmp_path / "m.zip"))
    digest = load_source("hf://sb3/dqn-CartPole-v1").digest
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_source("hf://sb3/dqn-CartPole-v1").digest == digest
    with pytest.raises(BundleError, match="not in the local cache, and the Hub cannot be reached"):
        fetch("hf://sb3/ppo-CartPole-v1")


def test_offline_it_is_not_guessed_whether_there_are_statistics(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    hub.add("sb3/dqn-CartPole-v1", "dqn-CartPole-v1.zip", saved(sb3_model("DQN"), tmp_path / "m.zip"))
    huggingface_hub.hf_hub_download("sb3/dqn-CartPole-v1", "dqn-CartPole-v1.zip")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        BundleError, match=r"vec_normalize\.pkl of sb3/dqn-CartPole-v1 is not in the local cache"
    ):
        fetch("hf://sb3/dqn-CartPole-v1")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hf://sb3/nowhere", "no public repository sb3/nowhere"),
        ("hf://sb3/dqn-CartPole-v1@v9", "has no revision 'v9'"),
        ("hf://sb3/dqn-CartPole-v1/other.zip", r"has no other\.zip; name its file"),
        ("hf://sb3/gated", "no public repository sb3/gated"),
        ("hf://sb3", "is no address on the Hub; expected hf://org/repository"),
        ("hf://sb3/dqn/../../x.zip", "is no address"),
        ("hf://sb3/dqn-CartPole-v1/model.pth", "is no address"),
        ("hf://sb3/a--b", "cannot be downloaded from the Hub|is no address"),
    ],
)
def test_what_the_hub_does_not_have(address: str, message: str, hub: Hub, tmp_path: Path) -> None:
    hub.add("sb3/dqn-CartPole-v1", "dqn-CartPole-v1.zip", saved(sb3_model("DQN"), tmp_path / "m.zip"))
    with pytest.raises(BundleError, match=message):
        fetch(address)


def test_a_download_that_is_no_zip_is_refused(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html>")
    hub.add("sb3/ppo-CartPole-v1", "ppo-CartPole-v1.zip", tmp_path / "page.html")
    with pytest.raises(BundleError, match=r"ppo-CartPole-v1\.zip is truncated or no zip file"):
        load_source("hf://sb3/ppo-CartPole-v1")


def test_without_the_extra_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rl-transfer\[hub\]'"):
        load_source("hf://sb3/ppo-CartPole-v1")


def test_published_agents_are_recommended_or_told_why_not(
    hub: Hub, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hub.add("sb3/dqn-CartPole-v1", "dqn-CartPole-v1.zip", saved(sb3_model("DQN"), tmp_path / "m.zip"))
    call = calling(capfd)
    source = "hf://sb3/dqn-CartPole-v1"  # in truth an agent of something else, with five observations
    found = call("recommend", source, "-t", "CartPole-v1", "--budget", "1000", "--json")
    assert found.code == 0, found.err
    (entry,) = json.loads(found.out)["sources"]
    assert entry["cannot_act"] == "its observation space is Box(5), the target's is Box(4)"
    quality = entry["scores"]["source_quality"]
    assert quality["value"] is None
    assert "CartPole-v1 is named as its environment, and its observation space is Box(5)" in quality["reason"]
    missing = call("recommend", "hf://sb3/nowhere", "-t", "CartPole-v1")
    assert "no public repository sb3/nowhere" in missing.err


def test_a_policy_is_published_and_loaded_back(
    hub: Hub, run: Execute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "writer")
    folder = run(env={"id": "CartPole-v1", "perturb": [{"length": "x3"}]})
    for name in ("README.md", ".gitattributes"):  # what a repository has that was made on the Hub's page
        hub.add("me/long-pole", name, folder.path / "record.json")
    address = rt.publish(folder.path, "hf://me/long-pole", episodes=2, license="mit", private=True)
    assert address == "hf://me/long-pole"
    assert hub.created["me/long-pole"]["visibility"] == "private"
    assert f"rl-transfer evaluate {address}" in hub.files["me/long-pole@main/README.md"].decode()
    policy = load_source(address)
    assert policy.digest == load_policy(folder.path).digest
    assert policy.env.perturb == ({"length": "x3"},), "the bundle says what no zip can"
    assert rt.evaluate(address, episodes=3)["returns"] == rt.evaluate(folder.path, episodes=3)["returns"]
    assert import_source(address, tmp_path / "mine").digest == policy.digest
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_source(address).digest == policy.digest
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    (zipped,) = [name for name in hub.files if name.endswith(".zip")]
    assert load_source(f"hf://me/long-pole/{zipped.rpartition('/')[2]}").digest != policy.digest
    published = {*hub.files}
    for name in ("a2c-Old-v0.zip", "[old].onnx", "vecnormalize.pkl", "notes.txt", "mine/agent.zip"):
        hub.add("me/long-pole", name, folder.path / "record.json")
    assert rt.publish(folder.path, address, episodes=0) == address, "the same repository again"
    assert {*hub.files} - published == {"me/long-pole@main/notes.txt", "me/long-pole@main/mine/agent.zip"}
    assert published <= {*hub.files}
    del hub.files["me/long-pole@main/tensors.safetensors"]
    with pytest.raises(BundleError, match=r"has a bundle\.json, but no tensors\.safetensors"):
        load_source(address)


def test_what_stops_an_upload_is_told_before_anything_is_played(
    hub: Hub, run: Execute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run().path
    hub.add("me/novel", "chapter-1.txt", folder / "record.json")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(BundleError, match=r"wants a token.*hf auth login"):
        rt.publish(folder, "hf://me/agent")
    monkeypatch.setenv("HF_TOKEN", "reader")
    with pytest.raises(BundleError, match="me/agent cannot be written: the token may not write there"):
        rt.publish(folder, "hf://me/agent", episodes=0)
    monkeypatch.setenv("HF_TOKEN", "writer")
    hub.files["me/page@main/bundle.json"] = b'{"webpack": 1}'
    hub.files["me/data@main/bundle.json"] = b"no JSON"
    for name in ("novel", "page", "data"):
        said: list[str] = []
        with pytest.raises(BundleError, match=f"me/{name} on the Hub holds something else"):
            rt.publish(folder, f"hf://me/{name}", say=said.append)
        assert not said, "nothing was written or played before that"
    with pytest.raises(BundleError, match="expected hf://user/repository"):
        rt.publish(folder, "hf://me/agent/file.zip")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BundleError, match="the Hub cannot be reached; write into a folder now"):
        rt.publish(folder, "hf://me/agent")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rl-transfer\[hub\]'"):
        rt.publish(folder, "hf://me/agent")
    assert len(hub.files) == 3
    assert hub.files["me/page@main/bundle.json"] == b'{"webpack": 1}'
