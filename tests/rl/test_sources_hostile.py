"""Crafted and damaged files: nothing in them is executed, and every one ends in a BundleError."""

import base64
import contextlib
import io
import os
import pickle
import struct
import tarfile
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize

from rl_transfer.core import archives as foreign
from rl_transfer.core import save_bundle
from rl_transfer.errors import BundleError
from rl_transfer.rl.policies.bundle import load_policy
from rl_transfer.rl.sources.load import load_source
from rl_transfer.rl.sources.sb3_zip import read_zip
from rl_transfer.rl.sources.tensor_files import load_tensors
from rl_transfer.rl.sources.vec_normalize import read_statistics
from rl_transfer.spec import Environment
from support.foreign import (
    ANYWHERE,
    BOX,
    DISCRETE,
    edit_data,
    normalized,
    rewrite,
    saved,
    sb3_model,
    torch_bytes,
)
from support.untyped import untyped


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.sentinel}",)


@pytest.fixture
def sentinel(tmp_path: Path) -> Path:
    return tmp_path / "executed"


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    return saved(sb3_model("PPO"), tmp_path / "agent" / "agent.zip")


def test_a_payload_among_the_pickled_hyperparameters_is_never_opened(agent: Path, sentinel: Path) -> None:
    pickled = base64.b64encode(cloudpickle.dumps(Payload(sentinel))).decode()

    def plant(data: dict[str, Any]) -> None:
        for key in ("policy_class", "lr_schedule", "observation_space"):
            data[key][":serialized:"] = pickled
        data["more"] = {":type:": "<class 'function'>", ":serialized:": pickled}

    edit_data(agent, plant)
    load_source(agent, env=ANYWHERE)
    assert not sentinel.exists()
    assert ":serialized:" not in repr(read_zip(agent).data)
    with contextlib.suppress(Exception):  # whatever SB3 makes of the rest
        PPO.load(agent)
    assert sentinel.exists(), "the payload does nothing, so this test shows nothing"


@pytest.mark.parametrize("member", ["policy.pth", "pytorch_variables.pth"])
@pytest.mark.parametrize("old_format", [False, True])
def test_a_payload_among_the_tensors_is_refused_by_name(
    member: str, old_format: bool, agent: Path, sentinel: Path
) -> None:
    content = torch_bytes({"weight": Payload(sentinel)}, _use_new_zipfile_serialization=not old_format)
    rewrite(agent, lambda members: members.update({member: content}))
    with pytest.raises(
        BundleError, match=rf"{member} is refused: it names \w+\.system.*Nothing of it was run"
    ):
        load_source(agent, env=ANYWHERE)
    assert not sentinel.exists()
    torch.load(io.BytesIO(content), weights_only=False)
    assert sentinel.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_payload_instead_of_the_statistics_is_refused_by_name(
    protocol: int, agent: Path, sentinel: Path
) -> None:
    path = agent.with_name("vec_normalize.pkl")
    path.write_bytes(pickle.dumps(Payload(sentinel), protocol=protocol))
    with pytest.raises(
        BundleError, match=r"vec_normalize\.pkl is refused: it names \w+\.system.*Nothing of it"
    ):
        load_source(agent, env=ANYWHERE)
    assert not sentinel.exists()
    with pytest.raises(AttributeError):
        VecNormalize.load(str(path), untyped(None))
    assert sentinel.exists()


