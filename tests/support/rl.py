"""Small RL runs that take well under a second each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rl_transfer.results import RunFolder, RunStore, run_id
from rl_transfer.rl.training.run import execute
from rl_transfer.spec import RLRun

PPO: dict[str, Any] = {
    "name": "PPO", "n_envs": 2, "n_steps": 16, "batch_size": 16, "n_epochs": 2,
    "learning_rate": {"linear": 0.001}, "clip_range": {"linear": 0.2},
}  # fmt: skip


def make_run(**changes: Any) -> RLRun:
    data: dict[str, Any] = {
        "env": {"id": "CartPole-v1"},
        "algorithm": PPO,
        "training": {"total_steps": 128},
        "evaluation": {"every": 64, "episodes": 3},
        "strategy": {},
        **changes,
    }
    return RLRun.model_validate(data)


def played(folder: Path, source: RunFolder | None = None, /, **fields: Any) -> RunFolder:
    """The folder of a run of its own, played here and now."""
    spec = make_run(**fields, source=source.path.name if source else None)
    target = RunStore(folder).folder(run_id(spec))
    execute(spec, target, source.bundle if source else None, say=lambda _: None)
    return target


Execute = Callable[..., RunFolder]
"""Executes a run and returns its finished folder."""
