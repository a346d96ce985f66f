"""Machine code on disk: never that of other sources or another processor, and never in anybody's way."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rl_transfer.engine import compiling

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import numpy as np
from rl_transfer.engine import compiling, generators
before = compiling.is_kept("generators")
order = np.zeros(8, dtype=np.int64)
generators.shuffle(order, 3, 1, 0)
folder = compiling.cache_folder()
hits = sum(generators.shuffle.stats.cache_hits.values())
assert before or not hits, "what is loaded was kept before"
assert compiling.is_kept("generators") is (folder is not None)
assert before or not compiling.is_kept("dqn"), "what nobody used is not there"
print(order.tolist(), folder is not None, hits)
"""


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "envs")]), **more}


def begin(cache: Path) -> subprocess.Popen[str]:
    """A process of its own that compiles a function, with that folder for caches."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM], env=environment(XDG_CACHE_HOME=str(cache)),
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def said(process: subprocess.Popen[str]) -> tuple[str, str, str]:
    """What was drawn, whether there was a folder, how often it was loaded from there."""
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    drawn, folder, hits = printed.strip().rsplit(" ", 2)
    return drawn, folder, hits


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder that two processes filled at once, and what each of them drew."""
    folder = tmp_path_factory.mktemp("cache")
    both = [begin(folder), begin(folder)]
    return folder, [said(each)[0] for each in both]


@pytest.mark.full
def test_two_processes_compile_at_once_and_a_third_loads_what_they_made(kept: tuple[Path, list[str]]) -> None:
    folder, (first, second) = kept
    assert first == second
    assert said(begin(folder)) == (first, "True", "1")
    assert [each.name for each in (folder / "rl_transfer").iterdir()] == [f"engine-{compiling.digest()}"]


@pytest.mark.parametrize(
    ("which", "left"), [("*.nbc", b""), pytest.param("*.nbi", b"cut off", marks=pytest.mark.full)]
)
def test_damaged_machine_code_is_compiled_anew(
    which: str, left: bytes, kept: tuple[Path, list[str]], tmp_path: Path
) -> None:
    folder, (drawn, _) = kept
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    files = [*tmp_path.rglob(which)]
    for file in files:
        file.write_bytes(left)
    assert files
    assert said(begin(tmp_path)) == (drawn, "True", "0")
    assert said(begin(tmp_path)) == (drawn, "True", "1"), "and kept again"


def test_a_folder_that_cannot_be_written_is_done_without(
    kept: tuple[Path, list[str]], tmp_path: Path
) -> None:
    taken = tmp_path / "file"
    taken.write_text("no folder", encoding="utf-8")
    assert said(begin(taken)) == (kept[1][0], "False", "0")


@pytest.mark.parametrize(
    ("name", "value"),
    [("get_host_cpu_name", "another-processor"), ("get_host_cpu_features", {"avx512f": False})],
)
def test_another_processor_has_a_folder_of_its_own(
    name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = compiling.digest()
    monkeypatch.setattr(f"llvmlite.binding.{name}", lambda: value)
    assert compiling.digest() != here


def test_an_edited_source_or_another_library_has_one_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "physics.py"
    source.write_text("def force(x): return x\n", encoding="utf-8")
    own, elsewhere = tmp_path / "own", tmp_path / "own" / "module.py"
    own.mkdir()
    elsewhere.write_text("", encoding="utf-8")
    monkeypatch.setattr(compiling, "_called", {})
    compiling.register(str(elsewhere), [source])
    before = compiling.digest(own)
    source.write_text("def force(x): return 2 * x\n", encoding="utf-8")
    edited = compiling.digest(own)
    elsewhere.write_text("x = 1\n", encoding="utf-8")
    beside = compiling.digest(own)
    monkeypatch.setattr("numba.__version__", "0.0")
    assert len({before, edited, beside, compiling.digest(own), compiling.digest()}) == 5


@pytest.mark.skipif(compiling.blas_kernels() is None, reason="SciPy brings no OpenBLAS that says its kernels")
def test_the_kernels_of_openblas_are_those_that_were_asked_for() -> None:
    program = "from rl_transfer.engine.compiling import blas_kernels; print(blas_kernels())"
    found = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(OPENBLAS_CORETYPE="Nehalem"), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.strip() == "Nehalem"
