"""A large file of tensors is compared with the described network before a byte of it is hashed."""

import json
import math
import struct
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from rl_transfer.core import described_bundle
from rl_transfer.errors import BundleError
from rl_transfer.rl.policies.bundle import load_policy
from rl_transfer.rl.sources.load import import_source
from support.foreign import ANYWHERE, BOX, CONTINUOUS, DICT, DISCRETE, IMAGE, saved, sb3_model

GSDE = {"use_sde": True}
AGENTS: dict[str, tuple[str, gym.Space[Any], gym.Space[Any], dict[str, Any]]] = {
    **{name: (name, BOX, DISCRETE, {}) for name in ("PPO", "A2C", "TRPO", "DQN", "QRDQN")},
    **{name: (name, BOX, CONTINUOUS, {}) for name in ("SAC", "TQC", "TD3", "DDPG")},
    **{f"{name} with gSDE": (name, BOX, CONTINUOUS, GSDE) for name in ("PPO", "A2C", "SAC", "TQC")},
    "pixels": ("DQN", IMAGE, DISCRETE, {}),
    "a dict": ("PPO", DICT, CONTINUOUS, {}),
}  # fmt: skip


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is larger than nothing counts as large."""
    monkeypatch.setattr("rl_transfer.core.bundle.HASHED_AT_ONCE", 0)


def forbid_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rl_transfer.core.bundle.digest_stored", lambda *_: pytest.fail("it was hashed"))


def swollen(folder: Path) -> Path:
    """Give the last tensor of a bundle 6 GiB that take no place on disk; the digest stays as it was."""
    content = json.loads((folder / "bundle.json").read_text())
    last = list(content["tensors"])[-1]
    content["tensors"][last] = {"dtype": "float32", "shape": [3 * 2**29]}
    header: dict[str, object] = {}
    end = 0
    widths = {"float32": ("F32", 4), "float64": ("F64", 8)}
    for name, each in content["tensors"].items():
        dtype, width = widths[each["dtype"]]
        start, end = end, end + width * math.prod(each["shape"])
        header[name] = {"dtype": dtype, "shape": each["shape"], "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with (folder / "tensors.safetensors").open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + end)
    (folder / "bundle.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("name", AGENTS)
def test_other_tensors_than_the_networks_are_refused_unhashed(
    name: str, tmp_path: Path, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    algorithm, observations, actions, options = AGENTS[name]
    agent = saved(sb3_model(algorithm, observations, actions, **options), tmp_path / "agent.zip")
    import_source(agent, tmp_path / "bundle", env=ANYWHERE)
    forbid_hashing(monkeypatch)
    with pytest.raises(BundleError, match=r"the tensors do not fit .* differ; .* \[1610612736\] in the file"):
        load_policy(swollen(tmp_path / "bundle"))


def test_a_network_far_larger_than_its_tensors_is_refused_unhashed(
    tmp_path: Path, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = saved(sb3_model("SAC", BOX, CONTINUOUS), tmp_path / "agent.zip")
    import_source(agent, tmp_path / "bundle", env=ANYWHERE)
    path = tmp_path / "bundle" / "bundle.json"
    content = json.loads(path.read_text())
    content["metadata"]["algorithm"]["policy_kwargs"]["net_arch"] = [12_000, 12_000]
    path.write_text(json.dumps(content))
    forbid_hashing(monkeypatch)
    with pytest.raises(BundleError, match="far larger than the tensors in the file"):
        load_policy(tmp_path / "bundle")


def test_a_large_bundle_is_hashed_once_before_it_is_used(tmp_path: Path, large: None) -> None:
    agent = saved(sb3_model("PPO"), tmp_path / "agent.zip")
    written = import_source(agent, tmp_path / "bundle", env=ANYWHERE)
    assert not described_bundle(tmp_path / "bundle").verified
    assert load_policy(tmp_path / "bundle").digest == written.digest
    tensors = tmp_path / "bundle" / "tensors.safetensors"
    content = bytearray(tensors.read_bytes())
    content[-1] ^= 1
    tensors.write_bytes(bytes(content))
    with pytest.raises(BundleError, match="altered after it was written"):
        load_policy(tmp_path / "bundle")
    with pytest.raises(BundleError, match="altered after it was written"):
        described_bundle(tmp_path / "bundle").load()
