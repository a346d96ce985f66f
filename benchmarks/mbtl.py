"""SD-MBTL's CartPole slice: ten pole lengths, a policy for each, and which few of them serve all ten.

    python benchmarks/mbtl.py             # five seeds on the compiled engine; about two minutes of CPU
    python benchmarks/mbtl.py --seeds 2   # a quick look

Every policy is played on every pole length (the zero-shot matrix). With k policies, each length is served by
that of the k which returned most there on ten episodes, and judged on ten others. Then the same sweep over
``masscart`` written by attribute, which the effect probe refuses, and CartPole's derived quantities.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import rl_transfer_envs
from rl_transfer.analysis.arm_statistics import FloatArray, mean_interval
from rl_transfer.analysis.gaussian_process import Kernel, fit_process, scaled
from rl_transfer.results import RunStore, run_id
from rl_transfer.rl.room import play
from rl_transfer.rl.sources.load import load_source
from rl_transfer.rl.training.run import execute
from rl_transfer.spec import RLRun
from rl_transfer.spec.rl import Environment

LENGTHS = tuple(round(0.1 * place, 1) for place in range(1, 11))
"""Half the pole's length in metres; CartPole's own is 0.5."""
EPISODES = 10
BEST = 500.0
CHOSEN = (1, 2, 3, 5)
"""Policies that are trained."""
BETA = 1.0
"""Squared width of the confidence band in which MBTL is optimistic (β of Cho et al.)."""
PUBLISHED = {"independent": 0.9346, "random": 0.9861, "GP": 0.9919, "oracle": 0.9998}
"""SD-MBTL (AAAI 2026), Table 2, CartPole, pole length."""
PPO = {
    "name": "PPO", "n_envs": 8, "n_steps": 32, "batch_size": 256, "n_epochs": 20, "gae_lambda": 0.8,
    "gamma": 0.98, "learning_rate": {"linear": 0.001}, "clip_range": {"linear": 0.2},
}  # fmt: skip


def environment(length: float) -> dict[str, Any]:
    """CartPole with a pole of this length."""
    return {"id": "CartPole-v1", "perturb": [{"length": length}]}


def policies(store: RunStore, seed: int, steps: int) -> list[Path]:
    """A trained policy for every pole length."""
    found = []
    for length in LENGTHS:
        data = {
            "env": environment(length), "algorithm": PPO, "seed": seed, "strategy": {},
            "training": {"total_steps": steps, "engine": "compiled"},
            "evaluation": {"every": steps, "episodes": 1},
        }  # fmt: skip
        spec = RLRun.model_validate_json(json.dumps(data))
        folder = store.folder(run_id(spec))
        execute(spec, folder, None, say=lambda _: None)
        found.append(folder.bundle)
    return found


def returns(bundles: Sequence[Path]) -> FloatArray:
    """Returns of every policy on every length as shares of 500, [policy, length, episode]."""
    found = np.empty((len(bundles), len(LENGTHS), 2 * EPISODES))
    for row, bundle in enumerate(bundles):
        policy = load_source(bundle)
        for column, length in enumerate(LENGTHS):
            env = Environment.model_validate(environment(length))
            found[row, column] = play(policy, env, 2 * EPISODES, 0, True)[1].returns
    return found / BEST


def gap_slope(distances: FloatArray, gaps: FloatArray) -> float:
    """θ of a gap that grows with distance: gap ≈ θ · distance, through the origin, not below 0.

    >>> gap_slope(np.array([1.0, 2.0]), np.array([3.0, 5.0]))  # (3 + 10) / 5
    2.6

    Args:
        distances: between contexts of source and target.
        gaps: return of the source policy in its own task, minus that on the target.

    Returns:
        θ, in the unit of the gaps per unit of distance; 0 where no distance is above 0.
    """
    squared = float((distances**2).sum())
    return max(float((distances * gaps).sum()) / squared, 0.0) if squared > 0 else 0.0


def next_source(
    contexts: FloatArray,
    trained: Sequence[int],
    returns: FloatArray,
    beta: float = BETA,
    kernel: Kernel = "matern",
) -> int:
    """Where MBTL trains next: the context with the greatest optimistic improvement over all tasks.

    a(x) = mean over x′ of max(0, μ(x) + √β σ(x) − θ |x − x′| − best(x′)): μ and σ are the process of the
    returns of trained policies in their own tasks, θ the slope of their gaps, and best(x′) what the best of
    them returns on x′. The first is the context in the middle. θ is what the trained policies show so far.

    Args:
        contexts: of all tasks, [task, dimension].
        trained: the tasks whose policies exist, in the order in which they were trained.
        returns: [trained policy, task].
        beta: squared width of the band, ≥ 0.
        kernel: which.

    Returns:
        The index of a task that is not trained yet.

    Raises:
        ValueError: all are trained.
    """
    left = [task for task in range(len(contexts)) if task not in trained]
    if not left:
        raise ValueError("every context is trained: there is none to choose")
    x = scaled(contexts)
    distances = np.sqrt(((x[:, None] - x[None]) ** 2).sum(axis=-1))
    if not trained:
        return min(left, key=lambda task: (distances[task].sum(), task))
    rows = [*trained]
    own = returns[np.arange(len(rows)), rows]
    slope = gap_slope(distances[rows].ravel(), (own[:, None] - returns).ravel())
    mean, spread = fit_process(x[rows], own, kernel).predict(x)
    hoped = mean + math.sqrt(beta) * spread
    gained = np.clip(hoped[:, None] - slope * distances - returns.max(axis=0)[None], 0, None).mean(axis=1)
    return max(left, key=lambda task: (gained[task], distances[task][rows].min(), -task))


def served(chosen: FloatArray, judged: FloatArray, rows: Sequence[int]) -> float:
    """Mean over tasks of the policy of ``rows`` that returned most when it was chosen."""
    best = np.array(rows)[chosen[list(rows)].argmax(axis=0)]
    return float(judged[best, np.arange(judged.shape[1])].mean())


def greedy(chosen: FloatArray, count: int) -> list[int]:
    """The contexts that MBTL trains, one after the other."""
    contexts, rows = np.array(LENGTHS)[:, None], list[int]()
    for _ in range(count):
        rows.append(next_source(contexts, rows, chosen[rows]))
    return rows


def figures(matrix: FloatArray) -> dict[str, float]:
    """Every way of serving ten tasks, of one seed.

    Args:
        matrix: [policy, length, episode].
    """
    chosen, judged = matrix[..., :EPISODES].mean(axis=-1), matrix[..., EPISODES:].mean(axis=-1)
    found = {"independent, 10": float(np.diag(judged).mean())}
    for count in CHOSEN:
        subsets = itertools.combinations(range(len(LENGTHS)), count)
        found[f"random, {count}"] = float(np.mean([served(chosen, judged, rows) for rows in subsets]))
        found[f"GP, {count}"] = served(chosen, judged, greedy(chosen, count))
    found["oracle, 10"] = float(judged.max(axis=0).mean())
    return found


def refusal() -> str:
    """What the effect probe says of ``masscart`` written by attribute."""
    spec = {"id": "CartPole-v1", "perturb": [{"attribute": {"masscart": 5.0}}]}
    try:
        rl_transfer_envs.check_effect(rl_transfer_envs.spec_of(rl_transfer_envs.make(spec)))
    except rl_transfer_envs.EnvError as error:
        return str(error)
    raise SystemExit("the probe let masscart by attribute pass")


def derived() -> list[str]:
    """CartPole's derived quantities under every mass and length: a row each."""
    rows = []
    for perturb in ({"masscart": 5.0}, {"masspole": 0.5}, {"length": 1.0}):
        env: Any = rl_transfer_envs.make({"id": "CartPole-v1", "perturb": [perturb]}).unwrapped
        mass, moment = env.masscart + env.masspole, env.masspole * env.length
        rows.append(f"| {perturb} | {env.total_mass:g} = {mass:g} | {env.polemass_length:g} = {moment:g} |")
        if (env.total_mass, env.polemass_length) != (mass, moment):
            raise SystemExit(f"derived quantities do not follow {perturb}")
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30_720)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(given.seeds):
            found.append(figures(returns(policies(RunStore(Path(folder)), seed, given.steps))))
    print("| policy for each of ten pole lengths | ours | SD-MBTL, Table 2 |\n|---|---|---|")
    for name in found[0]:
        each = mean_interval([seed[name] for seed in found], 0.95)
        kind, count = name.split(", ")
        words = {"1": "1 policy"}.get(count, f"{count} policies")
        print(
            f"| {kind}, {words} | {each.point:.4f} [{each.low:.4f}, {each.high:.4f}] "
            f"| {PUBLISHED[kind]:.4f} |"
        )
    print(f"\nmasscart by attribute: {refusal()}\n")
    print("| perturbed | total_mass | polemass_length |\n|---|---|---|", *derived(), sep="\n")


if __name__ == "__main__":
    main()
