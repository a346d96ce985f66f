"""Are the two engines equivalent over seeds? Both train the same runs; intervals of their differences decide.

    python benchmarks/engine_agreement.py --output results/agreement               # 30 seeds, two at a time
    python benchmarks/engine_agreement.py --output results/agreement --tasks cartpole --seeds 5
    python benchmarks/engine_agreement.py --output results/agreement --engines sb3 # one half; the other later
    python benchmarks/engine_agreement.py --verdicts results/quickstart-sb3 results/quickstart results/again

Runs are the product's own, evaluations included; what is finished is kept, so the command goes on where it
was interrupted. A score is 0 for the uniform-random policy, measured here, and 1 for a return that counts
as solved. Area under the curve and final performance are called equivalent where the 95 % Welch interval of
the difference of the means lies within ±δ: stricter than two one-sided tests at 5 %, whose interval is that
of 90 %.
--verdicts compares finished sweeps of one suite, cell by cell and pair by pair: with sweeps of several root
seeds the pairs within one engine say how often verdicts differ by the draw of seeds alone.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.engines.cases import ACROBOT, CARTPOLE, NORMALIZED, PENDULUM, Case
from rl_transfer.analysis.arm_statistics import Interval, welch_interval
from rl_transfer.analysis.metrics import area_under_curve, final_performance
from rl_transfer.results import RunFolder, RunStore, run_id
from rl_transfer.spec import RLRun

FloatArray = npt.NDArray[np.float64]
DELTA = 0.1
CONFIDENCE = 0.95
FINAL_SHARE = 0.1
EVALUATIONS = 8
EPISODES = 10
RANDOM_EPISODES = 100
ENGINES = ("sb3", "compiled")
FAR = {
    "name": "PPO", "n_envs": 8, "n_steps": 256, "batch_size": 256, "n_epochs": 10, "gamma": 0.9999,
    "gae_lambda": 0.9, "ent_coef": 0.00429, "learning_rate": 3e-4,
    "policy_kwargs": {"log_std_init": 1.0}, **NORMALIZED,
}  # fmt: skip
"""Defaults end at doing nothing: actions this wide find the flag."""
LUNAR_LANDER = {
    "name": "PPO", "n_envs": 16, "n_steps": 64, "batch_size": 128, "n_epochs": 10, "gamma": 0.99,
    "gae_lambda": 0.95, "ent_coef": 0.01, "learning_rate": 1e-3, **NORMALIZED,
}  # fmt: skip
"""Of five settings the one under which compiled runs of seeds 0 to 7 differ least from each other."""


@dataclass(frozen=True)
class Task:
    """An environment at a small budget, and the return that counts as solved."""

    case: Case
    solved: float
    first_seed: int = 0

    def seeds(self, count: int) -> range:
        """The first ``count`` seeds."""
        return range(self.first_seed, self.first_seed + count)

    def run(self, seed: int, engine: str) -> RLRun:
        """The run of one seed."""
        evaluation = {"every": self.case.steps // EVALUATIONS, "episodes": EPISODES}
        return self.case.run(seed, engine, evaluation=evaluation)

    def random(self) -> RLRun:
        """The run that measures the uniform-random policy."""
        config = {
            "policy": "random",
            "env": {"id": self.case.env},
            "evaluation": {"every": 1, "episodes": RANDOM_EPISODES},
        }
        return RLRun.model_validate(config)


TASKS = (
    Task(Case("cartpole", "CartPole-v1", CARTPOLE, 65_536, "rl-zoo3"), 475),
    Task(Case("acrobot", "Acrobot-v1", ACROBOT, 131_072, "rl-zoo3"), -100),
    Task(Case("pendulum", "Pendulum-v1", PENDULUM, 65_536, "rl-zoo3 without gSDE"), -150),
    Task(Case("mountain-car-continuous", "MountainCarContinuous-v0", FAR, 65_536, "wide exploration"), 90),
    Task(Case("lunar-lander", "LunarLander-v3", LUNAR_LANDER, 262_144, "normalised"), 200, 100),
)
"""``solved`` is Gymnasium's ``reward_threshold``; Pendulum has none. LunarLander's seeds are not those of
its settings' choice."""


def execute(text: str, root: str) -> None:
    """Execute a run in this process, unless it is finished."""
    import torch

    from rl_transfer.rl.training.run import execute as execute_run

    torch.set_num_threads(1)
    run = RLRun.model_validate_json(text)
    folder = RunStore(Path(root), events=False).open().folder(run_id(run))
    if not folder.finished:
        with contextlib.redirect_stdout(io.StringIO()):
            execute_run(run, folder, None, say=lambda _: None)


def train(runs: Sequence[RLRun], root: Path, workers: int) -> None:
    """Execute all runs, ``workers`` at a time."""
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawned) as pool:
        futures = [pool.submit(execute, json.dumps(run.plain()), str(root)) for run in runs]
        for done, future in enumerate(as_completed(futures), 1):
            future.result()
            print(f"{done} of {len(futures)} runs", file=sys.stderr, flush=True)


