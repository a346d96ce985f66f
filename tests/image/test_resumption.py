"""An image run that was killed and goes on from its checkpoint ends as one that was not, to the bit."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rl_transfer.frame.checkpoint import FOLDER, Checkpoints
from rl_transfer.frame.state import Captured, capture
from rl_transfer.results import RunFolder
from rl_transfer.spec import load
from rl_transfer.supervised import checkpoint
from rl_transfer.sweep.dispatch import SUITES
from rl_transfer.sweep.sweep import prepare, run_sweep
from support.image import TRAINING, Execute
from support.resumption import Killing, numbers
from support.sweeps import InThisProcess

COPIED = {"copy": ["trunk"]}
FROZEN = {**COPIED, "freeze": ["trunk"]}
ADAM = {"name": "AdamW", "learning_rate": 0.01}
SHIFTED = {"shift": 1, "horizontal_flip": 0.5}

SCRATCH: dict[str, dict[str, Any]] = {
    "SGD, a step": {"training": {"schedule": {"name": "step", "every": 2}}},
    "AdamW, a cosine": {"training": {"optimizer": ADAM, "schedule": {"name": "cosine"}}},
    "measured rarely, inside too": {"evaluation": {"every": 2, "diagnostics": True}},
    "augmented": {"training": {"augmentation": SHIFTED, "label_smoothing": 0.1}},
    "exact statistics, augmented": {"training": {"augmentation": SHIFTED, "statistics": "exact"}},
    "bfloat16": {"training": {"precision": "bfloat16", "max_grad_norm": 1.0}},
    "dropout": {
        "model": {"name": "torchvision", "architecture": "squeezenet1_1", "input": {"size": 32}},
    },
}
"""What is trained from scratch → the run's keys that make it so."""

STRATEGIES: dict[str, dict[str, Any]] = {
    "frozen, cached": FROZEN,
    "frozen, statistics that follow": {**FROZEN, "norm": "adapt"},
    "gradual": {**FROZEN, "gradual": {"start": 0.2, "end": 0.6}},
    "distillation": {**COPIED, "kickstart": {"until": 1.0}},
    "distillation alone": {"kickstart": {"until": 1.0}},
    "L2-SP": {**COPIED, "anchor": {"kind": "l2_sp", "strength": 1.0}},
    "EWC": {**COPIED, "anchor": {"kind": "ewc", "strength": 1.0, "samples": 8}},
    "MMD by class, augmented": {**COPIED, "match": {"kind": "mmd", "samples": 64, "conditional": True}},
    "domain-adversarial": {**COPIED, "match": {"kind": "adversarial", "samples": 64}},
    "low rank": {**FROZEN, "low_rank": {"rank": 2}},
    "rates of parts": {**COPIED, "learning_rates": {"trunk": 0.1}},
}


def with_training(keys: dict[str, Any]) -> dict[str, Any]:
    return {**keys, "training": {**TRAINING, **keys.get("training", {})}}


@pytest.mark.parametrize("name", SCRATCH)
def test_a_killed_run_ends_like_one_that_was_not(name: str, run: Execute, killed: Killing) -> None:
    said: list[str] = []
    whole, resumed = run(**with_training(SCRATCH[name])), killed(2, 1, said=said, **SCRATCH[name])
    assert resumed.record().get("resumed") == [{"step": 2}, {"step": 3}], said
    assert numbers(resumed) == numbers(whole)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_killed_transfer_ends_like_one_that_was_not(
    name: str, run: Execute, killed: Killing, inverted: Path
) -> None:
    source = run()
    changes = {"data": {"name": "arrays", "path": str(inverted)}, "strategy": STRATEGIES[name]}
    said: list[str] = []
    whole, resumed = run(source=source, **changes), killed(2, 1, source=source, said=said, **changes)
    assert resumed.record().get("resumed") == [{"step": 2}, {"step": 3}], said
    assert numbers(resumed) == numbers(whole)
    record = whole.record()
    assert (record["probe"] is not None) == ("copy" in STRATEGIES[name])
    assert record["cached_features"] == (name == "frozen, cached")
    assert len(record["thawed"]) == (3 if name == "gradual" else 0)


KEPT: dict[str, dict[str, Any]] = {
    "the best": {"epochs": 6, "keep": "best"},
    "stopped early": {"epochs": 12, "early_stopping": {"patience": 2}},
}


@pytest.mark.parametrize("name", KEPT)
def test_the_network_that_was_best_before_an_interruption_is_kept(
    name: str, run: Execute, killed: Killing, arrays: Path
) -> None:
    """At this rate the first epochs are the best, and training ends before the budget does."""
    training = {**KEPT[name], "optimizer": {"name": "SGD", "learning_rate": 1.0}}
    data = {"name": "arrays", "path": str(arrays), "validation": 0.4}
    whole = run(data=data, training={**TRAINING, **training})
    best, stopped = (whole.record()[key] for key in ("kept_epoch", "stopped_at"))
    last = (stopped or 6) - 1
    assert best < last, "the kill must come after the best epoch"
    resumed = killed(last, data=data, training=training)
    assert resumed.record()["resumed"] == [{"step": last}]
    assert numbers(resumed) == numbers(whole)


