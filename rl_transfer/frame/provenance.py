"""Where a result comes from: command, commit, machine, and digests of the code that it rests on."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from rl_transfer.results import library_versions
from rl_transfer.spec.base import Json
from rl_transfer.spec.experiment import RunConfig
from rl_transfer.spec.modules import import_named

GIT_SECONDS = 5.0
MOST_FILES = 2_000
_OWN = ("rl_transfer", "rl_transfer_envs")
"""Told by the version of rl-transfer."""
BENEATH = {"gymnasium.envs.mujoco": "mujoco", "gymnasium.envs.box2d": "Box2D"}
"""What environments of Gymnasium's own rest on."""
_adopted: list[Mapping[str, Json]] = []


def origin() -> Mapping[str, Json]:
    """What was asked for, and at which commit the user's folder was.

    Returns:
        ``command``; ``git``: ``commit`` and ``dirty``, or None where the folder is in no repository;
        ``attempts``: how many processes have begun the run, this one included.
    """
    return _adopted[-1] if _adopted else _origin()


def adopt(found: Mapping[str, Json]) -> None:
    """Take the origin of the sweep that sent a run here for that of this process.

    Args:
        found: as :func:`origin` gave it there.
    """
    _adopted[:] = [found]


@cache
def _origin() -> Mapping[str, Json]:
    return {"command": _command(), "git": _git(), "attempts": 1}


def _command() -> str:
    program = Path(sys.argv[0] if sys.argv else "").name
    words = shlex.join(["rl-transfer" if program == "__main__.py" else program, *sys.argv[1:]])
    home = os.path.expanduser("~")
    return words.replace(home + os.sep, "~/") if len(home) > 1 else words


def _git() -> Json:
    commit = _ask_git("rev-parse", "HEAD")
    if not commit:
        return None
    changed = _ask_git("status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if changed is None else bool(changed)}


def _ask_git(*words: str) -> str | None:
    """What git says of the current folder; None where it is missing, slow, or knows no repository."""
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", *words],
            capture_output=True, text=True, timeout=GIT_SECONDS, check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()


def machine() -> dict[str, Json]:
    """The kind of machine, as far as it can change how numbers are rounded.

    Returns:
        ``cpu`` with the instructions that torch uses, its ``cores``, ``platform`` and ``threads``.
    """
    import torch  # heavy: a command line that only reads a config starts without

    return {
        "cpu": f"{_cpu_model()} ({torch.backends.cpu.get_cpu_capability()})",
        "cores": os.cpu_count(),
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
    }


@cache
def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def code_of(run: RunConfig) -> dict[str, str]:
    """The code that a run rests on, beside the libraries that every run rests on.

    Args:
        run: its modules are imported; its environments are registered by now.

    Returns:
        Name of a package → its version where it is installed; name of a user's module → a digest of its
        source, of the files beside it that it imports, and of its package if it is one.
    """
    found: dict[str, str] = {}
    for module in sorted({*import_named(run), *_registered(run.plain())}):
        found |= _code(module)
    return dict(sorted(found.items()))


def _registered(plain: Json) -> Iterator[str]:
    """The modules that register or build the environments which a config names by their ids."""
    if isinstance(plain, dict):
        for key, value in plain.items():
            if key in ("id", "base") and isinstance(value, str):
                yield from _entry_module(value.rpartition(":")[2])
            else:
                yield from _registered(value)
    elif isinstance(plain, list):
        for value in plain:
            yield from _registered(value)


def _entry_module(identifier: str) -> Iterator[str]:
    registration = sys.modules.get("gymnasium.envs.registration")
    spec = registration.registry.get(identifier) if registration else None
    entry = getattr(spec, "entry_point", None)
    if isinstance(entry, str):
        yield entry.partition(":")[0]
    elif entry is not None:
        yield str(entry.__module__)


@cache
def _code(module: str) -> Mapping[str, str]:
    """What stands in the record for a module, by its dotted name."""
    top = module.partition(".")[0]
    if top in _OWN or top in sys.stdlib_module_names:
        return {}
    place = _place(top)
    return _library(module) or (_written(top, place) if place else {})


def _library(module: str) -> Mapping[str, str]:
    """Distributions that a module comes from and rests on, with versions; empty if it is not installed."""
    beneath = [name for prefix, name in BENEATH.items() if f"{module}.".startswith(f"{prefix}.")]
    tops = [top for top in (module.partition(".")[0], *beneath) if top not in _OWN]
    return {name: version for top in tops for name, version in _installed(top).items()}


def _place(top: str) -> Path | None:
    """The file of a module, or the folder of a package."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.has_location and spec.origin else None


@cache
def _installed(top: str) -> Mapping[str, str]:
    """Distribution → version, for what lies among the installed packages."""
    names = _distributions().get(top)
    place = _place(top)
    if not names or place is None:
        return {}
    homes = {Path(sysconfig.get_path(each)) for each in ("purelib", "platlib")}
    # Those of the user and of the system, and others on the path; not the folder of a checkout.
    found = (Path(str(importlib.metadata.distribution(name).locate_file(""))) for name in names)
    homes |= {home for home in found if home.name in ("site-packages", "dist-packages")}
    if not any(place.resolve().is_relative_to(home.resolve()) for home in homes):
        return {}
    return {name.lower().replace("_", "-"): library_versions([name])[name] for name in names}


@cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


@cache
def _written(top: str, place: Path) -> Mapping[str, str]:
    """Digest of a user's own source, and versions of the packages that it imports."""
    own_files = cache(_own_files)  # most imports are those of other files too
    files = [(path, place.parent) for path in _sources(place)][:MOST_FILES]
    hashed, packages = hashlib.sha256(), set[str]()
    seen = {path for path, _ in files}
    for path, home in files:  # grows: the user's other files that it imports
        try:
            content = path.read_bytes()
        except OSError:
            continue
        hashed.update(f"{path.relative_to(home).as_posix()}\0{len(content)}\0".encode() + content)
        for name in sorted(_imports(content)):
            own = own_files(name.partition(".")[0], home)
            if own:
                files += [each for each in own if each[0] not in seen][: MOST_FILES - len(files)]
                seen.update(path for path, _ in own)
            else:
                packages.add(name)
    found = {top: f"sha256:{hashed.hexdigest()[:16]}"}
    for name in sorted(packages):
        found |= {key: text for key, text in _library(name).items() if key not in found}
    return found


def _own_files(top: str, home: Path) -> list[tuple[Path, Path]]:
    """A user's files that an import means, each with its folder; those in ``home`` come before all others."""
    beside = [home / f"{top}.py", *(_sources(home / top) if (home / top / "__init__.py").is_file() else [])]
    found = [(each, home) for each in beside if each.is_file()]
    if found or top in _OWN or top in sys.stdlib_module_names or _library(top):
        return found
    place = _place(top)
    return [] if place is None else [(each, place.parent) for each in _sources(place)]


def _sources(place: Path) -> list[Path]:
    return sorted(place.rglob("*.py")) if place.is_dir() else [place]


def _imports(content: bytes) -> set[str]:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError):
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found
