"""Fixtures of the RL tests."""

from pathlib import Path
from typing import Any

import pytest
import torch

from rl_transfer.results import RunFolder, RunStore, run_id
from rl_transfer.rl.training.run import execute
from support.rl import Execute, make_run

torch.set_num_threads(1)


@pytest.fixture
def run(tmp_path: Path) -> Execute:
    """Execute a run and return its finished folder."""

    def go(store: str = "store", source: RunFolder | None = None, **changes: Any) -> RunFolder:
        if source is not None:
            changes["source"] = source.path.name
        spec = make_run(**changes)
        folder = RunStore(tmp_path / store).folder(run_id(spec))
        if not folder.finished:
            execute(spec, folder, source.bundle if source else None, say=lambda _: None)
        return folder

    return go
