"""What runs need in memory: parameters four times, replay buffers as far as the budget fills them."""

from pathlib import Path
from typing import Any

import pytest

from rl_transfer.rl.training.preflight import _model, needed_bytes
from rl_transfer.spec import RLSuite, load
from rl_transfer.sweep.dispatch import SUITES
from rl_transfer.sweep.sweep import prepare
from support.rl import make_run
from support.sweeps import SUITE, write_suite

ROW = 2 * 4 * 4 + 8 + 3 * 4
"""Of DQN on CartPole: two observations of four floats, an action, reward, end, time limit."""


@pytest.mark.parametrize(("minutes", "copies"), [(5, 2), (0, 1)])
@pytest.mark.parametrize(("steps", "rows"), [(500, 500), (5000, 1000)])
def test_parameters_and_as_much_of_the_buffer_as_the_budget_fills(
    minutes: float, copies: int, steps: int, rows: int
) -> None:
    algorithm: dict[str, Any] = {"name": "DQN", "n_envs": 1, "buffer_size": 1000}
    training = {"total_steps": steps, "checkpoint_minutes": minutes}
    run = make_run(algorithm=algorithm, training=training, evaluation={"every": 100, "episodes": 1})
    model = _model(run)
    weights = sum(each.numel() for each in model.policy.parameters())
    assert needed_bytes(model, run) == 4 * 4 * weights + copies * rows * ROW


def test_a_sweep_knows_what_its_largest_run_needs_and_its_manifest_does_not(tmp_path: Path) -> None:
    def plan(*overrides: str) -> Any:
        suite = load(str(write_suite(tmp_path, SUITE)), SUITES, "suites", ["seeds=1", *overrides]).config
        assert isinstance(suite, RLSuite)
        return prepare(suite, tmp_path / "out")

    small = plan("strategies=[scratch]")
    wide = plan("strategies=[scratch]", "algorithm.policy_kwargs.net_arch=[1024, 1024]")
    million = 2 * 1024 * 1024 + 2 * 5 * 1024 + 2 * 1024 + 3 * 1024
    assert wide.memory - small.memory > 0.9 * 16 * million
    assert not any("memory" in each for each in wide.manifest["config"]["targets"].values())
