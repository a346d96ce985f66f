"""The nodes of a cluster: what a run asks of them, what they say of themselves, and how they execute it.

Nothing here knows which kind of cluster it is. A run is executed in a process of the local executor.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import math
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rl_transfer.errors import ClusterError
from rl_transfer.frame.provenance import BENEATH
from rl_transfer.results import library_versions
from rl_transfer.results.versions import CLASSIFIERS, PICTURES, POLICIES
from rl_transfer.sweep.archive import pack, unpack
from rl_transfer.sweep.dispatch import Job
from rl_transfer.sweep.local import LocalExecutor
from rl_transfer.sweep.watch import Limits

SCRATCH = "rl-transfer-run-"
BEAT = "heartbeat.json"


@dataclass(frozen=True)
class Request:
    """What a run asks of its node, and how many may run at a time."""

    cpus: float
    gpus: float
    workers: int | None
    """None: as many as the cluster has room for."""
    runs_per_worker: int
    """How many a process executes, one after the other."""
    limits: Limits
    """What ends a run that does not end by itself."""

    def slots(self, resources: dict[str, float]) -> int:
        """How many runs fit on a node at a time.

        Args:
            resources: of the node, as Ray names them.

        Returns:
            At least 0.
        """
        room = resources.get("CPU", 0.0) / self.cpus
        if self.gpus:
            room = min(room, resources.get("GPU", 0.0) / self.gpus)
        return math.floor(room + 1e-9)


@dataclass(eq=False)
class Node:
    """A node of the cluster and what became of it."""

    id: str
    address: str
    slots: int
    state: str = "asked"
    """``asked``, ``ready``, ``lost`` or ``refused``."""
    shared: bool = False
    busy: int = 0
    owing: bool = False
    """Whether it owes an answer about the steps of its runs."""


@dataclass(frozen=True)
class NodeReport:
    """What a node says of itself."""

    versions: dict[str, str]
    shared: bool
    """Whether it sees the folder of the sweep."""


def versions() -> dict[str, str]:
    """What must be the same on every node.

    Returns:
        Versions of libraries, and a digest of this package's own code.
    """
    found = library_versions(dict.fromkeys((*POLICIES, *CLASSIFIERS, *PICTURES, *BENEATH.values())))
    found["python"] = ".".join(found["python"].split(".")[:2])
    code = hashlib.sha256()
    for package in ("rl_transfer", "rl_transfer_envs"):
        spec = importlib.util.find_spec(package)
        for folder in map(Path, (spec.submodule_search_locations or ()) if spec else ()):
            for path in sorted(folder.rglob("*.py")):
                code.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    found["rl-transfer's code"] = code.hexdigest()[:12]
    return found


def difference(here: dict[str, str], there: dict[str, str], address: str) -> str | None:
    """What a node has and this machine has not, or the other way round.

    Args:
        here: versions of this machine.
        there: of the node.
        address: what the node is called.

    Returns:
        In words; None where there is no difference.
    """
    words = [
        f"{name} {there.get(name, 'missing')} there, {here.get(name, 'missing')} here"
        for name in (*here, *(there.keys() - here.keys()))
        if here.get(name) != there.get(name)
    ]
    return f"node {address} differs: {'; '.join(words)}" if words else None


_local: LocalExecutor | None = None


def report(probe: str | None, token: str) -> NodeReport:
    """Executed on a node: what it is, and whether it sees the folder of the sweep.

    Args:
        probe: a file in that folder; None: it is not to be used.
        token: what the file says.

    Returns:
        Its report.
    """
    shared = False
    if probe is not None:
        with contextlib.suppress(OSError):
            shared = Path(probe).read_text(encoding="utf-8") == token
    return NodeReport(versions(), shared)


def execute(
    job: str, request: Request, shared: bool, source: bytes | None, folder: str, path: list[str]
) -> bytes | None:
    """Executed on a node: a run, whose end stands in its folder.

    Args:
        job: as :meth:`rl_transfer.sweep.dispatch.Job.to_json` writes it.
        request: what the sweep asks of its nodes.
        shared: execute it in the job's folder, which all nodes see; else in one of this node.
        source: the packed folder of the source's run, if there is one and it is not seen here.
        folder: the current folder of the sweep, taken if it is there.
        path: the import path of the sweep, whose folders come after those of this node.

    Returns:
        The packed folder of the run, if it is not shared.
    """
    sys.path += [each for each in path if each not in sys.path]
    with contextlib.suppress(OSError):
        os.chdir(folder)
    if shared:
        _execute_locally(job, request)
        return None
    _remove_leftovers()
    with tempfile.TemporaryDirectory(prefix=f"{SCRATCH}{os.getpid()}-") as scratch:
        parsed = Job.from_json(job)
        place = Path(scratch, "runs", parsed.folder.name)
        bundle = None
        if source is not None:
            unpack(source, Path(scratch, "source"))
            bundle = Path(scratch, "source", "bundle")
        _execute_locally(replace(parsed, folder=place, source=bundle).to_json(), request)
        return pack(place)


def beats(runs: Sequence[str]) -> dict[str, str]:
    """Executed on a node: the last signs of life of runs that it executes in folders of its own.

    Args:
        runs: their ids.

    Returns:
        Id → what its heartbeat says, of those that have one.
    """
    scratch = Path(tempfile.gettempdir())
    found = {run: [*scratch.glob(f"{SCRATCH}*/runs/{run}")] for run in runs}
    read = {run: read_beat(folders[-1]) for run, folders in found.items() if folders}
    return {run: beat for run, beat in read.items() if beat is not None}


def read_beat(folder: Path) -> str | None:
    """The last sign of life of a run as it stands in its folder.

    Args:
        folder: the run's.

    Returns:
        What its heartbeat says; None before the first.
    """
    with contextlib.suppress(OSError):
        return (folder / BEAT).read_text(encoding="utf-8")
    return None


def show_beat(beat: str | None, folder: Path) -> None:
    """Write a sign of life to where the progress display reads it.

    Args:
        beat: what :func:`read_beat` gave.
        folder: of the run, on the machine of the sweep.
    """
    partial = folder / f".{BEAT}.partial"
    with contextlib.suppress(OSError):
        if beat is not None:
            partial.write_text(beat, encoding="utf-8")
            partial.replace(folder / BEAT)


def knock(address: str) -> None:
    """Refuse an address where nobody listens; the cluster's own library would wait for minutes.

    Args:
        address: ``host:port``.

    Raises:
        ClusterError: it is no address, or nobody answers.
    """
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
            pass
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"no Ray cluster at {address}: {error}; give auto, or host:port as `ray start --head` prints it"
        ) from None


def _remove_leftovers() -> None:
    """Folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*"):
        number = folder.name.removeprefix(SCRATCH).partition("-")[0]
        if number.isdecimal() and not Path("/proc", number).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _execute_locally(job: str, request: Request) -> None:
    """In a process of the local executor; how it ended stands in the run's folder."""
    global _local
    if _local is None:
        # The process of a run would import the main script of Ray's workers.
        vars(sys.modules["__main__"]).pop("__file__", None)
        _local = LocalExecutor(1, request.runs_per_worker, request.limits)
    _local.submit(job).exception()
