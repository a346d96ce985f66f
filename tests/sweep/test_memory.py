"""How many workers: one per core, as far as memory reaches; what the user asks for is obeyed."""

from pathlib import Path

import pytest

from rl_transfer.sweep import memory
from rl_transfer.sweep.memory import MIB, SWEEP, WORKER, available, choose_workers


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 8 cores and 16 GiB free, in no control group."""
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "cores", lambda: 8)
    write(tmp_path / "proc/meminfo", "MemTotal: 33554432 kB\nMemFree: 1 kB\nMemAvailable: 16777216 kB\n")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")


def chosen(given: int | None) -> tuple[int, list[str]]:
    said: list[str] = []
    return choose_workers(given, said.append), said


def free(machine: Path, size: int) -> None:
    write(machine / "proc/meminfo", f"MemAvailable: {size // 1024} kB\n")


@pytest.mark.parametrize(("given", "expected"), [(None, 8), (3, 3), (20, 20)])
def test_where_there_is_room_nothing_is_said(machine: Path, given: int | None, expected: int) -> None:
    assert chosen(given) == (expected, [])


def test_exactly_as_many_as_fit(machine: Path) -> None:
    free(machine, SWEEP + 8 * WORKER)
    assert chosen(None) == (8, [])
    free(machine, SWEEP + 8 * WORKER - MIB)
    number, (line,) = chosen(None)
    assert number == 7
    assert line == (
        "7 workers instead of 8: 1,549 MiB of memory are available, and a worker takes 150 MiB or more "
        "(--workers overrules this)"
    )


def test_what_the_user_asks_for_is_obeyed_with_a_warning(machine: Path) -> None:
    free(machine, SWEEP + 2 * WORKER)
    number, (line,) = chosen(3)
    assert number == 3
    assert line.startswith("warning: --workers 3 may need more memory than there is: 650 MiB")
    assert line.endswith("; 2 would fit")
    assert chosen(2) == (2, [])


def test_what_the_largest_run_needs_counts(machine: Path) -> None:
    free(machine, SWEEP + 2 * (WORKER + 1000 * MIB))
    said: list[str] = []
    assert choose_workers(None, said.append, 1000 * MIB) == 2
    assert "a worker takes 1,150 MiB or more" in said[0]


def test_there_is_always_one(machine: Path) -> None:
    free(machine, 0)
    assert chosen(None)[0] == 1


@pytest.mark.parametrize("group", ["/job", "/", "/not/seen/from/here"])
def test_the_limit_of_a_control_group_counts(machine: Path, group: str) -> None:
    write(machine / "proc/self/cgroup", f"0::{group}\n")
    write(machine / "cgroup/memory.max", f"{1000 * MIB}\n")
    write(machine / "cgroup/memory.current", f"{500 * MIB}\n")
    write(machine / "cgroup/memory.stat", f"anon 1\nfile 3\ninactive_file {300 * MIB}\n")
    write(machine / "cgroup/job/memory.max", "max\n")
    assert available() == 800 * MIB


def test_the_narrowest_of_nested_groups_counts(machine: Path) -> None:
    write(machine / "proc/self/cgroup", "0::/outer/inner\n")
    for name, most in (("outer", 700), ("outer/inner", 900)):
        write(machine / f"cgroup/{name}/memory.max", f"{most * MIB}\n")
        write(machine / f"cgroup/{name}/memory.current", f"{100 * MIB}\n")
    assert available() == 600 * MIB


def test_control_groups_of_the_first_version(machine: Path) -> None:
    write(machine / "proc/self/cgroup", "5:cpu,memory:/job\n0::/\n")
    write(machine / "cgroup/memory/job/memory.limit_in_bytes", f"{400 * MIB}\n")
    write(machine / "cgroup/memory/job/memory.usage_in_bytes", f"{500 * MIB}\n")
    assert available() == 0
    write(machine / "cgroup/memory/job/memory.stat", f"total_inactive_file {200 * MIB}\n")
    assert available() == 100 * MIB


def test_a_system_that_does_not_tell_has_one_worker_per_core(machine: Path) -> None:
    (machine / "proc/meminfo").unlink()
    assert available() is None
    assert chosen(None) == (8, [])
