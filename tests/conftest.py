"""What spares the processes that tests start, before any of them starts.

One OpenMP thread each, as runs have it: workers of pytest and their processes share the cores, and with more
they would mostly wait for each other, busily. And bytecode: where Python is told to write none, each would
compile the whole package anew; and workers, which collect at the same time, would each rewrite assertions.
"""

import compileall
import gc
import os
import sys
from pathlib import Path

import pytest
from _pytest.assertion import rewrite
from hypothesis import settings

from support import tiers

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer ``--tier``."""
    tiers.add_option(parser)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave modules of other tiers alone: what they import may not be installed."""
    return True if tiers.left_out(collection_path, config) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the chosen tiers."""
    tiers.keep(config, items)


def pytest_configure(config: pytest.Config) -> None:
    """Compile once, before workers start; and in them, which share the cores, no example has a deadline."""
    tiers.choose(config)
    if hasattr(config, "workerinput"):
        settings.register_profile("busy", deadline=None)
        settings.load_profile("busy")
        return
    if sys.dont_write_bytecode:
        for folder in ("rl_transfer", "envs", "benchmarks", "tests/support"):
            compileall.compile_dir(ROOT / folder, quiet=2)
    if getattr(config.option, "numprocesses", None):
        for path in sorted((ROOT / "tests").rglob("test_*.py")):
            rewritten(path, config)


def rewritten(path: Path, config: pytest.Config) -> None:
    """Let pytest rewrite a module and keep that where every worker looks for it."""
    kept = rewrite.get_cache_dir(path) / f"{path.stem}{rewrite.PYC_TAIL}"
    if rewrite._read_pyc(path, kept) is None and rewrite.try_makedirs(kept.parent):
        source, code = rewrite._rewrite_test(path, config)
        rewrite._write_pyc(config.stash[rewrite.assertstate_key], code, source, kept)


def pytest_collection_finish(session: pytest.Session) -> None:
    """What tests and libraries brought to a worker stays: no collection of garbage need look at it again."""
    if hasattr(session.config, "workerinput"):  # mutants/warm.py looks among all objects for functions
        gc.freeze()
