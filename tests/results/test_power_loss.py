"""Losses of power, simulated: whatever was not synced may be there, or not, or in part.

The run writes for real. At every sync, and at the end, its folder is rebuilt as a disk could hold it after a
loss of power: a file not synced since it changed has its old content, its new one, a part of it or zeros; a
name not synced is there or not. The run must then be unfinished, or finished and whole: no record is without
its data.
"""

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from rl_transfer.core import save_bundle
from rl_transfer.errors import StoreError
from rl_transfer.results import RunFolder, RunStore
from rl_transfer.spec import Environment, Evaluation, RLRun

SPEC = RLRun(env=Environment(id="CartPole-v1"), policy="random", evaluation=Evaluation(every=1), seed=0)
SAMPLES = 24


class Disk:
    """What is surely on the disk of a folder, and what is so far only in memory; files are known by inode.

    Whatever was seen is held open, so that no file system gives the inode of what was removed to what is new.
    """

    def __init__(self, root: Path, held: ExitStack) -> None:
        self.root, self._held = root, held
        self.contents: dict[int, bytes] = {}
        self.names: dict[int, dict[str, int]] = {}
        for path in (root, *root.rglob("*")):
            self.sync(path)

    def _inode(self, path: Path) -> int:
        handle = os.open(path, os.O_RDONLY)
        self._held.callback(os.close, handle)
        return os.fstat(handle).st_ino

    def sync(self, path: Path) -> None:
        inode = self._inode(path)
        if path.is_dir():
            self.names[inode] = {each.name: self._inode(each) for each in path.iterdir()}
        else:
            self.contents[inode] = path.read_bytes()

    def after_a_loss(self, rebuilt: Path, draw: "Draw") -> None:
        """Write into ``rebuilt`` what could be left."""
        now = {path.stat().st_ino: path for path in (self.root, *self.root.rglob("*"))}
        self._folder(self.root.stat().st_ino, rebuilt, now, draw)

    def _folder(self, inode: int, rebuilt: Path, now: dict[int, Path], draw: "Draw") -> None:
        rebuilt.mkdir()
        here = now.get(inode)
        old = self.names.get(inode, {})
        new = {each.name: each.stat().st_ino for each in here.iterdir()} if here else old
        for name in sorted({*old, *new}):
            child = (
                new.get(name) if old.get(name) == new.get(name) else draw.name(old.get(name), new.get(name))
            )
            if child is None:
                continue
            if child in self.names or (child in now and now[child].is_dir()):
                self._folder(child, rebuilt / name, now, draw)
            else:
                synced = self.contents.get(child, b"")
                written = now[child].read_bytes() if child in now else synced
                content = written if written == synced else draw.content(synced, written)
                (rebuilt / name).write_bytes(content)


class Draw:
    """Which of the possible outcomes came: the extremes in the first four draws, by lot in the others."""

    def __init__(self, number: int) -> None:
        self._lot = random.Random(number)
        self._extremes = divmod(number, 2) if number < 4 else None

    def name(self, old: int | None, new: int | None) -> int | None:
        return self._lot.choice((old, new)) if self._extremes is None else (old, new)[self._extremes[0]]

    def content(self, old: bytes, new: bytes) -> bytes:
        if self._extremes is not None:
            return (old, new)[self._extremes[1]]
        part = new[: self._lot.randrange(len(new) + 1)]
        return self._lot.choice((old, new, part, bytes(len(new))))


class Observer:
    """Stands between the run and ``os.fsync``, and looks at what losses of power would leave."""

    def __init__(self, disk: Disk, scratch: Path, ignored: tuple[str, int] | None) -> None:
        """``ignored``: syncs of files named so do nothing, once so many were honoured."""
        self.disk, self.scratch, self.ignored = disk, scratch, ignored
        self.bad: set[str] = set()

    def fsync(self, handle: int) -> None:
        self.look()
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        name = "record.json" if path.name.endswith(".partial") else path.name
        if self.ignored is None or name != self.ignored[0]:
            self.disk.sync(path)
        elif self.ignored[1] > 0:
            self.ignored = (self.ignored[0], self.ignored[1] - 1)
            self.disk.sync(path)

    def look(self) -> set[str]:
        """States that a run is in after losses of power at this moment."""
        states: set[str] = set()
        for sample in range(SAMPLES):
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.disk.after_a_loss(self.scratch, Draw(sample))
            reading = RunFolder(self.scratch / "runs" / "abc").read(bundle=True)
            states.add(reading.state)
            if reading.state == "finished":
                assert reading.record is not None
                assert reading.record["found"] == "everything"
                assert reading.curve is not None
                assert [point["step"] for point in reading.curve] == [0, 8]
            elif reading.state != "unfinished":
                self.bad.add(str(reading.problem))
        return states


def write_run(folder: RunFolder) -> None:
    folder.begin(SPEC)
    for k, step in enumerate((0, 8)):
        folder.append_evaluation(k, step, [1.0, 2.0], [3, 4])
        folder.beat(step, 8, 1.5)
    save_bundle(folder.bundle, {"weight": torch.arange(6.0)}, {"run": "abc"})
    folder.finish({"total_steps": 8, "found": "everything"})


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def losses(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    held: ExitStack,
    ignored: tuple[str, int] | None = None,
    *,
    leftovers: bool = True,
) -> Observer:
    """Write a run, perhaps over the leftovers of an interrupted one, with losses of power everywhere."""
    store = RunStore(tmp_path / "out").open()
    if leftovers:
        interrupted = store.folder("abc")
        interrupted.begin(SPEC.model_copy(update={"seed": 1}))
        interrupted.append_evaluation(0, 0, [9.0], [9])
        save_bundle(interrupted.bundle, {"weight": torch.zeros(2)}, {"run": "abc"})
    observer = Observer(Disk(store.root, held), tmp_path / "after", ignored)
    monkeypatch.setattr("os.fsync", observer.fsync)
    write_run(store.folder("abc"))
    return observer


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="finds synced files in /proc")


@needs_proc
@pytest.mark.parametrize("leftovers", [False, True])
def test_a_loss_of_power_leaves_a_run_unfinished_or_whole(
    leftovers: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: ExitStack
) -> None:
    observer = losses(tmp_path, monkeypatch, held, leftovers=leftovers)
    assert observer.bad == set()
    assert observer.look() == {"finished"}, "once finish() has returned, no loss of power undoes it"


@needs_proc
@pytest.mark.parametrize(
    ("ignored", "times"),
    [
        ("spec.json", 0), ("curve.jsonl", 0), ("bundle.json", 0), ("tensors.safetensors", 0), ("bundle", 0),
        ("runs", 0), ("abc", 0), ("record.json", 0), ("abc", 1),
    ],
)  # fmt: skip
def test_no_sync_is_there_in_vain(
    ignored: str, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: ExitStack
) -> None:
    """Left out, the first or (of the run's own folder) the last time, any of them loses something."""
    observer = losses(tmp_path, monkeypatch, held, (ignored, times), leftovers=ignored != "runs")
    assert observer.bad or observer.look() != {"finished"}


def test_a_disk_that_fails_leaves_a_run_unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_handle: int) -> None:
        raise OSError(5, "Input/output error")

    folder = RunStore(tmp_path).open().folder("abc")
    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(StoreError, match=r"cannot be kept \(.*Input/output error"):
        write_run(folder)
    assert folder.read().state == "unfinished"
