"""What refusing hostile input costs: CPU seconds and memory of the program, a process for each input.

    make hostile                   # every input, and the table of docs/reliability.md
    make hostile ONLY=overrides    # one kind of input

CPU seconds are user and system time together; memory is the peak of the resident set, Python and libraries
included, and no less than this program's own (some 60 MiB). What exits otherwise than expected, or
prints a traceback, is marked.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from support.hostile import COMMANDS, FILES, NAME, OVERRIDES

CPU_SECONDS, MIB = 2.0, 200.0
"""What a refusal may take at most."""
MOST_CPU_SECONDS = 60
"""After which a program is killed."""
MOST_ADDRESSES = 16 * 2**30

Writer = Callable[[Path], object]


@dataclass(frozen=True)
class Attack:
    """One input and the command that it is given to."""

    kind: str
    what: str
    arguments: tuple[str, ...]
    codes: tuple[int, ...]
    files: tuple[tuple[str, Writer], ...] = ()
    full: bool = False
    """Whether its output goes to a disk without room."""


@dataclass(frozen=True)
class Cost:
    """What a process took."""

    code: int
    cpu: float
    mib: float
    traceback: bool


def _text(content: str) -> Writer:
    return lambda path: path.write_text(content, encoding="utf-8")


def _zipped(*members: tuple[str, bytes]) -> Writer:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members:
                archive.writestr(name, content)

    return write


def _bundle(content: str) -> Writer:
    def write(path: Path) -> None:
        path.mkdir()
        (path / "bundle.json").write_text(content, encoding="utf-8")
        (path / "tensors.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")

    return write


def _wide(size: int) -> tuple[bytes, int]:
    """A safetensors file of one tensor that takes no place on disk: its header, and its whole size."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header, 8 + len(header) + size


def _sparse(size: int) -> Writer:
    def write(path: Path) -> None:
        start, whole = _wide(size)
        with path.open("wb") as stream:
            stream.write(start)
            stream.truncate(whole)

    return write


