"""Files that unpack to more than there is: each is refused, by a BundleError, in little memory."""

import io
import json
import math
import os
import pickle
import shutil
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rl_transfer import bounded
from rl_transfer.core import archives
from rl_transfer.errors import StoreError
from rl_transfer.results import read_json
from rl_transfer.rl.sources.load import import_source
from rl_transfer.sweep.dispatch import bundle_kind
from support.bounds import outcomes
from support.foreign import ANYWHERE, BOX, CONTINUOUS, normalized, rewrite, saved, sb3_model, torch_bytes

GIGABYTE = 2**30
MOST_MEMORY = 64.0
"""MiB that refusing a file may take beyond what reading a harmless one of its kind takes."""


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


def header(tensors: dict[str, Any]) -> bytes:
    """How a file of safetensors with these begins."""
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text


def sparse(path: Path, size: int, start: bytes = b"") -> None:
    with path.open("wb") as stream:
        stream.write(start)
        stream.truncate(size)


def edit(change: dict[str, object], folder: Path) -> None:
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
    listed: dict[str, object] = {}
    end = 0
    for each, described in content["tensors"].items():
        start, end = end, end + 4 * math.prod(described["shape"])
        listed[each] = {"dtype": "F32", "shape": described["shape"], "data_offsets": [start, end]}
    path, begins = folder / "tensors.safetensors", header(listed)
    sparse(path, len(begins) + end, begins)
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


def doubled_set(begin: bytes, end: bytes) -> bytes:
    """A set of one tuple of 2 ** 40 empty ones."""
    return b"\x80\x04" + begin + b")" + b"2\x86" * 40 + end


def old_for_ever() -> bytes:
    """A file of torch before 1.6 whose storages have a name that takes for ever."""
    import torch

    plain = torch_bytes({"w": torch.zeros(1)}, _use_new_zipfile_serialization=False)
    end = plain.rindex(b"\x80\x02]")  # the list of their keys, then their numbers
    return plain[:end] + b"\x80\x02" + FOR_EVER


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
    "many actions": {"action_space": {**WIDE, "shape": [2**21]}},
}

# Tensors of 256 MiB that bundle.json declares; but for the first with the digest that belongs to them.
LARGE = {
    "large tensors under another digest": ("bundle", "actor.mu.weight"),
    "large tensors of another network": ("policy", "actor.mu.weight"),
    "a large tensor of no network": ("policy", "more"),
    "large statistics": ("policy", "normalization/observation//mean"),
}

Write = Callable[[Path, Path], object]
"""Makes an attack at the first path; at the second stands a folder with ``agent.zip`` and ``bundle``."""
FILES = {"source": "m.zip", "statistics": "v.pkl", "bundle": "bundle", "policy": "bundle"}
"""Kind of reader → name of its file, where it is not one of tensors."""


def file(make: Callable[[], bytes]) -> Write:
    return lambda path, _: path.write_bytes(make())


def pickled(code: bytes) -> Write:
    return file(lambda: b"\x80\x02" + code)


def empty(size: int, start: bytes = b"") -> Write:
    return lambda path, _: sparse(path, size, start)


def zipped(policy: Callable[[], bytes]) -> Write:
    """An agent with this instead of its tensors."""

    def write(path: Path, given: Path) -> None:
        shutil.copy(given / "agent.zip", path)
        rewrite(path, partial(replace_policy, torch_zip(policy())))

    return write


def bundle(change: Callable[[Path], object]) -> Write:
    """A bundle that something is done to."""

    def write(path: Path, given: Path) -> None:
        shutil.copytree(given / "bundle", path)
        change(path)

    return write


def endless(path: Path, _: Path) -> None:
    path.symlink_to("/dev/zero")


def endless_description(folder: Path) -> None:
    (folder / "bundle.json").unlink()
    (folder / "bundle.json").symlink_to("/dev/zero")


def giant_description(folder: Path) -> None:
    sparse(folder / "bundle.json", 20 * GIGABYTE, b'{"format": "rl_transfer bundle", "schema": 1')


def filled_description(filler: str, folder: Path) -> None:
    described = folder / "bundle.json"
    text = described.read_text().replace('"metadata": {', f'"metadata": {{"more": {filler}, ', 1)
    described.write_text(text)


def pipe(folder: Path) -> None:
    (folder / "tensors.safetensors").unlink()
    os.mkfifo(folder / "tensors.safetensors")


def other_shapes(folder: Path) -> None:
    declared = json.loads((folder / "bundle.json").read_text())["tensors"]
    widened = {name: {"dtype": "F32", "shape": [2**15, 2**15]} for name in declared}
    for index, each in enumerate(widened.values()):
        each["data_offsets"] = [index * 2**32, (index + 1) * 2**32]
    start = header(widened)
    sparse(folder / "tensors.safetensors", len(start) + len(widened) * 2**32, start)


def large(kind: str, tensor: str, folder: Path) -> None:
    swell(folder, tensor)
    if kind == "bundle":
        described = folder / "bundle.json"
        described.write_text(described.read_text().replace('"kind": "policy"', '"kind": "other"', 1))


def magic() -> bytes:
    """How a file of torch before 1.6 begins."""
    old = torch_bytes({}, _use_new_zipfile_serialization=False)
    return old[: old.index(b".", 2) + 1]


def repeated() -> bytes:
    import torch

    return torch_bytes({"w": torch.zeros(1).expand(2**40)})


def lying(path: Path, _: Path) -> None:
    lying_zip(path, "policy.pth", 2**20, deflated_zeros(10 * GIGABYTE))


