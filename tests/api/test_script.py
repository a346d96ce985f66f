"""A sweep from a plain script, as people write them: no guard, and not run again in every worker."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import signal, sys
import rl_transfer as rt
import rl_transfer.sweep.dispatch  # whoever imports the room first, rt.sweep is the call

print("begun", __name__)
before = signal.getsignal(signal.SIGINT)
SUITE = {
    "name": "tiny",
    "seeds": 1,
    "algorithm": {"name": "PPO", "n_envs": 2, "n_steps": 16, "batch_size": 16, "n_epochs": 1},
    "training": {"total_steps": 32, "engine": "sb3"},
    "evaluation": {"every": 32, "episodes": 2},
    "sources": {"base": {"env": {"id": "CartPole-v1"}}},
    "targets": ["cartpole-reversed-actions"],
    "strategies": ["scratch"],
}
told = []
strategies = ["scratch", "fine-tune"]
found = rt.sweep(SUITE, output="here", workers=1, events=False, say=told.append, strategies=strategies)
assert signal.getsignal(signal.SIGINT) is before and sys.modules["__main__"].SUITE is SUITE
assert [cell.strategy for cell in found.cells] == ["scratch", "fine-tune"], found.cells
assert {cell.key for cell in found.cells} == {cell.key for cell in rt.load_sweep("here").cells}
print(found.rows()[0]["target"], sum(run.finished for run in found.runs), *told)
"""


@pytest.mark.full
def test_a_script_without_a_guard_simply_works(tmp_path: Path) -> None:
    script = tmp_path / "study.py"
    script.write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0] == "begun __main__"
    assert said[1].startswith("reversed-actions 4") or said[1].startswith("cartpole-reversed-actions 4"), said
    assert len(said) == 2, "no worker ran the script again"
    assert json.loads((tmp_path / "here" / "summary.json").read_text())
