"""One forked process: apply a change in memory, run tests, say what happened.

The parent has the libraries imported (torch and the like), but nothing of the package, so that a child
imports the package with the changed module in it. Tests that start other interpreters see the module as
it lies on disk; they cannot notice.
"""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.util
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Literal

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("rl_transfer", "rl_transfer_envs")
LIBRARIES = (
    "torch", "numpy", "pydantic", "gymnasium", "safetensors.torch", "ruamel.yaml", "rich",
    "stable_baselines3", "sb3_contrib", "torch._dynamo", "matplotlib.figure", "_pytest.assertion.rewrite",
)  # fmt: skip

Outcome = Literal["killed", "survived", "timeout", "broken"]
FAILED_TO_START = 70
QUIET = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=line",
         "-W", "ignore:Module already imported so cannot be rewritten")  # fmt: skip


class Changed(SourceFileLoader):
    """Loads a module from a given tree instead of its file's text."""

    def __init__(self, name: str, path: str, tree: ast.Module) -> None:
        super().__init__(name, path)
        self._tree = tree

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._tree, self.path, "exec")


class Finder(importlib.abc.MetaPathFinder):
    """Puts one changed module in the place of the file's."""

    def __init__(self, path: str, tree: ast.Module) -> None:
        self._name, self._path, self._tree = module_name(path), str(ROOT / path), tree

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        loader = Changed(fullname, self._path, self._tree)
        return importlib.util.spec_from_file_location(fullname, self._path, loader=loader)


def module_name(path: str) -> str:
    """``envs/rl_transfer_envs/errors.py`` → ``rl_transfer_envs.errors``."""
    parts = Path(path).with_suffix("").parts
    parts = parts[1:] if parts[0] == "envs" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def prepare() -> None:
    """Import what every child needs; refuses a process that has the package already."""
    for name in LIBRARIES:
        importlib.import_module(name)
    # The same examples every time, and no search for the smallest one: a failure is enough.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        "mutants", phases=phases, database=None, deadline=None, derandomize=True
    )
    hypothesis.settings.load_profile("mutants")
    loaded = [name for name in PACKAGES if name in sys.modules]
    if loaded:
        raise RuntimeError(f"{loaded[0]} is imported already; a change would not reach it")


def run(
    tests: Sequence[str],
    limit: float,
    change: tuple[str, ast.Module] | None = None,
    plugins: Sequence[object] = (),
) -> Outcome:
    """Run tests in a child process.

    Args:
        tests: node ids or paths, from the repository root.
        limit: seconds after which the child is stopped.
        change: a module's path and its changed tree, if anything is changed.
        plugins: pytest plugins for the child; what they find must be written to a file.

    Returns:
        ``killed`` when a test failed, ``survived`` when all passed, ``timeout``, or ``broken`` when pytest
        could not run the tests at all (unknown test ids, for example).
    """
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os._exit(_child(tests, change, plugins))
    code = wait(child, limit)
    if code is None:
        return "timeout"
    if code == pytest.ExitCode.OK:
        return "survived"
    # A changed module that cannot be imported is a usage error (4) where a conftest imports it, and ends the
    # collection (2) elsewhere. Without a change the same codes mean that the tests are named wrongly.
    nothing_ran = {FAILED_TO_START, pytest.ExitCode.NO_TESTS_COLLECTED}
    if change is None:
        nothing_ran |= {pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERRUPTED}
    return "broken" if code in nothing_ran else "killed"


def _child(tests: Sequence[str], change: tuple[str, ast.Module] | None, plugins: Sequence[object]) -> int:
    os.setsid()
    code = FAILED_TO_START
    try:
        silence()
        if change is not None:
            sys.meta_path.insert(0, Finder(*change))
        code = int(pytest.main([*QUIET, f"--rootdir={ROOT}", *tests], plugins=list(plugins)))
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(code)  # a child never goes on with its parent's work


def silence() -> None:
    """Send what this process prints nowhere, unless ``MUTANTS_LOUD`` is set."""
    if not os.environ.get("MUTANTS_LOUD"):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)


def wait(child: int, limit: float) -> int | None:
    """The child's exit code, below 0 for a signal; None if it was stopped at the limit."""
    deadline = time.monotonic() + limit
    pause = 0.005
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(pause)
        pause = min(0.05, pause * 1.5)