def _sparse_bundle(size: int) -> Writer:
    """A sound description of a small policy over a tensor of that size, under a digest of anything."""
    space = {"type": "Box", "shape": [4], "dtype": "float32", "low": "-1.0", "high": "1.0"}
    metadata = {
        "algorithm": {"name": "PPO"}, "env": {"id": "CartPole-v1"}, "observation_space": space,
        "action_space": {"type": "Discrete", "n": 2, "start": 0}, "training": None,
    }  # fmt: skip
    content = {
        "format": "rl_transfer bundle", "schema": 1, "kind": "policy", "metadata": metadata, "aliases": {},
        "tensors": {"w": {"dtype": "float32", "shape": [size // 4]}}, "digest": "0" * 64,
    }  # fmt: skip

    def write(path: Path) -> None:
        path.mkdir()
        (path / "bundle.json").write_text(json.dumps(content), encoding="utf-8")
        _sparse(size)(path / "tensors.safetensors")

    return write


def _words(text: str) -> str:
    """The text of an input as a cell of a table: no longer than one."""
    flat = text.replace("\n", "⏎").replace("|", "∣").encode("utf-8", "replace").decode()
    return flat if len(flat) < 60 else f"{flat[:40]}… ({len(text):,} characters)"


MANY = ",".join(f"k{number}: 1" for number in range(100_000))
CONFIGS = {
    "5 MB list": "a: [" + "1," * 2_500_000 + "]",
    "list of 250 KB": "a: [" + "1," * 125_000 + "]",
    "map of 100,000 keys": f"{{{MANY}}}",
    "map of 20,000 keys": "\n".join(f"k{number}: 1" for number in range(20_000)),
    "4,900 unknown keys": "\n".join(f"k{number}: 1" for number in range(4_900)),
    "4,900 keys like known ones": "\n".join(f"strategie{number}: 1" for number in range(4_900)),
    "text of 250,000 letters": f"name: {'a' * 250_000}",
    "block text of 30,000 lines": "name: |\n" + "  aaaaaa\n" * 28_000,
    "comment of 250 KB": "#" * 250_000 + "\nname: x",
    "20,000 documents": "---\na: 1\n" * 20_000,
    "250,000 line ends": "\n" * 250_000,
    "4,900 anchors": "\n".join(f"k{number}: &a{number} 1" for number in range(4_900)),
    "anchors 49 deep, doubled": "\n".join(
        ["k0: &k0 [1]", *(f"k{n}: &k{n} [*k{n - 1}, *k{n - 1}]" for n in range(1, 49))]
    ),
    "anchors 3,000 deep": "\n".join(["k0: &k0 [1]", *(f"k{n}: &k{n} [*k{n - 1}]" for n in range(1, 3_000))]),
    "125,000 opened lists": "a: " + "[" * 250_000,
    "125,000 opened maps": "a: " + "{a: " * 60_000,
    "30,000 nested block lists": "a:\n" + "- " * 100_000,
    "50,000 question marks": "? " * 100_000,
    "80,000 tags": "a: [" + "!!x 1," * 40_000 + "]",
    "tag of 250 KB": f"a: !<{'x' * 250_000}> 1",
    "directive of 250 KB": "%" + "x" * 250_000 + "\n---\na: 1",
    "250,000 digits": f"root_seed: {'9' * 250_000}",
    "250,000 digits in base 60": f"root_seed: 1{':59' * 80_000}",
    "float of 250,000 digits": f"root_seed: 0.{'9' * 250_000}",
    "200,000 escapes": 'name: "' + "\\x41" * 60_000 + '"',
    "bytes in base 64": "a: !!binary " + "QUFB" * 60_000,
    "1,500 targets": "targets:\n" + "\n".join(f"  t{n}: {{env: {{id: CartPole-v1}}}}" for n in range(1_500)),
    "4,900 shipped targets": "targets: [" + "cartpole-longer-pole," * 4_900 + "]",
    "9,000 shipped strategies": "strategies: [" + "fine-tune," * 9_000 + "]",
    "9,000 unknown strategies": "strategies: [" + "fine-tun," * 9_000 + "]",
    "9,000 layers": "algorithm: {name: PPO, policy_kwargs: {net_arch: [" + "8," * 9_000 + "]}}",
    "9,000 seeds": "seeds: [" + "1," * 9_000 + "]",
    "3,000 perturbations": "env: {id: CartPole-v1, perturb: ["
    + "{name: length, multiply: 2}," * 3_000
    + "]}",
    "9,000 severities": "targets: {t: {env: {id: CartPole-v1}, severity: [" + "0.5," * 9_000 + "]}}",
    "4,900 image kwargs": "kind: image\nmodel: {name: torchvision, architecture: resnet18, kwargs: {"
    + ",".join(f"k{number}: 1" for number in range(4_900))
    + "}}",
}
"""Further texts of a config."""

LONG = {
    "200 overrides": ["sweep", "quickstart", *(f"analysis.k{number}=1" for number in range(200))],
    "10,000 overrides": ["sweep", "quickstart", *(f"k{number}=1" for number in range(10_000))],
    "100 overrides of 9,000 values": ["sweep", "quickstart", *(f"k{n}=[{'1,' * 9_000}]" for n in range(100))],
    "override of 30,000 letters": ["sweep", "quickstart", f"name={'a' * 30_000}"],
    "override of 120,000 letters": ["sweep", "quickstart", f"name={'a' * 120_000}"],
    "override of 100 KB, a list": ["sweep", "quickstart", f"targets=[{'a,' * 60_000}]"],
    "1,000 overrides": ["sweep", "quickstart", *(f"k{number}=1" for number in range(1_000))],
    "3 overrides of 5,000 values": ["sweep", "quickstart", *(f"k{n}=[{'1,' * 5_000}]" for n in range(3))],
    "override with an alias bomb": [
        "sweep",
        "quickstart",
        "analysis={" + ", ".join(f"b{n}: &b{n} [{f'*b{n - 1}, ' * 9 if n else 1}]" for n in range(9)) + "}",
    ],
}

POLICIES: dict[str, tuple[str, Writer]] = {
    "an empty zip": ("p.zip", _zipped()),
    "zip of 1 GiB of zeros": ("p.zip", _zipped(("policy.pth", bytes(2**30)), ("data", b"{}"))),
    "zip with 60,000 members": ("p.zip", _zipped(*((f"m{number}", b"") for number in range(60_000)))),
    "zip whose data are 100,000 levels deep": (
        "p.zip",
        _zipped(("data", b"[" * 100_000), ("policy.pth", b"")),
    ),
    "5 MB of letters called .zip": ("p.zip", _text("a" * 5_000_000)),
    "5 MB of letters called .safetensors": ("p.safetensors", _text("a" * 5_000_000)),
    "bundle 100,000 levels deep": ("p", _bundle("[" * 100_000)),
    "bundle over 7 GiB of no network's": ("p", _sparse_bundle(7 * 2**30)),
    "bundle with a list of 5 MB": ("p", _bundle("[" + "1," * 2_500_000 + "1]")),
}


WEIGHTS: dict[str, tuple[str, Writer]] = {
    "7 GiB in a hole": ("w.safetensors", _sparse(7 * 2**30)),
    "40 GiB in a hole": ("w.safetensors", _sparse(40 * 2**30)),
    "5 MB of letters": ("w.pth", _text("a" * 5_000_000)),
}


def attacks() -> Iterator[Attack]:
    """Every input."""
    for override, _ in OVERRIDES:
        yield Attack("overrides", _words(override), ("sweep", "quickstart", override), (3,))
    texts = {_words(text): text for text, _ in FILES} | CONFIGS
    for command in ("sweep", "train"):
        for what, text in texts.items():
            files = (("config.yaml", _text(text)),)
            yield Attack(f"files, {command}", what, (command, "./config.yaml"), (3,), files)
    for what, arguments in LONG.items():
        yield Attack("many and long overrides", what, tuple(arguments), (3,))
    for name in ("[b]", NAME):
        for arguments, code in COMMANDS:
            given = tuple(each.format(name) for each in arguments)
            yield Attack("names", _words(" ".join(given)), given, (code, 1) if name == NAME else (code,))
    for arguments in (["--version"], ["configs", "list"], ["configs", "show", "cartpole"], ["envs", "list"]):
        yield Attack("output to a full disk", " ".join(arguments), tuple(arguments), (1,), full=True)
    for what, (name, writer) in POLICIES.items():
        extra = ("--env", "CartPole-v1", "--algorithm", "PPO") if name.endswith(".safetensors") else ()
        yield Attack("policies", what, ("policies", "inspect", name, *extra), (6,), ((name, writer),))
    for what, (name, writer) in WEIGHTS.items():
        source = f"torchvision/resnet18:./{name}"
        yield Attack("weights of images", what, ("policies", "inspect", source), (6,), ((name, writer),))


def cost(attack: Attack) -> Cost:
    """Run the program on an input."""
    with tempfile.TemporaryDirectory() as folder:
        for name, write in attack.files:
            write(Path(folder, name))
        with (
            Path("/dev/full" if attack.full else f"{folder}/out").open("wb") as out,
            Path(folder, "err").open("wb") as err,
        ):
            child = subprocess.Popen(
                [sys.executable, "-m", "rl_transfer", *(os.fsencode(each) for each in attack.arguments)],
                cwd=folder, stdout=out, stderr=err, preexec_fn=_limit,
            )  # fmt: skip
            _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        told = Path(folder, "err").read_bytes()
        return Cost(
            child.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**10, b"Traceback" in told
        )


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_SECONDS, MOST_CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))


def main(words: list[str] | None = None) -> int:
    """Print a line per input, then the table; 1 where something was not refused as it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default="", help="part of a kind's name, or of an input's")
    only = parser.parse_args(words).only
    kinds: dict[str, list[tuple[Attack, Cost]]] = {}
    wrong = 0
    for attack in attacks():
        if only not in attack.kind and only not in attack.what:
            continue
        taken = cost(attack)
        bad = taken.code not in attack.codes or taken.traceback
        over = taken.cpu > CPU_SECONDS or taken.mib > MIB
        wrong += bad
        mark = f"  WRONG: exit code {taken.code}" if bad else "  over" if over else ""
        print(f"{taken.cpu:6.2f} s {taken.mib:6.0f} MiB  {attack.kind}: {attack.what}{mark}", flush=True)
        kinds.setdefault(attack.kind, []).append((attack, taken))
    print("\n| input | how many | CPU s, at most | MiB, at most | the slowest |\n|---|---|---|---|---|")
    for kind, rows in kinds.items():
        slowest = max(rows, key=lambda row: row[1].cpu)
        peak = max(taken.mib for _, taken in rows)
        print(f"| {kind} | {len(rows)} | {slowest[1].cpu:.2f} | {peak:.0f} | `{slowest[0].what}` |")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
