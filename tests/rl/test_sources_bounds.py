"""Files that unpack to more than there is: each is refused, by a BundleError, in little memory."""

import io
import json
import math
import os
import pickle
import struct
import sys
import zipfile
import zlib
from functools import partial
from pathlib import Path

import pytest

from rl_transfer import bounded
from rl_transfer.core import archives
from rl_transfer.errors import StoreError
from rl_transfer.results import read_json
from rl_transfer.rl.sources.load import import_source
from rl_transfer.sweep.dispatch import bundle_kind
from support.bounds import outcomes
from support.foreign import ANYWHERE, BOX, CONTINUOUS, rewrite, saved, sb3_model, torch_bytes

GIGABYTE = 2**30
MOST_MEMORY = 200.0
"""MiB that refusing a file may take."""


def deflated_zeros(size: int) -> bytes:
    """``size`` zeros as a deflate stream, out of one block that is repeated."""
    block, packer = bytes(2**24), zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    end = zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    return first * (size // 2**24) + end


def lying_zip(path: Path, member: str, claimed: int, packed: bytes) -> None:
    """A zip whose only member claims another size than it unpacks to."""
    name = member.encode()
    sizes = struct.pack("<HHIII", 0, 0, 0, len(packed), claimed)
    local = b"PK\x03\x04" + struct.pack("<HHH", 20, 0, 8) + sizes + struct.pack("<HH", len(name), 0) + name
    entry = b"PK\x01\x02" + struct.pack("<HHHH", 20, 20, 0, 8) + sizes
    entry += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0) + name
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), len(local) + len(packed), 0)
    path.write_bytes(local + packed + entry + end)


def long_directory(path: Path) -> None:
    """A zip that lists half a million members."""
    entry = b"PK\x01\x02" + struct.pack("<HHHH", 20, 20, 0, 0) + struct.pack("<HHIII", 0, 0, 0, 0, 0)
    entry += struct.pack("<HHHHHII", 1, 0, 0, 0, 0, 0, 0) + b"x"
    listed = entry * 500_000
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 65535, 65535, len(listed), 0, 0)
    path.write_bytes(listed + end)


def sparse(path: Path, size: int, start: bytes = b"") -> None:
    with path.open("wb") as stream:
        stream.write(start)
        stream.truncate(size)


def edit(folder: Path, change: dict[str, object]) -> None:
    """Change metadata of a bundle, and give it the digest that belongs to the change."""
    from rl_transfer.core import save_bundle
    from rl_transfer.core.bundle import load_bundle

    bundle = load_bundle(folder)
    metadata = json.loads(json.dumps(dict(bundle.metadata)))
    for dotted, value in change.items():
        *parents, last = dotted.split(".")
        place = metadata
        for parent in parents:
            place = place[parent]
        place[last] = value
    save_bundle(folder.with_name(f"{folder.name}-edited"), {**bundle.tensors, **bundle.state()}, metadata)
    for each in folder.iterdir():
        each.unlink()
    for each in folder.with_name(f"{folder.name}-edited").iterdir():
        each.rename(folder / each.name)


