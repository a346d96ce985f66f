"""A Ray cluster of two nodes on this machine, each with an address of its own on the loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.sweeps import PATIENCE, until

HEAD, SECOND = "127.0.0.2", "127.0.0.3"
MARK = "RL_TRANSFER_TEST_CLUSTER"


class Cluster:
    """Nodes of one CPU each; every process of it carries a mark, by which it is found and ended."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # its sockets want a short path
        self._second = ("", 0)
        self._mark = uuid.uuid4().hex
        with socket.socket() as free:
            free.bind((HEAD, 0))
            self.address = f"{HEAD}:{free.getsockname()[1]}"
        port = self.address.rpartition(":")[2]
        self._start(
            HEAD, "--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={self._folder}"
        )

    def join(self, path: str = "", cpus: int = 1) -> None:
        """Have a second node, as it is or anew; ``path`` is put before its PYTHONPATH."""
        if self._second == (path, cpus) and self._raylets():
            return
        self.leave()
        self._second = (path, cpus)
        self._start(SECOND, f"--address={self.address}", path=path, cpus=cpus)

    def kill_second(self) -> None:
        """As the second machine would go down: its raylet first, everything with it."""
        (raylet,) = self._raylets()
        os.kill(raylet, signal.SIGKILL)
        until(lambda: not self._raylets())

    def leave(self) -> None:
        """The second node says good-bye, if it is there, and is gone."""
        for pid in self._raylets():
            os.kill(pid, signal.SIGTERM)
        until(lambda: not self._raylets())

    def end(self) -> None:
        """End every process of the cluster, and nothing else."""
        for _ in range(3):  # what dies may just have started something
            for pid in self._processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, ip: str, *options: str, path: str = "", cpus: int = 1) -> None:
        places = [path, *filter(None, sys.path)] if path else [*filter(None, sys.path)]
        environment = {**os.environ, MARK: self._mark, "PYTHONPATH": os.pathsep.join(places)}
        environment["RAY_worker_niceness"] = "0"  # by default everything else on the machine goes first
        done = subprocess.run(
            [str(Path(sys.executable).with_name("ray")), "start", f"--node-ip-address={ip}",
             f"--num-cpus={cpus}", "--num-gpus=0", "--object-store-memory=100000000",
             "--disable-usage-stats", *options],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout

    def _raylets(self) -> list[int]:
        return [pid for pid in self._processes() if _is_raylet(pid, SECOND)]

    def _processes(self) -> list[int]:
        mark = f"{MARK}={self._mark}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if folder.name.isdecimal() and mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found


def _is_raylet(pid: int, ip: str) -> bool:
    with contextlib.suppress(OSError):
        words = Path("/proc", str(pid), "cmdline").read_bytes().decode().split("\0")
        return words[0].endswith("/raylet") and f"--node_ip_address={ip}" in words
    return False


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A head that runs while it lasts; whatever happens, nothing of it is left."""
    found = None
    try:
        found = Cluster()
        yield found
    finally:
        if found is not None:
            found.end()
