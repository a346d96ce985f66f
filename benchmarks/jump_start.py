"""What silently destroys a jump-start, measured with and without this package's handling.

    python benchmarks/jump_start.py            # about five minutes on one core
    python benchmarks/jump_start.py --seeds 1  # a quick look

Prints a Markdown table. "kept" is this package's default, "lost" what plain Stable-Baselines3 does when
only the weights are copied:

- DQN restarts at ε = 1 and acts randomly for ``learning_starts`` steps;
- a policy on normalised observations without its running statistics;
- a frozen trunk with BatchNorm whose module goes back to training mode.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rl_transfer import core
from rl_transfer.results import RunFolder, RunStore, run_id
from rl_transfer.rl.training.run import execute
from rl_transfer.spec import RLRun

CARTPOLE = {"id": "CartPole-v1"}
WEAKER = {"id": "CartPole-v1", "perturb": [{"force_mag": "x0.8"}]}
DQN = {
    "name": "DQN", "learning_rate": 2.3e-3, "batch_size": 64, "buffer_size": 100_000, "learning_starts": 1000,
    "train_freq": 256, "gradient_steps": 128, "target_update_interval": 10, "exploration_fraction": 0.16,
    "exploration_final_eps": 0.04, "policy_kwargs": {"net_arch": [256, 256]},
}  # fmt: skip
PPO = {
    "name": "PPO", "n_envs": 8, "n_steps": 32, "batch_size": 256, "n_epochs": 20,
    "gae_lambda": 0.8, "gamma": 0.98,
    "learning_rate": {"linear": 0.001}, "clip_range": {"linear": 0.2},
    "normalize": {"observation": True, "reward": False},
}  # fmt: skip


def run(store: RunStore, source: RunFolder | None = None, **data: Any) -> RunFolder:
    """Execute one run, or reuse it."""
    data["source"] = source.path.name if source is not None else None
    spec = RLRun.model_validate_json(json.dumps(data))
    folder = store.folder(run_id(spec))
    if not folder.finished:
        execute(spec, folder, source.bundle if source is not None else None, say=lambda _: None)
    return folder


def means(folder: RunFolder) -> np.ndarray[Any, Any]:
    """Mean return of every evaluation."""
    return np.array([np.mean(point["returns"]) for point in folder.curve()])


def collected(folder: RunFolder, steps: int) -> float:
    """Mean return of the training episodes up to a step, from SB3's own log."""
    events = EventAccumulator(str(folder.tensorboard)).Reload()
    values = [each.value for each in events.Scalars("rollout/ep_rew_mean") if each.step <= steps]
    return float(np.mean(values))


def exploration(store: RunStore, seed: int) -> dict[str, float]:
    """DQN on a slightly weaker motor: return of the episodes it collects in the first 2,048 steps."""
    common: dict[str, Any] = {"algorithm": DQN, "seed": seed}
    source = run(
        store, env=CARTPOLE, strategy={}, training={"total_steps": 51_200, "keep": "best"},
        evaluation={"every": 2560, "episodes": 10}, **common,
    )  # fmt: skip
    found = {}
    for label, knobs in (
        ("kept", {}),
        ("lost", {"learning_starts": 1000, "exploration_initial": 1.0, "target_networks": "fresh"}),
    ):
        target = run(
            store, source, env=WEAKER, strategy={"copy": ["all"], "knobs": knobs},
            training={"total_steps": 5120}, evaluation={"every": 5120, "episodes": 10}, **common,
        )  # fmt: skip
        found[label] = collected(target, 2048)
    return found


def normalisation(store: RunStore, seed: int) -> dict[str, float]:
    """PPO on normalised observations: the first evaluation, with and without the source's statistics."""
    common: dict[str, Any] = {"algorithm": PPO, "seed": seed}
    source = run(
        store, env=CARTPOLE, strategy={}, training={"total_steps": 51_200},
        evaluation={"every": 51_200, "episodes": 10}, **common,
    )  # fmt: skip
    found = {}
    for label, mode in (("kept", "warm"), ("lost", "fresh")):
        target = run(
            store, source, env=WEAKER, strategy={"copy": ["all"], "normalization": mode},
            training={"total_steps": 256}, evaluation={"every": 256, "episodes": 10}, **common,
        )  # fmt: skip
        found[label] = float(means(target)[0])
    return found


def batch_norm(seed: int) -> dict[str, float]:
    """Drift of a frozen trunk's running mean over 100 training batches from another distribution."""
    found = {}
    for label in ("kept", "lost"):
        generator = torch.Generator().manual_seed(seed)
        trunk: Any = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU())
        model = torch.nn.Sequential(trunk, torch.nn.Linear(16, 2))
        parts = core.PartMap.build(
            model, {"trunk_part": core.PartRule(("0",), "trunk"), "head_part": core.PartRule(("1",), "head")}
        )
        if label == "kept":
            core.freeze(model, parts, ["trunk"])
        else:
            trunk.requires_grad_(False)
        before = trunk[1].running_mean.clone()
        optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
        for _ in range(100):
            model.train()
            loss = model(3 + torch.randn(32, 8, generator=generator)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found[label] = float((trunk[1].running_mean - before).abs().max())
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    count = parser.parse_args().seeds
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder))
        rows = {
            "DQN, return of the episodes collected in 2,048 steps": [
                exploration(store, seed) for seed in range(count)
            ],
            "PPO on normalised observations, return at step 0": [
                normalisation(store, seed) for seed in range(count)
            ],
            "BatchNorm in a frozen trunk, largest drift of a running mean": [
                batch_norm(seed) for seed in range(count)
            ],
        }
    print(f"| what ({count} seeds, mean and range) | kept | lost |\n|---|---|---|")
    for what, found in rows.items():
        cells = []
        for label in ("kept", "lost"):
            values = [each[label] for each in found]
            cells.append(f"{np.mean(values):.1f} ({min(values):.1f} … {max(values):.1f})")
        print(f"| {what} | {cells[0]} | {cells[1]} |")


if __name__ == "__main__":
    main()
