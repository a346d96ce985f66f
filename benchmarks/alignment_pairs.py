"""How many pairs a map of observations needs: the aligned policy's return over 4 … 4,096 pairs.

    python -m benchmarks.alignment_pairs --sources 10 --output /tmp/alignment-pairs
    python -m benchmarks.alignment_pairs --sources 10 --maps    # no policy: the held-out R² alone
    python -m benchmarks.alignment_pairs --sources 5 --effects  # no policy: maps by effects in other tasks

Trains CartPole sources with the quickstart's settings on the compiled engine, then aligns each, frozen,
with a target whose sensors are permuted, rotated and rescaled at once, by ridge maps from 4 to 4,096 pairs of
``base_observation``, without and with noise on the target's sensors, and from as many shuffled pairs; and
without pairs, by the effects of actions and (the control) by CORAL. Prints, per number of pairs, the mean
return over the sources with its standard error, and the held-out R².
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from rl_transfer.core.alignment import fit_ridge
from rl_transfer.results import RunFolder, RunStore, run_id
from rl_transfer.rl.environments.seeds import alignment_seed
from rl_transfer.rl.strategy.align_effects import match_effects
from rl_transfer.rl.strategy.align_samples import collect, transitions
from rl_transfer.rl.training.run import execute
from rl_transfer.spec import Environment, RLRun, parse
from rl_transfer.spec.alignment import Align
from rl_transfer.spec.base import JsonObject

PPO: JsonObject = {
    "name": "PPO", "n_envs": 8, "n_steps": 32, "batch_size": 256, "n_epochs": 20, "gamma": 0.98,
    "gae_lambda": 0.8, "learning_rate": {"linear": 0.001}, "clip_range": {"linear": 0.2},
}  # fmt: skip
CHANGED: list[JsonObject] = [
    {"observation_permutation": [2, 3, 0, 1]},
    {"observation_rotation": 1.0},
    {"observation_scale": [0.1, 10.0, 10.0, 0.1]},
]
PAIRS = (4, 8, 16, 32, 64, 128, 256, 1024, 4096)
WAYS: dict[str, tuple[list[JsonObject], JsonObject]] = {
    "exact sensors": (CHANGED, {}),
    "noisy sensors": ([*CHANGED, {"observation_noise": [0.03, 0.3, 0.3, 0.003]}], {}),
    "shuffled pairs": (CHANGED, {"shuffled": True}),
}
LEAST_UNPAIRED = 64
UNPAIRED: dict[str, tuple[list[JsonObject], JsonObject]] = {
    "effects": (CHANGED, {"from": "unpaired", "map": "effects"}),
    "effects, noisy": (WAYS["noisy sensors"][0], {"from": "unpaired", "map": "effects"}),
    "CORAL": (CHANGED, {"from": "unpaired", "map": "coral"}),
}
"""Without pairs; ``pairs`` are rows of either side."""
TASKS = (
    ("CartPole-v1", 2, (64, 256, 1024)),
    ("Pendulum-v1", None, (256, 1024)),
    ("Acrobot-v1", 3, (1024, 4096)),
    ("LunarLander-v3", 4, (1024,)),
)
"""Environment, discrete actions, rows."""


def planned(seed: int, source: RunFolder | None, **fields: object) -> RLRun:
    """A run of a seed."""
    return RLRun.model_validate({"algorithm": PPO, "strategy": {}, "root_seed": 0, "seed": seed, **fields,
                                 "source": source.path.name if source else None})  # fmt: skip


def maps(sources: int) -> None:
    """Print the held-out R² of the same maps from their samples alone."""
    home = parse(Environment, {"id": "CartPole-v1"})
    for way, (perturb, more) in WAYS.items():
        env = parse(Environment, {"id": "CartPole-v1", "perturb": perturb})
        for pairs in PAIRS:
            found: list[float] = []
            for seed in range(sources):
                run = planned(
                    seed, None, env=env, training={"total_steps": 4_096, "engine": "compiled"},
                    evaluation={"every": 4_096, "episodes": 20},
                )  # fmt: skip
                samples = collect(Align(pairs=pairs), env, home, pairs, alignment_seed(run))
                partners = samples.source
                if more:
                    partners = partners[np.random.default_rng(alignment_seed(run)).permutation(pairs)]
                r2 = fit_ridge(
                    samples.target, partners, "target_to_source", "auto", samples.episodes
                ).held_out_r2
                found += [] if r2 is None else [r2]
            said = f"{np.median(found):6.3f}" if found else "unknown"
            print(f"{way:15} {pairs:5,} pairs  R² {said} of {len(found)} maps", flush=True)


def effects(seeds: int) -> None:
    """Print what maps by effects are worth in several tasks: of changes, and of the sensors beneath."""
    for name, count, numbers in TASKS:
        home = parse(Environment, {"id": name})
        env = parse(Environment, {"id": name, "perturb": [{"observation_rotation": 1.0}]})
        for pairs in numbers:
            found = []
            for seed in range(seeds):
                samples = collect(Align(pairs=pairs), env, home, pairs, seed)
                theirs = transitions(home, max(2_048, 4 * pairs), seed + 1_000)
                made = match_effects(theirs, samples.moves, count, np.random.default_rng(seed))
                missed = (made(samples.target) - samples.source).var(axis=0)
                spread = samples.source.var(axis=0)
                beneath = 1 - (missed[spread > 0] / spread[spread > 0])
                found.append((made.held_out_r2 or 0.0, float(np.median(beneath))))
            told = "  ".join(f"{changes:.3f}/{sensors:.2f}" for changes, sensors in sorted(found))
            print(f"{name:15} {pairs:5,} rows  R² of changes/of sensors (median): {told}", flush=True)


def executed(store: RunStore, seed: int, source: RunFolder | None = None, **fields: object) -> RunFolder:
    """The finished run, executed unless it is there already."""
    spec = planned(seed, source, **fields)
    folder = store.folder(run_id(spec))
    if not (folder.path / "record.json").exists():
        execute(spec, folder, source.bundle if source else None, say=lambda _: None)
    return folder


def main() -> None:
    """Train, align, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sources", type=int, default=10)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--maps", action="store_true", help="the maps alone, without policies")
    parser.add_argument("--effects", action="store_true", help="maps by effects, without policies")
    given = parser.parse_args()
    if given.effects:
        effects(given.sources)
        return
    if given.maps or given.output is None:
        maps(given.sources)
        return
    store = RunStore(given.output)
    sources = [
        executed(
            store, seed, env={"id": "CartPole-v1"}, training={"total_steps": 51_200, "engine": "compiled"},
            evaluation={"every": 51_200, "episodes": 20},
        )
        for seed in range(given.sources)
    ]  # fmt: skip
    scores = [float(np.mean(each.curve()[-1]["returns"])) for each in sources]
    print(f"sources at home: {np.mean(scores):.0f} ± {np.std(scores, ddof=1) / len(scores) ** 0.5:.0f}")
    for way, (perturb, more) in {**WAYS, **UNPAIRED}.items():
        for pairs in PAIRS if way in WAYS else (each for each in PAIRS if each >= LEAST_UNPAIRED):
            found = []
            for seed, source in enumerate(sources):
                run = executed(
                    store, seed, source, env={"id": "CartPole-v1", "perturb": perturb},
                    training={"total_steps": 4_096, "engine": "compiled"},
                    evaluation={"every": 4_096, "episodes": 20},
                    strategy={"copy": ["all"], "align": {"pairs": pairs, **more}, "train": False},
                )  # fmt: skip
                aligned = run.record()["alignment"]
                found.append((np.mean(aligned["returns"]), aligned["observations"]["held_out_r2"]))
            returns, r2 = np.array(found, dtype=float).T  # an unknown R² is no number
            error = returns.std(ddof=1) / len(returns) ** 0.5
            score = f"{returns.mean():5.0f} ± {error:3.0f}"
            known = r2[~np.isnan(r2)]
            said = f"{np.median(known):6.3f}" if len(known) else "unknown"
            print(f"{way:15} {pairs:5,} pairs  return {score}  R² {said}", flush=True)


if __name__ == "__main__":
    main()
