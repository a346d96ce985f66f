"""A map of observations without pairs: the one under which the target's changes of state are the source's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rl_transfer.core.alignment import AlignmentMap, Matrix
from rl_transfer.errors import TransferError
from rl_transfer.rl.strategy.align_samples import KEY, AlignmentMoves

RESTARTS, ITERATIONS, SEARCHED = 32, 20, 512
"""Random rotations to begin with, turns of each, and transitions that they are sought on."""
PENALTY = 1e-6
"""Of the source's model, per transition and in units of its features."""
FLAT = 1e-10
"""Variances below this share of the largest are 0."""


@dataclass(frozen=True)
class _Whitened:
    """States z = W(x − mean), whose covariance is the identity, and their changes."""

    states: Matrix
    changes: Matrix
    mean: Matrix
    roots: tuple[Matrix, Matrix]
    """W and its pseudo-inverse."""
    rank: int

    @classmethod
    def of(cls, moves: AlignmentMoves) -> _Whitened:
        mean = moves.before.mean(axis=0)
        width = moves.before.shape[1]
        values, vectors = np.linalg.eigh(np.cov(moves.before, rowvar=False).reshape(width, width))
        kept = values > FLAT * values.max(initial=0.0)
        safe = np.where(kept, values, 1.0)
        whiten, colour = ((vectors * np.where(kept, safe**power, 0.0)) @ vectors.T for power in (-0.5, 0.5))
        changes = (moves.after - moves.before) @ whiten.T
        return cls((moves.before - mean) @ whiten.T, changes, mean, (whiten, colour), int(kept.sum()))


class _SourceModel:
    """The source's changes of state, quadratic in the state (and in actions that are vectors)."""

    def __init__(self, states: Matrix, actions: Matrix, changes: Matrix, count: int | None) -> None:
        self._count = count
        self._weights = []
        for rows in self._rows(actions):
            if not rows.any():
                raise TransferError("an action was never drawn in the source's environment", key=KEY)
            x = self._features(states[rows], actions[rows])
            gram = x.T @ x + PENALTY * len(x) * np.eye(x.shape[1])
            self._weights.append(np.linalg.solve(gram, x.T @ changes[rows]))
        missed = changes - self(states, actions)
        spread = float(np.mean(changes**2))
        covariance = missed.T @ missed / len(missed) + PENALTY * spread * np.eye(changes.shape[1])
        self.precision: Matrix = np.linalg.cholesky(np.linalg.inv(covariance))

    def __call__(self, states: Matrix, actions: Matrix) -> Matrix:
        found = np.zeros_like(states)
        for rows, weights in zip(self._rows(actions), self._weights, strict=True):
            found[rows] = self._features(states[rows], actions[rows]) @ weights
        return found

    def _rows(self, actions: Matrix) -> list[NDArray[np.bool_]]:
        if self._count is None:
            return [np.ones(len(actions), dtype=bool)]
        return [actions[:, 0] == action for action in range(self._count)]

    def _features(self, states: Matrix, actions: Matrix) -> Matrix:
        x = states if self._count is not None else np.hstack([states, actions])
        first, second = np.triu_indices(x.shape[1])
        return np.hstack([np.ones((len(x), 1)), x, x[:, first] * x[:, second]])


def match_effects(
    source: AlignmentMoves, target: AlignmentMoves, count: int | None, rng: np.random.Generator
) -> AlignmentMap:
    """The map of observations under which the target's changes of state fit the source's model of them best.

    The same action changes the same state alike on both sides. States of both are whitened, so that the map
    between them is a rotation (where both meet the same states); it is sought from random ones, each improved
    by turns: foretell the changes at the turned states, then turn the changes onto what is foretold
    (orthogonal Procrustes). The misfit that chooses among them is Σ ln(1 + r²), r in units of what the model
    misses by in the source.

    Args:
        source: transitions in the source's environment.
        target: those of the target, with the same actions.
        count: of discrete actions; None: actions are vectors.
        rng: of the first rotations.

    Returns:
        ``target_to_source``. Its ``held_out_r2`` is of changes: what the model foretells, behind a rotation
        that the first half of the transitions gave, of those of the second half.

    Raises:
        TransferError: too few transitions, or sides of different widths.

    Source:
        Taylor, Kuhlmann & Stone 2008 hold candidate maps against a model of the source's dynamics; Zhang et
        al. 2021 (arXiv 2012.09811) learn maps that agree with dynamics both ways.
    """
    width = source.before.shape[1]
    if target.before.shape[1] != width:
        raise TransferError(
            f"map: effects needs as many sensors on both sides; the source has {width}, the target "
            f"{target.before.shape[1]}",
            key=f"{KEY}.map",
        )
    least = 4 * (width + 1)
    if len(target.before) < least:
        raise TransferError(
            f"{len(target.before)} transitions of the target cannot tell what {width} sensors say of a step; "
            f"give {least + 1} pairs at least, and many more for a map that serves",
            key=f"{KEY}.pairs",
        )
    home, away = _Whitened.of(source), _Whitened.of(target)
    model = _SourceModel(home.states, source.actions, home.changes, count)
    half = len(away.states) // 2
    few = np.sort(rng.permutation(half)[:SEARCHED])
    found = []
    for _ in range(RESTARTS):
        drawn, _ = np.linalg.qr(rng.normal(size=(width, width)))
        rotation = _turned(model, away, target.actions, few, drawn)
        found.append((_misfit(model, away, target.actions, few, rotation), rotation))
    best = min(found, key=lambda each: each[0])[1]
    first, second = np.arange(half), np.arange(half, len(away.states))
    r2 = _explained(model, away, target.actions, second, _turned(model, away, target.actions, first, best))
    rotation = _turned(model, away, target.actions, np.arange(len(away.states)), best)
    matrix = home.roots[1] @ rotation @ away.roots[0]
    return AlignmentMap(
        "effects",
        "target_to_source",
        matrix,
        home.mean - matrix @ away.mean,
        len(target.before) + 1,
        away.rank,
        held_out_r2=r2,
    )


def _turned(
    model: _SourceModel, away: _Whitened, actions: Matrix, rows: NDArray[np.int64], rotation: Matrix
) -> Matrix:
    states, changes, acted = away.states[rows], away.changes[rows], actions[rows]
    for _ in range(ITERATIONS):
        u, _, v = np.linalg.svd(model(states @ rotation.T, acted).T @ changes)
        rotation = u @ v
    return rotation


def _misfit(
    model: _SourceModel, away: _Whitened, actions: Matrix, rows: NDArray[np.int64], rotation: Matrix
) -> float:
    missed = away.changes[rows] @ rotation.T - model(away.states[rows] @ rotation.T, actions[rows])
    return float(np.log1p((missed @ model.precision) ** 2).sum())


def _explained(
    model: _SourceModel, away: _Whitened, actions: Matrix, rows: NDArray[np.int64], rotation: Matrix
) -> float | None:
    changes = away.changes[rows] @ rotation.T
    missed = changes - model(away.states[rows] @ rotation.T, actions[rows])
    spread = float(np.square(changes - changes.mean(axis=0)).sum())
    return None if spread == 0 else 1 - float(np.square(missed).sum()) / spread