def test_checkpoints_change_no_number_and_do_not_stay(run: Execute, killed: Killing) -> None:
    whole, checkpointed = run(), killed()
    assert checkpointed.path.name == whole.path.name, "they are no part of a run's identity"
    assert numbers(checkpointed) == numbers(whole)
    assert "resumed" not in checkpointed.record()
    assert not (checkpointed.path / FOLDER).exists()


def test_a_short_run_writes_none(run: Execute, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checkpoints, "write", lambda *_: pytest.fail("the interval has not passed"))
    assert run(store="anew").finished


def test_a_checkpoint_that_does_not_fit_is_given_up(
    run: Execute, killed: Killing, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def of_another(*arguments: Any) -> Captured:
        state = capture(*arguments)
        network = next(each for each in state.nodes if each["is"] == "object")
        network["class"] = "builtins.object"
        return state

    monkeypatch.setattr(checkpoint, "capture", of_another)
    folder = killed(2, said=said)
    assert any("state.network was a builtins.object" in line for line in said), said
    assert "resumed" not in folder.record()
    assert numbers(folder) == numbers(run())


def test_a_run_does_not_go_on_on_another_device(
    run: Execute, killed: Killing, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    write = Checkpoints.write

    def elsewhere(self: Checkpoints, step: int, state: Captured, extra: dict[str, Any]) -> None:
        write(self, step, state, {**extra, "device": "cuda"})

    monkeypatch.setattr(Checkpoints, "write", elsewhere)
    folder = killed(2, said=said)
    assert any("it was taken on cuda, and this is cpu" in line for line in said), said
    assert "resumed" not in folder.record()
    assert numbers(folder) == numbers(run())


SUITE = """\
kind: image
name: killed
model: {{name: small-resnet, width: 4, blocks: [1, 1], input: {{size: 8}}}}
training: {{epochs: 4, batch_size: 16, optimizer: {{name: SGD, learning_rate: 0.01}}}}
seeds: 1
sources: {{home: {{data: {{name: arrays, path: {home}}}}}}}
targets: {{away: {{data: {{name: arrays, path: {away}}}}}}}
strategies:
  - scratch
  - {{name: frozen, copy: [trunk], freeze: [trunk]}}
  - {{name: distilled, copy: [trunk], kickstart: {{until: 1.0}}}}
  - {{name: anchored, copy: [trunk], anchor: {{kind: ewc, strength: 1.0, samples: 8}}}}
"""
PROGRAM = """\
import os, signal, sys
from rl_transfer.cli import main
from rl_transfer.frame.checkpoint import Checkpoints

write = Checkpoints.write

def writes_and_dies(self, *arguments):  # also in the workers, which import the main module of their parent
    write(self, *arguments)
    struck = self.path.parent.parent.parent / f"struck-{self.path.parent.name}"
    if not struck.exists():
        struck.touch()
        os.kill(os.getpid(), signal.SIGKILL)

Checkpoints.write = writes_and_dies
if __name__ == "__main__":
    main(sys.argv[1:])
"""


@pytest.mark.full  # six processes that import torch; the tests above resume such runs within one
def test_runs_whose_process_is_killed_by_the_system_end_like_those_of_a_sweep_that_was_left_alone(
    tmp_path: Path, arrays: Path, inverted: Path
) -> None:
    """Each of the trained runs loses its process once, as soon as it has a checkpoint."""
    config, program = tmp_path / "killed.yaml", tmp_path / "program.py"
    config.write_text(SUITE.format(home=arrays, away=inverted), encoding="utf-8")
    program.write_text(PROGRAM, encoding="utf-8")
    plan = prepare(load(str(config), SUITES, "suites").config, tmp_path / "whole")
    assert not run_sweep(plan, InThisProcess, lambda _, __: None).failed
    command = [sys.executable, str(program), "sweep", str(config), "-j", "1", "-o", str(tmp_path / "out")]
    ended = subprocess.run(
        [*command, "training.checkpoint_minutes=1e-9"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    ours, theirs = (
        {path.name: RunFolder(path) for path in (tmp_path / name / "runs").glob("*")}
        for name in ("out", "whole")
    )
    struck = {path.name.removeprefix("struck-") for path in (tmp_path / "out").glob("struck-*")}
    assert len(struck) == 5, "the source and four strategies"
    assert {name for name, folder in ours.items() if "resumed" in folder.record()} == struck
    for name, folder in theirs.items():
        assert numbers(ours[name]) == numbers(folder), name
