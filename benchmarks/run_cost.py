"""What a run costs beyond its training, when many share a worker: CPU milliseconds per run, part by part.

    python benchmarks/run_cost.py                      # 20 runs of 256 steps after 5 that warm up
    python benchmarks/run_cost.py --runs 100 --steps 6144
    python benchmarks/run_cost.py --steps 6144 --no-events

Runs of PPO in CartPole with the quickstart's rollouts of 256 steps, one after the other in this process, as a
worker executes them; each evaluates five episodes before and after its training. Training is what
happens inside ``learn`` but evaluations, events and files; evaluations are stated apart, and so is the
wall-clock time that data take to reach the disk. What is left is the fixed cost.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import io
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from rl_transfer.frame.surroundings import Surroundings
from rl_transfer.results import run_id
from rl_transfer.spec import RLRun
from rl_transfer.sweep.dispatch import Job

WARM_UP = 5
PARTS = {
    "training": ["stable_baselines3.ppo.ppo:PPO.learn"],
    "evaluation": ["rl_transfer.rl.environments.evaluate:Evaluator.run"],
    "environments": [
        "rl_transfer.rl.environments.evaluate:Evaluator.__init__",
        "rl_transfer.rl.training.run:make_vec_env",
    ],
    "model": ["rl_transfer.rl.training.run:build_model", "rl_transfer.rl.training.run:PolicyTransfer"],
    "events": [
        "rl_transfer.frame.events:EventWriter.__init__",
        "rl_transfer.frame.events:EventWriter.close",
        "rl_transfer.rl.training.events:TrainingEvents.write",
        "rl_transfer.rl.training.curve:TrainingCurve._log",
    ],
    "bundle": ["rl_transfer.rl.training.run:save_policy"],
    "record and files": [
        "rl_transfer.results.store:RunFolder.begin",
        "rl_transfer.results.store:RunFolder.finish",
        "rl_transfer.results.store:RunFolder.append_evaluation",
        "rl_transfer.results.store:RunFolder.beat",
    ],
    "versions": ["rl_transfer.rl.training.run:versions", "rl_transfer.rl.policies.bundle:versions"],
    "job": ["rl_transfer.sweep.dispatch:Job.from_json"],
    "between runs": ["rl_transfer.frame.surroundings:Surroundings.restore"],
}
APART = ("training", "evaluation")


class Clock:
    """CPU time by part; time inside a part within another belongs to the inner one alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.synced = 0.0
        self._stack = ["rest"]
        self._since = time.process_time()

    def _switch(self) -> None:
        now = time.process_time()
        self.seconds[self._stack[-1]] += now - self._since
        self._since = now

    def timed(self, part: str, function: Callable[..., object]) -> Callable[..., object]:
        """The same function, its time charged to ``part``."""

        @functools.wraps(function)
        def call(*args: object, **kwargs: object) -> object:
            self._switch()
            self._stack.append(part)
            try:
                return function(*args, **kwargs)
            finally:
                self._switch()
                self._stack.pop()

        return call

    def watch(self) -> None:
        """Put the clock around every function of :data:`PARTS` and around ``os.fsync``."""
        for part, places in PARTS.items():
            for place in places:
                module, _, path = place.partition(":")
                *owners, name = path.split(".")
                owner = functools.reduce(getattr, owners, importlib.import_module(module))
                if isinstance(vars(owner)[name], classmethod):
                    setattr(owner, name, staticmethod(self.timed(part, getattr(owner, name))))
                else:
                    setattr(owner, name, self.timed(part, getattr(owner, name)))
        sync = os.fsync

        @functools.wraps(sync)
        def synced(file: int) -> None:
            begun = time.perf_counter()
            sync(file)
            self.synced += time.perf_counter() - begun

        vars(os)["fsync"] = synced

    def reset(self) -> None:
        """Begin anew."""
        self._switch()
        self.seconds.clear()
        self.synced = 0.0

    def stop(self) -> None:
        """Charge what has passed."""
        self._switch()


def job(folder: Path, seed: int, steps: int, events: bool) -> str:
    """One short run as a worker gets it."""
    run = RLRun.model_validate(
        {
            "env": {"id": "CartPole-v1"},
            "algorithm": {"name": "PPO", "n_envs": 8, "n_steps": 32, "batch_size": 256},
            "training": {"total_steps": steps},
            "evaluation": {"every": steps, "episodes": 5},
            "strategy": {},
            "seed": seed,
        }
    )
    return Job(run, folder / run_id(run), events=events).to_json()


def measure(runs: int, steps: int, events: bool) -> tuple[Clock, list[int]]:
    """The clock after ``runs`` runs, and the sizes of the files of the last one."""
    importlib.import_module("rl_transfer.sweep.preload")
    clock = Clock()
    clock.watch()
    surroundings = Surroundings()
    with tempfile.TemporaryDirectory() as root:
        for seed in range(WARM_UP + runs):
            if seed == WARM_UP:
                clock.reset()
            with contextlib.redirect_stdout(io.StringIO()):
                Job.from_json(job(Path(root), seed, steps, events)).execute()
            if not surroundings.restore():
                raise SystemExit("a run left something behind: a worker would end here")
        clock.stop()
        last = max(Path(root).iterdir(), key=lambda folder: folder.stat().st_ctime_ns)
        return clock, [path.stat().st_size for path in last.rglob("*") if path.is_file()]


def main() -> None:
    """Print a line per part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=256, help="of each run, a multiple of 256")
    parser.add_argument("--no-events", dest="events", action="store_false", help="no event files")
    chosen = parser.parse_args()
    clock, sizes = measure(chosen.runs, chosen.steps, chosen.events)
    per_run = {part: 1e3 * seconds / chosen.runs for part, seconds in clock.seconds.items()}
    for part in APART:
        print(f"{part:<20}{per_run.pop(part, 0.0):8.1f}")
    print(f"{'fixed cost':<20}{sum(per_run.values()):8.1f}   (CPU ms per run), of which")
    for part, cost in sorted(per_run.items(), key=lambda item: -item[1]):
        print(f"  {part:<18}{cost:8.1f}")
    print(f"{'waiting for disk':<20}{1e3 * clock.synced / chosen.runs:8.1f}   (wall-clock ms per run)")
    print(f"{'on disk':<20}{sum(sizes) / 1e3:8.1f}   (kB in {len(sizes)} files, the last run)")


if __name__ == "__main__":
    main()
