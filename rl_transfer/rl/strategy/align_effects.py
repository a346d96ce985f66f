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
DAMPING, STEPS = 1e-3, (1.0, 0.5, 0.25, 0.125, 0.0625)
"""Of a Gauss–Newton step: the share that its diagonal grows by, and the shares of it that are tried."""
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

    def slopes(self, states: Matrix, actions: Matrix) -> Matrix:
        """Derivatives of what is foretold, ``float64[row, change, state]``."""
        found = np.zeros((*states.shape, states.shape[1]))
        for rows, weights in zip(self._rows(actions), self._weights, strict=True):
            x = self._inputs(states[rows], actions[rows])
            width, outputs = x.shape[1], weights.shape[1]
            first, second = np.triu_indices(width)
            twice = np.zeros((width, width, outputs))
            twice[first, second] += weights[1 + width :]
            twice[second, first] += weights[1 + width :]
            slopes = weights[1 : 1 + width] + np.einsum("nk,klo->nlo", x, twice)
            found[rows] = slopes[:, : states.shape[1]].transpose(0, 2, 1)
        return found

    def _rows(self, actions: Matrix) -> list[NDArray[np.bool_]]:
        if self._count is None:
            return [np.ones(len(actions), dtype=bool)]
        return [actions[:, 0] == action for action in range(self._count)]

    def _inputs(self, states: Matrix, actions: Matrix) -> Matrix:
        return states if self._count is not None else np.hstack([states, actions])

    def _features(self, states: Matrix, actions: Matrix) -> Matrix:
        x = self._inputs(states, actions)
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
    misses by in the source. From the best, any matrix near it that lowers the misfit, if on the second half
    of the transitions it explains more than the rotation does, both from the first.

    Args:
        source: transitions in the source's environment.
        target: those of the target, with the same actions.
        count: of discrete actions; None: actions are vectors.
        rng: of the first rotations.

    Returns:
        ``target_to_source``. Its ``held_out_r2`` is of changes: what the model foretells, behind the map
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
        turned = _Turned(model, away, target.actions, few)
        rotation = turned.rotated(drawn)
        found.append((turned.misfit(rotation, np.zeros(width)), rotation))
    best = min(found, key=lambda each: each[0])[1]
    parts = np.arange(half), np.arange(half, len(away.states)), np.arange(len(away.states))
    first, second, whole = (_Turned(model, away, target.actions, rows) for rows in parts)
    rotation = first.rotated(best)
    ways = {False: (rotation, np.zeros(width)), True: first.refined(rotation)}
    shares = {way: second.explained(*each) for way, each in ways.items()}
    refine = (shares[True] or -np.inf) > (shares[False] or -np.inf)
    rotation = whole.rotated(best)
    turn, shift = whole.refined(rotation) if refine else (rotation, np.zeros(width))
    matrix = home.roots[1] @ turn @ away.roots[0]
    return AlignmentMap(
        "effects",
        "target_to_source",
        matrix,
        home.mean + home.roots[1] @ shift - matrix @ away.mean,
        len(target.before) + 1,
        away.rank,
        held_out_r2=shares[refine],
    )


@dataclass(frozen=True)
class _Turned:
    """Transitions of the target, and what the source's model foretells of them behind z ↦ R z + c."""

    model: _SourceModel
    away: _Whitened
    all_actions: Matrix
    rows: NDArray[np.int64]

    @property
    def _parts(self) -> tuple[Matrix, Matrix, Matrix]:
        return self.away.states[self.rows], self.away.changes[self.rows], self.all_actions[self.rows]

    def missed(self, turn: Matrix, shift: Matrix) -> Matrix:
        """Changes less what is foretold, in units of what the model misses by in the source."""
        states, changes, actions = self._parts
        found: Matrix = (
            changes @ turn.T - self.model(states @ turn.T + shift, actions)
        ) @ self.model.precision
        return found

    def misfit(self, turn: Matrix, shift: Matrix) -> float:
        """Σ ln(1 + r²)."""
        return float(np.log1p(self.missed(turn, shift) ** 2).sum())

    def explained(self, turn: Matrix, shift: Matrix) -> float | None:
        """The share of the changes' variance; None where nothing changes."""
        states, changes, actions = self._parts
        turned = changes @ turn.T
        missed = turned - self.model(states @ turn.T + shift, actions)
        spread = float(np.square(turned - turned.mean(axis=0)).sum())
        return None if spread == 0 else 1 - float(np.square(missed).sum()) / spread

    def rotated(self, rotation: Matrix) -> Matrix:
        """A better rotation, by turns."""
        states, changes, actions = self._parts
        for _ in range(ITERATIONS):
            u, _, v = np.linalg.svd(self.model(states @ rotation.T, actions).T @ changes)
            rotation = u @ v
        return rotation

    def refined(self, rotation: Matrix) -> tuple[Matrix, Matrix]:
        """Any matrix and shift near a rotation: reweighted Gauss–Newton steps that lower the misfit.

        A prior of one unit about the rotation holds what no change of state tells, as where a cart is.
        """
        states, changes, actions = self._parts
        count, width = states.shape
        start = np.concatenate([rotation.ravel(), np.zeros(width)])
        at, cost = start, self._cost(start, start)
        for _ in range(ITERATIONS):
            turn, shift = at[: width**2].reshape(width, width), at[width**2 :]
            missed = self.missed(turn, shift)
            slopes = self.model.slopes(states @ turn.T + shift, actions)
            by_turn = np.eye(width)[None, :, :, None] * changes[:, None, None, :]
            by_turn = (by_turn - slopes[..., None] * states[:, None, None, :]).reshape(count, width, -1)
            by_all = np.concatenate([by_turn, -slopes], axis=2)
            by_all = np.einsum("nop,oq->nqp", by_all, self.model.precision)
            weights = 1 / (1 + missed**2)
            lean = np.einsum("nqp,nq,nqr->pr", by_all, weights, by_all)
            slope = np.einsum("nqp,nq->p", by_all, weights * missed) + (at - start)
            step = np.linalg.solve(lean + np.diag(DAMPING * np.diag(lean) + 1), -slope)
            for share in STEPS:
                tried = self._cost(at + share * step, start)
                if tried < cost:
                    at, cost = at + share * step, tried
                    break
            else:
                break
        return at[: width**2].reshape(width, width), at[width**2 :]

    def _cost(self, at: Matrix, start: Matrix) -> float:
        width = self.away.states.shape[1]
        prior = float(np.square(at - start).sum())
        return self.misfit(at[: width**2].reshape(width, width), at[width**2 :]) + prior
