"""An image run that was killed and goes on from its checkpoint ends as one that was not, to the bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from faults.kills import children
from rl_transfer.frame.checkpoint import FOLDER, Checkpoints
from rl_transfer.frame.state import Captured, capture
from rl_transfer.results import RunFolder
from rl_transfer.supervised import checkpoint
from support.image import TRAINING, Execute, save_arrays
from support.resumption import Killing, numbers

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
        "model": {"name": "torchvision", "architecture": "mobilenet_v3_small", "input": {"size": 32}},
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
    name: str, run: Execute, killed: Killing, tmp_path: Path
) -> None:
    source = run(store="sources")
    inverted = save_arrays(tmp_path / "inverted.npz", invert=True)
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
    assert run().finished


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
training: {{epochs: 24, batch_size: 16, optimizer: {{name: SGD, learning_rate: 0.01}}}}
evaluation: {{every: 4}}
seeds: 1
sources: {{home: {{data: {{name: arrays, path: {home}}}}}}}
targets: {{away: {{data: {{name: arrays, path: {away}}}}}}}
strategies:
  - scratch
  - {{name: frozen, copy: [trunk], freeze: [trunk]}}
  - {{name: gradual, copy: [trunk], freeze: [trunk], gradual: {{start: 0.2, end: 0.6}}}}
  - {{name: distilled, copy: [trunk], kickstart: {{until: 1.0}}}}
  - {{name: anchored, copy: [trunk], anchor: {{kind: ewc, strength: 1.0, samples: 8}}}}
  - {{name: adapted, copy: [trunk], freeze: [trunk], low_rank: {{rank: 2}}}}
"""


def test_runs_whose_process_is_killed_by_the_system_end_like_those_of_a_sweep_that_was_left_alone(
    tmp_path: Path,
) -> None:
    """Each of the trained runs loses its process once, as soon as it has a checkpoint."""
    config = tmp_path / "killed.yaml"
    home, away = save_arrays(tmp_path / "home.npz"), save_arrays(tmp_path / "away.npz", invert=True)
    config.write_text(SUITE.format(home=home, away=away), encoding="utf-8")
    command = [sys.executable, "-m", "rl_transfer", "sweep", str(config), "-j", "1"]
    whole, output = tmp_path / "whole", tmp_path / "out"
    alone = subprocess.run([*command, "-o", str(whole)], capture_output=True, text=True, check=False)
    assert alone.returncode == 0, alone.stdout + alone.stderr
    process = subprocess.Popen(
        [*command, "training.checkpoint_minutes=1e-9", "-o", str(output)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    killed: set[str] = set()
    try:
        while process.poll() is None:
            for path in output.glob(f"runs/*/{FOLDER}/[0-9]*"):
                run = path.parent.parent.name
                if run not in killed:
                    killed.add(run)
                    for worker in [each for server in children(process.pid) for each in children(server)]:
                        os.kill(worker, signal.SIGKILL)
            time.sleep(0.01)
    finally:
        process.kill()
    assert process.returncode == 0
    ours, theirs = (
        {path.name: RunFolder(path) for path in folder.glob("runs/*")} for folder in (output, whole)
    )
    assert len(killed) == 7, "the source and six strategies"
    assert {name for name, folder in ours.items() if "resumed" in folder.record()} == killed
    for name, folder in theirs.items():
        assert numbers(ours[name]) == numbers(folder), name