def test_a_payload_inside_real_statistics_is_refused(agent: Path, sentinel: Path) -> None:
    env = normalized(BOX, DISCRETE)
    env.old_reward = Payload(sentinel)
    env.save(str(agent.with_name("vec_normalize.pkl")))
    with pytest.raises(BundleError, match=r"it names \w+\.system"):
        load_source(agent, env=ANYWHERE)
    assert not sentinel.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'true'\ntR.",  # GLOBAL, REDUCE
        b"(S'true'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'true'\no.",  # OBJ
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",  # STACK_GLOBAL
        b"\x80\x02\x82\x01.",  # EXT1: the extension registry
        b"Pexternal\n.",  # PERSID
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.",
        b"\x80\x04\x8c\x05numpy\x8c\x0bf2py.compile\x93.",
        b"\x80\x04\x8c\x0cnumpy.random\x8c\x0f../os.system\x00\x00\x00\x93.",
        b"cnumpy.testing._private.utils\nrunstring\n(S'1'\n}tR.",
        b"N)R.",  # calls None
        b"cnumpy\ndtype\n}b.",  # sets attributes of a class
        b"",
        b".",
        b"0.",
        b"\x80\x04j\xff\xff\xff\xff.",  # LONG_BINGET of a memo that is not there
        b"\x80\x04\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",  # BYTEARRAY8 of 2**63 bytes
        b"]" + b"(" * 10_000 + b".",
    ],
)
def test_every_other_way_to_name_or_call_something_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "vec_normalize.pkl"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"is refused|truncated or no pickle|does not hold a VecNormalize"):
        read_statistics(path)


def test_statistics_that_claim_more_than_they_hold_are_refused(tmp_path: Path) -> None:
    content = pickle.dumps(normalized(BOX, DISCRETE), protocol=4)
    # The mean's shape (5,) as BININT1 5 TUPLE1 becomes BININT 2**31-1 TUPLE1.
    huge = content.replace(b"K\x05\x85", b"J\xff\xff\xff\x7f\x85")
    assert huge != content
    (tmp_path / "v.pkl").write_bytes(huge)
    with pytest.raises(BundleError, match="is damaged or of an unknown version"):
        read_statistics(tmp_path / "v.pkl")


@pytest.mark.parametrize("name", ["../policy.pth", "/etc/policy.pth", "a/../../b", "..\\b", "C:\\b", "\\b"])
def test_members_that_point_outside_are_refused(name: str, agent: Path) -> None:
    rewrite(agent, lambda members: members.update({name: b"x"}))
    with pytest.raises(BundleError, match=r"is refused: its member .* points outside the archive"):
        load_source(agent, env=ANYWHERE)
    assert sorted(path.name for path in agent.parent.iterdir()) == [agent.name], "nothing is extracted"


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_member_that_is_there_twice_is_refused(agent: Path) -> None:
    with zipfile.ZipFile(agent, "a") as archive:
        archive.writestr("policy.pth", b"another")
    with pytest.raises(BundleError, match=r"holds 'policy\.pth' twice"):
        load_source(agent, env=ANYWHERE)


@pytest.mark.parametrize("member", ["policy.pth", "data"])
def test_a_bomb_is_refused_before_it_is_unpacked(member: str, agent: Path) -> None:
    bomb = bytes(foreign.PLAUSIBLE_BYTES + 1)
    rewrite(agent, lambda members: members.update({member: bomb}), compression=zipfile.ZIP_DEFLATED)
    assert agent.stat().st_size < len(bomb) / 100
    with pytest.raises(BundleError, match=rf"{member} unpacks from [\d,]+ to 16,777,217 bytes"):
        load_source(agent, env=ANYWHERE)


def test_a_member_with_a_false_size_is_refused(agent: Path) -> None:
    content = agent.read_bytes()
    with zipfile.ZipFile(agent) as archive:
        size = archive.getinfo("data").file_size
    entry = content.rindex(b"data", 0, content.rindex(b"PK\x05\x06")) - 46
    while content[entry : entry + 4] != b"PK\x01\x02" or content[entry + 46 : entry + 50] != b"data":
        entry = content.rindex(b"PK\x01\x02", 0, entry)
    for claimed in (2**31, size - 1):
        lie = content[: entry + 24] + struct.pack("<I", claimed) + content[entry + 28 :]
        agent.write_bytes(lie)
        with pytest.raises(BundleError, match=r"unpacks from|truncated or no zip"):
            load_source(agent, env=ANYWHERE)


