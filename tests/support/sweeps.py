"""A sweep small enough to run many times in a test."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import pytest

from rl_transfer.cli import main
from rl_transfer.errors import RLTransferError
from rl_transfer.sweep.dispatch import Job

SUITE = """\
kind: rl
name: tiny
seeds: 2
algorithm: {name: PPO, n_envs: 2, n_steps: 16, batch_size: 16, n_epochs: 1}
training: {total_steps: 64}
evaluation: {every: 32, episodes: 2}
sources:
  base: {env: {id: CartPole-v1}, training: {total_steps: 128}}
targets:
  reversed: cartpole-reversed-actions
  base-again: {env: {id: CartPole-v1}, training: {total_steps: 128}}
strategies: [scratch, fine-tune, frozen-trunk-new-head, random-frozen]
"""
TWO_ARMS = SUITE.replace(", frozen-trunk-new-head, random-frozen", "")

T = TypeVar("T")
PATIENCE = 500.0
"""Seconds until a test gives up on something that comes, however busy the machine is."""
CLOCK = {"provenance", "started", "finished", "wall_seconds", "cpu_seconds", "sync_seconds", "digest"}


def write_suite(folder: Path, text: str = SUITE) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def results(folder: Path) -> dict[str, Any]:
    """What a sweep found, without clock times: run id → curve and record (with the digest of the weights)."""
    found = {}
    for record in sorted(folder.glob("runs/*/record.json")):
        data = json.loads(record.read_text(encoding="utf-8"))
        curve = (record.parent / "curve.jsonl").read_text(encoding="utf-8")
        found[data["id"]] = (curve, {key: value for key, value in data.items() if key not in CLOCK})
    return found


def command(config: Path, output: Path, *arguments: str) -> list[str]:
    """The words of a sweep into a folder."""
    return [sys.executable, "-m", "rl_transfer", "sweep", str(config), "-o", str(output), *arguments]


def swept(config: Path, output: Path, *arguments: str) -> Path:
    """The folder of a sweep run to its end by the command in this process; its workers are processes."""
    with pytest.raises(SystemExit) as ended:
        main(["sweep", str(config), "-o", str(output), *arguments])
    assert not ended.value.code
    return output


def same_as(reference: Path, output: Path) -> None:
    """Two sweeps found the same, and nothing is under way in the second."""
    assert results(output) == results(reference)
    assert (output / "summary.json").read_bytes() == (reference / "summary.json").read_bytes()
    assert not (output / ".incoming").exists()


def until(look: Callable[[], T], process: subprocess.Popen[Any] | None = None) -> T:
    """Wait for the first thing seen that is true, while the process lives that should bring it about."""
    deadline = time.monotonic() + PATIENCE
    while not (seen := look()):
        assert process is None or process.poll() is None, "it ended too early"
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
    return seen


class InThisProcess:
    """Executes jobs at once."""

    slots = 1

    def __init__(self, root: Path) -> None:
        """For the runs of any folder."""

    def submit(self, job: str) -> Future[None]:
        future: Future[None] = Future()
        try:
            Job.from_json(job).execute()
        except RLTransferError as error:
            future.set_exception(error)
        else:
            future.set_result(None)
        return future

    def cancel(self, future: Future[None]) -> None:
        """Nothing is running."""

    def close(self) -> None:
        """Nothing is held."""