def swell(folder: Path, name: str) -> None:
    """Give a tensor of a bundle 256 MiB that take no place on disk, and the bundle the digest of that."""
    from rl_transfer.core._description import digest_of
    from rl_transfer.core.stored import digest_stored, read_header

    content = json.loads((folder / "bundle.json").read_text())
    content["tensors"][name] = {"dtype": "float32", "shape": [2**26]}
    header: dict[str, object] = {}
    end = 0
    for each, described in content["tensors"].items():
        start, end = end, end + 4 * math.prod(described["shape"])
        header[each] = {"dtype": "F32", "shape": described["shape"], "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    path = folder / "tensors.safetensors"
    sparse(path, 8 + len(text) + end, struct.pack("<Q", len(text)) + text)
    content["digest"] = digest_of(content, digest_stored(path, read_header(path)))
    (folder / "bundle.json").write_text(json.dumps(content))


def replace_policy(content: bytes, members: dict[str, bytes]) -> None:
    members["policy.pth"] = content


def swelling(copies: int) -> bytes:
    """A pickle that makes many copies of one list of pairs."""
    pairs = pickle.dumps([(number, number) for number in range(20_000)], protocol=2)[2:-1]
    call = b"ccollections\nOrderedDict\nj\xff\xff\xff\x00\x85R"
    return b"\x80\x02" + b"(" + pairs + b"r\xff\xff\xff\x00" + call * copies + b"l."


def torch_zip(pickled: bytes) -> bytes:
    """A file of ``torch.save`` around a pickle."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", b"3\n")
    return inner.getvalue()


def deflated_tensor(numbers: int) -> bytes:
    """A file of ``torch.save`` with its zeros deflated, as torch reads but never writes it."""
    import torch

    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(torch_bytes({"w": torch.zeros(numbers)}))) as plain,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for info in plain.infolist():
            archive.writestr(info.filename, plain.read(info))
    return packed.getvalue()


def doubled_dicts(levels: int) -> bytes:
    """A dict of two references to a dict of two references to …, down to a tensor."""
    import torch

    nested: dict[str, object] = {"w": torch.zeros(2)}
    for _ in range(levels):
        nested = {"a": nested, "b": nested}
    return torch_bytes(nested)


def dict_in_itself() -> bytes:
    import torch

    nested: dict[str, object] = {"w": torch.zeros(2)}
    nested["itself"] = nested
    return torch_bytes(nested)


def doubled_tuple(levels: int) -> bytes:
    """Opcodes of a dict; its value at 0, and the last of the memo, is a tuple of 2 ** levels empty ones."""
    doubled = b"".join(
        b"K\x00h" + bytes([i]) + b"h" + bytes([i]) + b"\x86q" + bytes([i + 1]) + b"s"
        for i in range(1, levels)
    )
    return b"}K\x00)q\x01s" + doubled


def old_with_keys(keys: bytes) -> bytes:
    """A file of torch before 1.6 with another list of storages."""
    import torch

    plain = torch_bytes({"w": torch.zeros(1)}, _use_new_zipfile_serialization=False)
    end = plain.rindex(b"\x80\x02]")  # the list of their keys, then their numbers
    return plain[:end] + b"\x80\x02" + keys


KINDS = ("tensors", "checkpoint")
KEYS = {
    "a key that takes for ever": doubled_tuple(40) + b"h\x28K\x01s.",
    "pairs whose key takes for ever": b"0ccollections\nOrderedDict\n(]](h\x28K\x01eatR.",
    "a set whose member takes for ever": b"0c__builtin__\nset\n(](h\x28etR.",
    "a counter whose item takes for ever": b"0ccollections\nCounter\n(](h\x28etR.",
    "a storage whose name takes for ever": b"0(X\x07\x00\x00\x00storagectorch\nFloatStorage\nh\x28"
    b"X\x03\x00\x00\x00cpuK\x01tQ.",
    "texts that multiply": b"0X\x00\x00\x08\x00" + b"a" * 2**19 + b"q\x01"
    b"](" + b"c_codecs\nencode\nh\x01X\x06\x00\x00\x00latin1\x86R" * 15_000 + b"e.",
}
KEYS = {name: code if code.startswith(b"}") else doubled_tuple(40) + code for name, code in KEYS.items()}

WIDE = {"type": "Box", "shape": [2**40], "dtype": "float32", "low": "-1.0", "high": "1.0"}
# Changes of a bundle's metadata that describe other networks than the tensors form.
METADATA: dict[str, dict[str, object]] = {
    "wide layers": {"algorithm.policy_kwargs.net_arch": [12_000, 12_000]},
    "a hundred thousand layers": {"algorithm.policy_kwargs.net_arch": [1] * 100_000},
    "a million critics": {"algorithm.policy_kwargs.n_critics": 10**6},
    "wide observations": {"observation_space": WIDE},
    "many observations": {"observation_space": {"type": "Discrete", "n": 2**40, "start": 0}},
    "a million layers by hand": {"algorithm.policy_kwargs.net_arch": {"pi": [3] * 100_000, "qf": [3]}},
    "training of another form": {"training": ["x"]},
    "an entropy that is no number": {"log_ent_coef": "x"},
    "statistics that are not there": {"algorithm.normalize": {"observation": True, "reward": False}},
    "observations beyond counting": {"observation_space": {"type": "Discrete", "n": 2**80, "start": 0}},
    "many actions": {"action_space": {"type": "Box", "shape": [2**21], "dtype": "float32", "low": "-1.0",
                                      "high": "1.0"}},
}  # fmt: skip

# Tensors of 256 MiB that bundle.json declares; but for the first with the digest that belongs to them.
LARGE = {
    "large tensors under another digest": ("bundle", "actor.mu.weight"),
    "large tensors of another network": ("policy", "actor.mu.weight"),
    "a large tensor of no network": ("policy", "more"),
    "large statistics": ("policy", "normalization/observation//mean"),
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str, float]]:
    """What became of every attack."""
    import torch

    root = tmp_path_factory.mktemp("attacks")
    attacks: dict[str, tuple[str, Path]] = {}

    def attack(name: str, kind: str, file: str) -> Path:
        folder = root / str(len(attacks))
        folder.mkdir()
        attacks[name] = kind, folder / file
        return folder / file

    lying_zip(attack("a lying header", "source", "m.zip"), "policy.pth", 2**20, deflated_zeros(10 * GIGABYTE))
    long_directory(attack("a long directory", "source", "m.zip"))
    sparse(attack("a giant zip", "source", "m.zip"), 20 * GIGABYTE)
    agent = saved(sb3_model("SAC", BOX, CONTINUOUS, policy_kwargs={"net_arch": [6]}), root / "agent.zip")
    for name, pickled in {
        "a pickle of lists": b"\x80\x02" + b"]" * (24 * 2**20) + b".",
        "a list of tensors without end": pickle.dumps(["x"] * 2, 2)[:-1] + b"]" * (24 * 2**20) + b".",
    }.items():
        path = attack(name, "source", "m.zip")
        path.write_bytes(agent.read_bytes())
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w") as archive:
            archive.writestr("archive/data.pkl", pickled)
            archive.writestr("archive/version", b"3\n")
        rewrite(path, partial(replace_policy, inner.getvalue()))
    old = torch_bytes({}, _use_new_zipfile_serialization=False)
    magic = old[: old.index(b".", 2) + 1]
    attack("an old tensor file", "tensors", "m.pth").write_bytes(magic + b"]" * (24 * 2**20) + b".")
    for name, code in KEYS.items():
        attack(f"tensors with {name}", "tensors", "m.pth").write_bytes(torch_zip(b"\x80\x02" + code))
        attack(f"old tensors with {name}", "tensors", "m.pth").write_bytes(magic + b"\x80\x02" + code)
        attack(f"checkpoint with {name}", "checkpoint", "m.pth").write_bytes(torch_zip(b"\x80\x02" + code))
        attack(f"old checkpoint with {name}", "checkpoint", "m.pth").write_bytes(magic + b"\x80\x02" + code)
    for kind in KINDS:
        path = attack(f"{kind} whose storages have a name that takes for ever", kind, "m.pth")
        path.write_bytes(old_with_keys(KEYS["a key that takes for ever"]))
        path = attack(f"{kind} of few numbers that are repeated", kind, "m.pth")
        path.write_bytes(torch_bytes({"w": torch.zeros(1).expand(2**40)}))
    attack("statistics with a key that takes for ever", "statistics", "v.pkl").write_bytes(
        b"\x80\x02" + KEYS["a key that takes for ever"]
    )
    attack("statistics with pairs whose key takes for ever", "statistics", "v.pkl").write_bytes(
        b"\x80\x02" + KEYS["pairs whose key takes for ever"]
    )
    attack("a set of statistics that takes for ever", "statistics", "v.pkl").write_bytes(
        b"\x80\x04(" + b")" + b"2\x86" * 40 + b"\x91."
    )
    attack("a set of statistics that grows for ever", "statistics", "v.pkl").write_bytes(
        b"\x80\x04\x8f(" + b")" + b"2\x86" * 40 + b"\x90."
    )
    attack("dicts that double", "tensors", "m.pth").write_bytes(doubled_dicts(40))
    attack("a dict in itself", "tensors", "m.pth").write_bytes(dict_in_itself())
    for suffix in ("pth", "safetensors"):
        header = json.dumps({"w": {"dtype": "F32", "shape": [2**30], "data_offsets": [0, 2**32]}}).encode()
        start = struct.pack("<Q", len(header)) + header
        sparse(attack(f"a giant {suffix}", "state dict", f"m.{suffix}"), len(start) + 2**32, start)
        path = attack(f"a checkpoint's {suffix} of 40 GiB", "checkpoint", f"m.{suffix}")
        sparse(path, 40 * GIGABYTE, start)
    attack("a checkpoint that unpacks to far more", "checkpoint", "m.pth").write_bytes(deflated_tensor(2**26))
    attack("an endless checkpoint", "checkpoint", "m.pth").symlink_to("/dev/zero")
    sparse(attack("a large pth of nothing", "state dict", "m.pth"), GIGABYTE)
    sparse(
        attack("a header of safetensors", "tensors", "m.safetensors"), GIGABYTE, struct.pack("<Q", 90 * 2**20)
    )
    attack("statistics of lists", "statistics", "v.pkl").write_bytes(b"\x80\x02" + b"]" * (15 * 2**20) + b".")
    attack("statistics that swell", "statistics", "v.pkl").write_bytes(swelling(500))

    for name, change in METADATA.items():
        folder = attack(name, "policy", "bundle")
        import_source(agent, folder, env=ANYWHERE)
        edit(folder, change)
    for name, kind in {"endless": "bundle", "giant": "bundle", "deep": "policy", "full": "policy"}.items():
        folder = attack(f"a {name} description", kind, "bundle")
        import_source(agent, folder, env=ANYWHERE)
        described = folder / "bundle.json"
        text = described.read_text()
        described.unlink()
        if name == "endless":
            described.symlink_to("/dev/zero")
        elif name == "giant":
            sparse(described, 20 * GIGABYTE, b'{"format": "rl_transfer bundle", "schema": 1')
        else:
            filler = "[" * 5000 + "]" * 5000 if name == "deep" else "[" + "[]," * (2 * 2**20) + "[]]"
            described.write_text(text.replace('"metadata": {', f'"metadata": {{"more": {filler}, ', 1))
    folder = attack("a pipe for tensors", "bundle", "bundle")
    import_source(agent, folder, env=ANYWHERE)
    (folder / "tensors.safetensors").unlink()
    os.mkfifo(folder / "tensors.safetensors")
    folder = attack("other shapes than declared", "bundle", "bundle")
    import_source(agent, folder, env=ANYWHERE)
    declared = json.loads((folder / "bundle.json").read_text())["tensors"]
    widened = {name: {"dtype": "F32", "shape": [2**15, 2**15]} for name in declared}
    for index, each in enumerate(widened.values()):
        each["data_offsets"] = [index * 2**32, (index + 1) * 2**32]
    header = json.dumps(widened).encode()
    sparse(
        folder / "tensors.safetensors", 8 + len(header) + len(widened) * 2**32,
        struct.pack("<Q", len(header)) + header,
    )  # fmt: skip
    for name, (kind, tensor) in LARGE.items():
        folder = attack(name, kind, "bundle")
        import_source(agent, folder, env=ANYWHERE)
        swell(folder, tensor)
        if kind == "bundle":
            described = folder / "bundle.json"
            described.write_text(described.read_text().replace('"kind": "policy"', '"kind": "other"', 1))
    attack("endless statistics", "statistics", "v.pkl").symlink_to("/dev/zero")
    return outcomes(attacks)


NAMES = (
    "a lying header", "a long directory", "a giant zip", "a pickle of lists", "a list of tensors without end",
    "an old tensor file", "a header of safetensors", "statistics of lists", "statistics that swell",
    *METADATA, "a endless description", "a giant description", "a deep description", "a full description",
    "other shapes than declared", "a pipe for tensors",
    *(f"{age}{kind} with {name}" for name in KEYS for age in ("", "old ") for kind in KINDS),
    *(f"{kind} whose storages have a name that takes for ever" for kind in KINDS),
    *(f"{kind} of few numbers that are repeated" for kind in KINDS),
    "statistics with a key that takes for ever", "statistics with pairs whose key takes for ever",
    "a set of statistics that takes for ever", "a set of statistics that grows for ever",
    "dicts that double", "a dict in itself", "a giant pth",
    "a giant safetensors", "a large pth of nothing", *LARGE, "endless statistics",
    "a checkpoint's pth of 40 GiB", "a checkpoint's safetensors of 40 GiB",
    "a checkpoint that unpacks to far more", "an endless checkpoint",
)  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="reads the size of a process from /proc")
@pytest.mark.parametrize("name", NAMES)
def test_an_attack_is_refused_in_little_memory(name: str, refused: dict[str, tuple[str, str, float]]) -> None:
    error, message, memory = refused[name]
    assert error == "BundleError", message
    assert memory < MOST_MEMORY, f"{memory:.0f} MiB: {message}"
    assert len(message) < 600, "an error for people"


def test_every_attack_is_looked_at(refused: dict[str, tuple[str, str, float]]) -> None:
    assert set(refused) == set(NAMES)


class Counting(io.BytesIO):
    """A file that knows how much was read of it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self.taken += len(content)
        return content


def test_a_lying_header_costs_what_it_claims(tmp_path: Path) -> None:
    path = tmp_path / "m.zip"
    lying_zip(path, "policy.pth", 2**20, deflated_zeros(GIGABYTE))
    stream = Counting(path.read_bytes())
    archive = archives.open_archive(stream, "m.zip")
    assert stream.taken < 2**18, "the directory alone"
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        archives.unpack(archive, archive.infolist()[0], "m.zip")
    assert stream.taken <= 2 * 2**20


def test_no_device_and_no_pipe_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path / "pipe"):
        with pytest.raises(ValueError, match="no regular file"):
            bounded.read_bytes(path, 10)
        with pytest.raises(StoreError, match="no regular file"):
            read_json(path)
    (tmp_path / "file").write_bytes(b"12345")
    assert bounded.read_bytes(tmp_path / "file", 5) == b"12345"
    with pytest.raises(ValueError, match="larger than"):
        bounded.read_bytes(tmp_path / "file", 4)


@pytest.mark.parametrize(
    "text", ["[]", '{"metadata": []}', '{"metadata": {"kind": ["rl"]}}', "[" * 5000, '"' + "x" * 50]
)
def test_a_description_of_another_form_is_left_to_who_says_what_is_wrong(text: str, tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text(text)
    assert bundle_kind(str(tmp_path)) == "rl"