LISTS = b"]" * (24 * 2**20) + b"."
FOUR_GIGABYTES = header({"w": {"dtype": "F32", "shape": [2**30], "data_offsets": [0, 2**32]}})
FOR_EVER, PAIRS = KEYS["a key that takes for ever"], KEYS["pairs whose key takes for ever"]
ATTACKS: dict[str, tuple[str, Write]] = {
    "a lying header": ("source", lying),
    "a long directory": ("source", lambda path, _: long_directory(path)),
    "a giant zip": ("source", empty(20 * GIGABYTE)),
    "a pickle of lists": ("source", zipped(lambda: b"\x80\x02" + LISTS)),
    "a list of tensors without end": ("source", zipped(lambda: pickle.dumps(["x"] * 2, 2)[:-1] + LISTS)),
    "an old tensor file": ("tensors", file(lambda: magic() + LISTS)),
    "a header of safetensors": ("tensors", empty(GIGABYTE, struct.pack("<Q", 90 * 2**20))),
    "statistics of lists": ("statistics", pickled(b"]" * (15 * 2**20) + b".")),
    "statistics that swell": ("statistics", file(lambda: swelling(500))),
    **{name: ("policy", bundle(partial(edit, change))) for name, change in METADATA.items()},
    "a endless description": ("bundle", bundle(endless_description)),
    "a giant description": ("bundle", bundle(giant_description)),
    "a deep description": ("policy", bundle(partial(filled_description, "[" * 5000 + "]" * 5000))),
    "a full description": ("policy", bundle(partial(filled_description, "[" + "[]," * (2 * 2**20) + "[]]"))),
    "other shapes than declared": ("bundle", bundle(other_shapes)),
    "a pipe for tensors": ("bundle", bundle(pipe)),
    **{
        f"{age}{kind} with {name}": (kind, file(partial(start, b"\x80\x02" + code)))
        for name, code in KEYS.items()
        for age, start in (("", torch_zip), ("old ", lambda code: magic() + code))
        for kind in KINDS
    },
    **{
        f"{kind} {name}": (kind, file(make))
        for kind in KINDS
        for name, make in (
            ("whose storages have a name that takes for ever", old_for_ever),
            ("of few numbers that are repeated", repeated),
        )
    },
    "statistics with a key that takes for ever": ("statistics", pickled(FOR_EVER)),
    "statistics with pairs whose key takes for ever": ("statistics", pickled(PAIRS)),
    "a set of statistics that takes for ever": ("statistics", file(lambda: doubled_set(b"(", b"\x91."))),
    "a set of statistics that grows for ever": ("statistics", file(lambda: doubled_set(b"\x8f(", b"\x90."))),
    "dicts that double": ("tensors", file(lambda: doubled_dicts(40))),
    "a dict in itself": ("tensors", file(dict_in_itself)),
    "a giant pth": ("state dict", empty(len(FOUR_GIGABYTES) + 2**32, FOUR_GIGABYTES)),
    "a giant safetensors": ("state dict", empty(len(FOUR_GIGABYTES) + 2**32, FOUR_GIGABYTES)),
    "a large pth of nothing": ("state dict", empty(GIGABYTE)),
    **{name: (kind, bundle(partial(large, kind, tensor))) for name, (kind, tensor) in LARGE.items()},
    "endless statistics": ("statistics", endless),
    "a checkpoint's pth of 40 GiB": ("checkpoint", empty(40 * GIGABYTE, FOUR_GIGABYTES)),
    "a checkpoint's safetensors of 40 GiB": ("checkpoint", empty(40 * GIGABYTE, FOUR_GIGABYTES)),
    "a checkpoint that unpacks to far more": ("checkpoint", file(lambda: deflated_tensor(2**26))),
    "an endless checkpoint": ("checkpoint", endless),
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str, float]]:
    """What became of every attack."""
    import torch
    from safetensors.torch import save_file

    root = tmp_path_factory.mktemp("attacks")
    agent = saved(sb3_model("SAC", BOX, CONTINUOUS, policy_kwargs={"net_arch": [6]}), root / "agent.zip")
    import_source(agent, root / "bundle", env=ANYWHERE)
    save_file({"w": torch.zeros(2)}, root / "small.safetensors")
    (root / "small.pth").write_bytes(torch_bytes({"w": torch.zeros(2)}))
    normalized(BOX, CONTINUOUS).save(str(root / "v.pkl"))
    harmless = [
        ("source", root / "agent.zip"), *((kind, root / "bundle") for kind in ("bundle", "policy")),
        *((kind, root / f"small.{end}") for kind in KINDS for end in ("pth", "safetensors")),
        ("statistics", root / "v.pkl"),
    ]  # fmt: skip
    attacks: dict[str, tuple[str, Path]] = {}
    for index, (name, (kind, write)) in enumerate(ATTACKS.items()):
        tensors = "m.safetensors" if "safetensors" in name else "m.pth"
        attacks[name] = kind, root / str(index) / FILES.get(kind, tensors)
        attacks[name][1].parent.mkdir()
        write(attacks[name][1], root)
    return outcomes(attacks, harmless)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the size of a process from /proc")
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_in_little_memory(name: str, refused: dict[str, tuple[str, str, float]]) -> None:
    error, message, memory = refused[name]
    assert error == "BundleError", message
    assert memory < MOST_MEMORY, f"{memory:.0f} MiB: {message}"
    assert len(message) < 600, "an error for people"


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