def test_a_tensor_that_claims_more_than_its_memory_is_refused(agent: Path) -> None:
    giant = torch.zeros(1).expand(2**20, 2**20)  # 4 TiB out of 4 bytes
    rewrite(agent, lambda members: members.update({"policy.pth": torch_bytes({"action_net.weight": giant})}))
    with pytest.raises(BundleError, match=r"action_net\.weight is no plain dense tensor"):
        load_source(agent, env=ANYWHERE)


def test_a_bomb_inside_the_tensors_is_refused_before_it_is_unpacked() -> None:
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(torch_bytes({"x": torch.zeros(2**20)}))) as plain,
        zipfile.ZipFile(packed, "w", compression=zipfile.ZIP_DEFLATED) as archive,
    ):
        for member in plain.namelist():
            archive.writestr(member, plain.read(member))
    with pytest.raises(BundleError, match=r"m\.pth is refused: it unpacks from [\d,]+ to 4,19\d,\d+ bytes"):
        load_tensors(packed.getvalue(), "m.pth")


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(2, 2).to_sparse(), torch.zeros(2, dtype=torch.complex64), torch.empty(2, device="meta")],
    ids=["sparse", "complex", "meta"],
)
def test_tensors_that_are_no_plain_numbers_are_refused(tensor: torch.Tensor) -> None:
    with pytest.raises(BundleError, match=r"x is no plain dense tensor|truncated or damaged"):
        load_tensors(torch_bytes({"x": tensor}), "m.pth")


def test_torchs_tar_format_is_not_opened() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    with pytest.raises(BundleError, match=r"was not written by torch\.save"):
        load_tensors(buffer.getvalue(), "m.pth")


def test_a_space_of_absurd_size_costs_no_memory(agent: Path) -> None:
    def plant(data: dict[str, Any]) -> None:
        data["observation_space"].update(_shape=[2**40], low="0.0", high="1.0")

    edit_data(agent, plant)
    with pytest.raises(BundleError, match="first layer reads 5 numbers"):  # CartPole's own space is taken
        load_source(agent, env=Environment(id="CartPole-v1"))

    def plant_actions(data: dict[str, Any]) -> None:
        data["observation_space"].update(_shape=[5], low="0.0", high="1.0")
        data["action_space"]["n"] = 2**40

    edit_data(agent, plant_actions)
    with pytest.raises(
        BundleError, match=r"action head gives 3 numbers, but the actions Discrete\(1099511627776\)"
    ):
        load_source(agent, env=ANYWHERE)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "its data are no JSON"),
        (b"[1, 2]", "its data are a list, expected an object"),
        (b"\xff\xfe", "its data are no JSON"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "its data are no JSON"),
    ],
    ids=["empty", "list", "no text", "deep"],
)
def test_data_that_are_no_json_are_refused(data: bytes, message: str, agent: Path) -> None:
    rewrite(agent, lambda members: members.update({"data": data}))
    with pytest.raises(BundleError, match=message):
        load_source(agent, env=ANYWHERE)


def test_a_zip_of_something_else_says_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/policy.pth", b"")
        archive.writestr("cat.png", b"")
    with pytest.raises(BundleError, match=r"no Stable-Baselines3 zip.*It holds: cat\.png, model/policy\.pth"):
        load_source(path, env=ANYWHERE)


