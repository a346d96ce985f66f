"""How often the order of actions comes out right, and how often a wrong one is taken for decided.

    python -m benchmarks.action_matching              # the table of docs/alignment.md
    python -m benchmarks.action_matching --seeds 1    # a quick look

No policy is trained: the target is the source's environment with rotated sensors, samples are taken and the
map of observations is estimated as the verb ``align`` does it, and its transitions are held against the
source's effects. The right order is that of the source. Rows with noise have it on the target's sensors;
where actions are shuffled nothing is to be found, and whatever is decided is a false claim. Beside the misfit
in use stands the one before: squares, each dimension in units of its changes.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import permutations

import numpy as np

from rl_transfer.core.alignment import fit_ridge
from rl_transfer.rl.strategy.align_actions import match_discrete
from rl_transfer.rl.strategy.align_samples import AlignmentMoves, collect, transitions
from rl_transfer.spec import Environment, parse
from rl_transfer.spec.alignment import Align

CASES: dict[str, tuple[int, int, list[float]]] = {
    "CartPole-v1": (2, 256, [0.03, 0.3, 0.3, 0.003]),
    "Acrobot-v1": (3, 256, [0.05, 0.05, 0.05, 0.05, 0.3, 0.3]),
    "LunarLander-v3": (4, 1024, [0.01, 0.01, 0.05, 0.05, 0.02, 0.05, 0.0, 0.0]),
}
"""Environment → its actions, the pairs of its shipped suite, and the deviation of the noise per sensor."""
SOURCE_STEPS, LEAST = 4, 2_048
"""As the verb takes them: transitions in the source's environment per pair, and the least."""


def moves_of(name: str, pairs: int, noise: list[float] | None, seed: int) -> AlignmentMoves:
    """The target's transitions in the source's coordinates."""
    perturb: list[dict[str, object]] = [{"observation_rotation": 1.0}]
    if noise is not None:
        perturb.append({"observation_noise": noise})
    source, target = parse(Environment, {"id": name}), parse(Environment, {"id": name, "perturb": perturb})
    samples = collect(Align(pairs=pairs, actions="discrete"), target, source, pairs, seed)
    found = fit_ridge(samples.target, samples.source, "target_to_source", "auto", samples.episodes)
    moves = samples.moves
    return replace(moves, before=found(moves.before), after=found(moves.after))


def by_squares(source: AlignmentMoves, target: AlignmentMoves, count: int) -> tuple[tuple[int, ...], float]:
    """Order and margin by the misfit before: squared, in units of a dimension's changes."""
    effects, changes = source.after - source.before, target.after - target.before
    size = np.where((spread := effects.std(axis=0)) > 0, spread, 1.0)
    acted = (source.actions[:, 0], target.actions[:, 0])
    costs = np.zeros((count, count))
    for k in range(count):
        rows = acted[0] == k
        model = fit_ridge(source.before[rows], effects[rows], "source_to_target", "auto")
        missed = (((changes - model(target.before)) / size) ** 2).sum(axis=1)
        costs[:, k] = [missed[acted[1] == j].sum() for j in range(count)]
    totals = {order: costs[range(count), order].sum() for order in permutations(range(count))}
    first, second = sorted(totals, key=lambda order: float(totals[order]))[:2]
    return first, float(totals[second] / totals[first] - 1)


def main() -> None:
    """Play, match, print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    seeds = parser.parse_args().seeds
    print(
        "| target | pairs | squares: right | within 10 % | Cauchy: right | decided, right | decided, wrong |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, (count, pairs, noise) in CASES.items():
        sources = [
            transitions(parse(Environment, {"id": name}), max(LEAST, SOURCE_STEPS * pairs), 10_000 + seed)
            for seed in range(seeds)
        ]
        right = tuple(range(count))
        for case in ("rotated", "rotated, noisy", "rotated, actions shuffled"):
            before, after = [], []
            for seed, source in enumerate(sources):
                moves = moves_of(name, pairs, noise if "noisy" in case else None, 20_000 + seed)
                if "shuffled" in case:
                    rng = np.random.default_rng(seed)
                    moves = replace(moves, actions=rng.permutation(moves.actions))
                before.append(by_squares(source, moves, count))
                after.append(match_discrete(source, moves, count))
            found = [order == right for order, _ in before], [each.order == right for each in after]
            doubted = sum(margin < 0.1 for _, margin in before)
            decided = [each.decided for each in after]
            claims = [
                sum(c and r is wanted for c, r in zip(decided, found[1], strict=True))
                for wanted in (True, False)
            ]
            cells = (f"{name}, {case}", f"{pairs:,}", sum(found[0]), doubted, sum(found[1]), *claims)
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
