from types import SimpleNamespace
from typing import Any

import pytest

from analysis.synthetic import QUICKSTART, SyntheticSweep
from rl_transfer.report import write_report

BROKEN: dict[str, Any] = {
    "failed": ["cartpole-longer-pole-fine-tune-2"],
    "unfinished": ["weaker-motor-scratch-1", "random-reversed-actions"],
}


@pytest.fixture(scope="session")
def complete(tmp_path_factory):
    """A finished sweep with its report."""
    folder = SyntheticSweep().write(tmp_path_factory.mktemp("complete") / "sweep")
    return SimpleNamespace(folder=folder, paths=write_report(folder))


@pytest.fixture
def small(tmp_path):
    """A finished sweep of one target, without a report."""
    shapes = {"longer-pole": QUICKSTART["longer-pole"]}
    return SyntheticSweep(shapes=shapes, seeds=4, analysis={"bootstrap": 100}).write(tmp_path / "sweep")


@pytest.fixture(scope="session")
def partial(tmp_path_factory):
    """A sweep of two sources with runs missing, and its report."""
    sweep = SyntheticSweep(sources=("cartpole", "acrobot"), source_final=380, **BROKEN)
    folder = sweep.write(tmp_path_factory.mktemp("partial") / "sweep")
    return SimpleNamespace(folder=folder, paths=write_report(folder))