OBSERVED = "normalization/observation/"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("action_net.weight", torch.full((3, 64), 1e300, dtype=torch.float64), "float64 of shape"),
        ("action_net.weight", torch.ones(3, 64, dtype=torch.complex64), "complex64 of shape"),
        (f"{OBSERVED}/mean", torch.zeros(5, dtype=torch.bfloat16), "bfloat16 of shape .* needs float64"),
        (f"{OBSERVED}/mean", torch.zeros(5, dtype=torch.complex64), "complex64 of shape .* needs float64"),
        (f"{OBSERVED}/var", -torch.ones(5, dtype=torch.float64), "var' is negative"),
        (f"{OBSERVED}/count", torch.tensor(-5.0, dtype=torch.float64), "count' is negative"),
        ("score", "high", "score malformed"),
        ("score", 10**400, "score malformed"),
        ("score", True, "score malformed"),
        ("training", {"total_steps": 2**63}, "training malformed"),
        ("training", {"total_steps": -1}, "training malformed"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str | int) else None,
)
def test_a_bundle_with_numbers_that_no_run_writes_is_refused(
    name: str, value: Any, message: str, agent: Path, tmp_path: Path
) -> None:
    normalized(BOX, DISCRETE).save(str(agent.with_name("vec_normalize.pkl")))
    bundle = load_source(agent, env=ANYWHERE).bundle
    changed, is_tensor = {name: value}, isinstance(value, torch.Tensor)
    tensors = {**bundle.tensors, **bundle.state(), **(changed if is_tensor else {})}
    save_bundle(tmp_path / "changed", tensors, {**bundle.metadata, **({} if is_tensor else changed)})
    with pytest.raises(BundleError, match=message):
        load_policy(tmp_path / "changed")


def with_policy(content: bytes, members: dict[str, bytes]) -> None:
    members["policy.pth"] = content


def test_hostile_shapes_of_known_names_are_refused(agent: Path) -> None:
    for state in (
        {"action_net.weight": torch.zeros(3), "value_net.weight": torch.zeros(1)},
        {"action_net.weight": torch.zeros(3, 5), "value_net.weight": torch.zeros(2, 2, 2)},
        {"q_net.q_net.0.weight": torch.zeros(3, 5), "q_net.features_extractor.cnn.0.weight": torch.zeros(1)},
        {"actor.mu.0.weight": torch.zeros(2), "critic.qf0.0.weight": torch.zeros(1, 7)},
    ):
        content = torch_bytes(state)
        rewrite(agent, partial(with_policy, content))
        with pytest.raises(BundleError):
            load_source(agent, env=ANYWHERE)


ONCE = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ONCE
@given(place=st.floats(0, 1), patch=st.binary(min_size=0, max_size=4), cut=st.booleans())
def test_a_damaged_zip_is_read_or_refused_but_never_crashes(
    place: float, patch: bytes, cut: bool, agent: Path
) -> None:
    whole = agent.with_suffix(".whole")
    if not whole.exists():
        whole.write_bytes(agent.read_bytes())
    content = whole.read_bytes()
    at = int(place * len(content))
    agent.write_bytes(content[:at] + patch + (b"" if cut else content[at + len(patch) :]))
    with contextlib.suppress(BundleError):
        read_zip(agent)


@ONCE
@given(place=st.floats(0, 1), patch=st.binary(min_size=1, max_size=4), old_format=st.booleans())
def test_damaged_tensors_are_read_or_refused_but_never_crash(
    place: float, patch: bytes, old_format: bool
) -> None:
    content = torch_bytes(
        {"a": torch.ones(3, 2), "b": [1, "x"]}, _use_new_zipfile_serialization=not old_format
    )
    at = int(place * len(content))
    damaged = content[:at] + patch + content[at + len(patch) :]
    with contextlib.suppress(BundleError):
        load_tensors(damaged, "m.pth")


STATISTICS = pickle.dumps(normalized(BOX, DISCRETE), protocol=4)


@settings(ONCE, max_examples=400)
@given(place=st.floats(0, 1), patch=st.binary(min_size=0, max_size=6), skip=st.integers(0, 9))
def test_damaged_statistics_are_read_or_refused_but_never_crash(
    place: float, patch: bytes, skip: int, tmp_path: Path
) -> None:
    at = int(place * len(STATISTICS))
    (tmp_path / "v.pkl").write_bytes(STATISTICS[:at] + patch + STATISTICS[at + skip :])
    with contextlib.suppress(BundleError):
        read_statistics(tmp_path / "v.pkl")


@settings(ONCE, max_examples=300)
@given(content=st.binary(max_size=60))
def test_arbitrary_bytes_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "v.pkl").write_bytes(content)
    with pytest.raises(BundleError):
        read_statistics(tmp_path / "v.pkl")
