"""What spares the processes that tests start, before any of them starts.

One OpenMP thread each, as runs have it: workers of pytest and their processes share the cores, and with more
they would mostly wait for each other, busily. And bytecode: where Python is told to write none, each would
compile the whole package anew.
"""

import compileall
import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported


def pytest_configure(config: pytest.Config) -> None:
    """Compile the package once, before workers start."""
    if sys.dont_write_bytecode and not hasattr(config, "workerinput"):
        root = Path(__file__).resolve().parent.parent
        for folder in (root / "rl_transfer", root / "envs"):
            compileall.compile_dir(folder, quiet=2)
