"""A sweep of short runs against shell loops of a plain Stable-Baselines3 script, side by side.

    python benchmarks/shell_loop.py                       # 200 runs each way, in 4 blocks, 2 at a time
    python benchmarks/shell_loop.py --runs 8 --blocks 1   # a short form

Each run trains PPO in CartPole with reversed actions for 1,024 steps, from scratch or fine-tuned from one SB3
zip. Three ways take turns, block by block:

- loop: ``python plain.py ARM SEED``, one after the other;
- xargs: the same, as many at a time as the sweep has workers (``xargs -P``);
- sweep: one ``rl-transfer sweep`` with the zip as its source.

The plain script uses one thread, loads the zip, sets ``requires_grad``, learns, plays five episodes and
prints their mean. The sweep does more: five episodes before training and after it, 100 of a random policy,
the source measured, checks of every environment and transfer before it starts, digests, curve, record, bundle
and event files of each run, waiting for the disk, and the report. CPU time is that of all processes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

STEPS = 1_024
ARMS = ("scratch", "fine-tune")
ROOM = Path(__file__).resolve().parent.parent

PLAIN = f"""\
import sys
import gymnasium as gym
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy


class Reversed(gym.ActionWrapper):
    def action(self, action):
        return 1 - action


torch.set_num_threads(1)
arm, seed = sys.argv[1], int(sys.argv[2])
settings = dict(n_steps=32, batch_size=256, n_epochs=20, gamma=0.98, gae_lambda=0.8, ent_coef=0.0)
env = make_vec_env("CartPole-v1", n_envs=8, seed=seed, wrapper_class=Reversed)
if arm == "scratch":
    model = PPO("MlpPolicy", env, seed=seed, device="cpu", **settings)
else:
    model = PPO.load("source.zip", env=env, device="cpu", seed=seed)
    for parameter in model.policy.parameters():
        parameter.requires_grad = True
model.learn({STEPS})
mean, _ = evaluate_policy(model, env, n_eval_episodes=5, warn=False)
print(arm, seed, mean)
"""

COUNT = """\
import ctypes, os, resource, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # orphans come here to be counted: the server of workers is one
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
try:
    while True:
        os.waitpid(-1, 0)
except ChildProcessError:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime)
sys.exit(code)
"""

SOURCE = """\
import torch
from stable_baselines3 import PPO
torch.set_num_threads(1)
model = PPO("MlpPolicy", "CartPole-v1", n_steps=256, batch_size=256, n_epochs=20, gamma=0.98, gae_lambda=0.8,
            seed=0, device="cpu")
model.learn(2048)
model.save("ppo-CartPole-v1")
model.n_steps = 32
model.save("source")
"""


def suite(seeds: range) -> str:
    """The block as a suite."""
    settings = {
        "name": "PPO", "n_envs": 8, "n_steps": 32, "batch_size": 256, "n_epochs": 20, "gamma": 0.98,
        "gae_lambda": 0.8, "ent_coef": 0.0,
    }  # fmt: skip
    return json.dumps(
        {
            "name": "block",
            "seeds": [*seeds],
            "algorithm": settings,
            "training": {"total_steps": STEPS},
            "evaluation": {"every": STEPS, "episodes": 5},
            "sources": {"base": {"policy": "ppo-CartPole-v1.zip"}},
            "targets": {"reversed": "cartpole-reversed-actions"},
            "strategies": [*ARMS],
        }
    )


def ways(block: int, seeds: range, workers: int) -> dict[str, list[str]]:
    """Way → the command of a block."""
    runs = " ".join(f"{arm} {seed}" for arm in ARMS for seed in seeds)
    python = sys.executable
    each = f"set -- {runs}; while [ $# -gt 0 ]; do {python} plain.py $1 $2 || exit 1; shift 2; done"
    together = f"echo {runs} | xargs -n 2 -P {workers} {python} plain.py"
    return {
        "loop": ["bash", "-c", each],
        "xargs": ["bash", "-c", together],
        "sweep": [
            python, "-m", "rl_transfer", "sweep", "./suite.yaml", "-q",
            "-o", f"out-{block}", "-j", str(workers),
        ],
    }  # fmt: skip


def measured(command: list[str], folder: Path) -> tuple[float, float]:
    """Wall-clock and CPU seconds of a command that succeeds."""
    path = os.pathsep.join([str(ROOM), str(ROOM / "envs"), *filter(None, [os.environ.get("PYTHONPATH")])])
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", COUNT, *command],
        cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{command[:4]} failed:\n{done.stderr}")
    return time.perf_counter() - begun, float(done.stdout)


def measure(
    runs: int, blocks: int, workers: int, say: Callable[[str], object] = print
) -> dict[str, tuple[float, float]]:
    """Way → wall-clock and CPU seconds of all its blocks; the order turns with every block."""
    taken: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    seeds_each = max(1, runs // blocks // len(ARMS))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "plain.py").write_text(PLAIN, encoding="utf-8")
        measured([sys.executable, "-c", SOURCE], folder)
        for block in range(blocks):
            seeds = range(block * seeds_each, (block + 1) * seeds_each)
            (folder / "suite.yaml").write_text(suite(seeds), encoding="utf-8")
            commands = [*ways(block, seeds, workers).items()]
            turn = block % len(commands)
            for way, command in commands[turn:] + commands[:turn]:
                wall, cpu = measured(command, folder)
                taken[way] = (taken[way][0] + wall, taken[way][1] + cpu)
                say(f"block {block + 1} {way:<6} {wall:8.1f} s wall {cpu:8.1f} s CPU")
            done = len([*folder.glob(f"out-{block}/runs/*/record.json")])
            if done != len(ARMS) * seeds_each + 2:  # the source and the random policy are measured, too
                raise SystemExit(f"{done} runs of the sweep have a record")
    return dict(taken)


def main() -> None:
    """Print a line per way, and how much the sweep's is of the others'."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200, help="each way, all blocks together")
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2, help="of the sweep, and of xargs")
    chosen = parser.parse_args()
    taken = measure(chosen.runs, chosen.blocks, chosen.workers)
    wall, cpu = taken["sweep"]
    print(f"{'way':<8}{'wall s':>10}{'CPU s':>10}{'CPU s a run':>13}{'wall, sweep = 1':>17}{'CPU':>7}")
    for way, (its_wall, its_cpu) in taken.items():
        print(
            f"{way:<8}{its_wall:>10.1f}{its_cpu:>10.1f}{its_cpu / chosen.runs:>13.2f}"
            f"{its_wall / wall:>17.2f}{its_cpu / cpu:>7.2f}"
        )


if __name__ == "__main__":
    main()