def measures(folder: RunFolder) -> tuple[float, float]:
    """Area under the curve and final performance of a finished run, in returns."""
    curve = folder.curve()
    steps = np.array([point["step"] for point in curve], dtype=float)
    means = np.array([np.mean(point["returns"]) for point in curve])
    return area_under_curve(steps, means), final_performance(means, FINAL_SHARE)


@dataclass(frozen=True)
class Agreement:
    """One measure on one task, in scores."""

    means: tuple[float, float]
    """Of :data:`ENGINES`."""
    difference: Interval
    """Of the means, compiled − sb3."""

    @property
    def equivalent(self) -> bool:
        """Whether the interval lies within ±δ."""
        return self.difference.low >= -DELTA and self.difference.high <= DELTA


def agreement(scores: tuple[FloatArray, FloatArray]) -> Agreement:
    """Compare two engines' scores, a seed each."""
    reference, compiled = scores
    means = (float(np.mean(reference)), float(np.mean(compiled)))
    return Agreement(means, welch_interval(compiled, reference, CONFIDENCE))


def compare(task: Task, store: RunStore, seeds: int) -> list[Agreement]:
    """Area under the curve and final performance."""
    low = float(np.mean(store.folder(run_id(task.random())).curve()[-1]["returns"]))
    found = {
        engine: np.array(
            [measures(store.folder(run_id(task.run(seed, engine)))) for seed in task.seeds(seeds)]
        )
        for engine in ENGINES
    }
    scores = {engine: (values - low) / (task.solved - low) for engine, values in found.items()}
    return [agreement((scores["sb3"][:, index], scores["compiled"][:, index])) for index in (0, 1)]


def table(tasks: Sequence[Task], store: RunStore, seeds: int) -> Iterator[str]:
    """A line per task and measure."""
    yield "| task | steps | measure | sb3 | compiled | difference, 95 % interval | within ±δ |"
    yield "|---|---:|---|---:|---:|---:|---|"
    for task in tasks:
        for name, each in zip(("AUC", "final"), compare(task, store, seeds), strict=True):
            gap = each.difference
            cells = [
                task.case.env, f"{task.case.steps:,}", name, *(f"{mean:.3f}" for mean in each.means),
                f"{gap.point:+.3f} ({gap.low:+.3f} … {gap.high:+.3f})", "yes" if each.equivalent else "no",
            ]  # fmt: skip
            yield f"| {' | '.join(cells)} |"


def verdicts(folder: Path) -> dict[tuple[str, str, str], str]:
    """(target, strategy, metric) → verdict as people read it, of a finished sweep."""
    if not (folder / "summary.json").is_file():
        sys.exit(f"error: {folder} has no summary.json; `rl-transfer report` writes it")
    cells: list[dict[str, Any]] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return {
        (cell["target"], cell["strategy"], metric): comparison["outcome"]
        for cell in cells
        for metric, comparison in cell["comparisons"].items()
    }


def verdict_table(folders: Sequence[Path]) -> Iterator[str]:
    """The verdicts of finished sweeps of one suite side by side, and how many each pair shares."""
    found = [verdicts(folder) for folder in folders]
    cells = list(dict.fromkeys(cell for each in found for cell in each))
    for cell in cells:
        words = " ".join(f"{each.get(cell, 'missing'):<14}" for each in found)
        yield f"{' / '.join(cell):<60} {words}".rstrip()
    for first, second in itertools.combinations(range(len(folders)), 2):
        pairs = [(found[first].get(cell), found[second].get(cell)) for cell in cells]
        same = sum(one == other for one, other in pairs)
        opposed = sum({*pair} == {"positive", "negative"} for pair in pairs)
        where = f"{folders[first].name} and {folders[second].name}"
        yield f"{where}: {same} of {len(cells)} verdicts are the same, {opposed} contradict each other"


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [task.case.name for task in TASKS]
    parser.add_argument("--output", type=Path, help="a folder for the runs")
    parser.add_argument("--tasks", nargs="+", choices=names, default=names)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--verdicts", nargs="+", type=Path, metavar="FOLDER", help="finished sweeps")
    chosen = parser.parse_args()
    if chosen.verdicts:
        for line in verdict_table(chosen.verdicts):
            print(line)
        return
    if chosen.output is None:
        parser.error("--output says where the runs go")
    tasks = [task for task in TASKS if task.case.name in chosen.tasks]
    runs = [task.random() for task in tasks]
    runs += [
        task.run(seed, engine)
        for task in tasks
        for engine in chosen.engines
        for seed in task.seeds(chosen.seeds)
    ]
    train(runs, chosen.output, chosen.workers)
    if {*chosen.engines} == {*ENGINES}:
        print(f"{chosen.seeds} seeds, δ = {DELTA} of the way from random to solved\n")
        for line in table(tasks, RunStore(chosen.output), chosen.seeds):
            print(line)


if __name__ == "__main__":
    main()
