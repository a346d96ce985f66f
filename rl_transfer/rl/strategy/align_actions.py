"""Which of the target's actions do what the source's do, by their effects on the (mapped) state.

Effects are changes of the state within a step. A model of them, linear in the state, is fitted in the
source's environment; the target's transitions, in the source's coordinates, are held against it. No episode
has to be the same on both sides (cf. dynamics cycle-consistency, Zhang et al. 2021, which learns such maps
with networks; here they are least squares).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from rl_transfer.core.alignment import AlignmentMap, Matrix, fit_ridge
from rl_transfer.errors import TransferError
from rl_transfer.rl.strategy.align_samples import KEY, AlignmentMoves

MOST_ACTIONS = 8
"""Every order of so many actions is looked at."""
PARTS = 10
"""Consecutive parts of the target's transitions: neighbours are alike, parts hardly."""
DECIDED = 2.262
"""Student's t beyond which an order is decided: two-sided 5 % at 9 degrees of freedom."""
NORMAL = 1.4826
"""A normal deviation over its median absolute one."""
FLOOR = 1e-3
"""Of a dimension's scale, as a share of the deviation of its changes."""


@dataclass(frozen=True)
class ActionOrder:
    """Discrete actions of the target as the source's.

    Attributes:
        order: per action of the target the source's.
        margin: how much larger the misfit of the next best order is, as a share of the best's.
        t: Student's t of the difference between both, over :data:`PARTS` consecutive parts of the target's
            transitions.
    """

    order: tuple[int, ...]
    margin: float
    t: float

    @property
    def decided(self) -> bool:
        """Whether the transitions tell the best order from the next."""
        return self.t > DECIDED


@dataclass(frozen=True)
class ActionMap:
    """Continuous actions, ``source_to_target``: a_target = B a_source + c.

    Attributes:
        matrix: B, ``float64[action, action]``.
        offset: c.
        held_out_r2: of the effects that the source's model leaves, given the target's actions.
    """

    matrix: Matrix
    offset: Matrix
    held_out_r2: float | None


def match_discrete(source: AlignmentMoves, target: AlignmentMoves, count: int) -> ActionOrder:
    """The order of actions under which the target's transitions fit the source's effects best.

        misfit = Σ over steps and dimensions of ln(1 + (r / s)²)

    with r what a step misses the source's model of its action by, and s the scale of that in the source: the
    likelihood of Cauchy noise. Squares would let the few steps decide in which no action matters (a leg
    touches the ground), and one unit for a dimension's changes lets those count that no action moves.

    Args:
        source: transitions in the source's environment.
        target: those of the target, in the source's coordinates.
        count: of actions, on both sides.

    Raises:
        TransferError: too many actions, or one that no transition shows.
    """
    if count > MOST_ACTIONS:
        raise TransferError(
            f"there are {count} actions, and align tries the orders of {MOST_ACTIONS} at most; declare "
            "output_maps: {actions: […]}",
            key=f"{KEY}.actions",
        )
    models = [_effect(source, k, "the source's environment") for k in range(count)]
    scales = _scales(source, models)
    acted = target.actions[:, 0].astype(int)
    for j in range(count):
        if not (acted == j).any():
            raise _unseen(j, len(target.actions), "the target")
    effects = target.after - target.before
    missed = np.stack([(effects - model(target.before)) / scales for model in models])
    costs = np.log1p(missed**2).sum(axis=2)  # [action of the source, step]
    shares = np.array([costs[:, acted == j].sum(axis=1) for j in range(count)])
    totals = {order: sum(shares[j, k] for j, k in enumerate(order)) for order in permutations(range(count))}
    ranked = sorted(totals, key=lambda order: totals[order])
    best = totals[ranked[0]]
    if len(ranked) < 2 or not best > 0:
        return ActionOrder(ranked[0], float("inf"), float("inf"))
    steps = np.arange(len(acted))
    first, second = (costs[np.array(order)[acted], steps] for order in ranked[:2])
    return ActionOrder(ranked[0], float((totals[ranked[1]] - best) / best), _t(second - first))


def _scales(source: AlignmentMoves, models: Sequence[AlignmentMap]) -> Matrix:
    """Per dimension what a step misses the source's model by: 1.4826 medians of the absolute residual.

    A floor keeps dimensions that the model foretells exactly from deciding by rounding.
    """
    effects = source.after - source.before
    residuals = np.empty_like(effects)
    for k, model in enumerate(models):
        rows = source.actions[:, 0] == k
        residuals[rows] = effects[rows] - model(source.before[rows])
    found: Matrix = np.maximum(NORMAL * np.median(np.abs(residuals), axis=0), FLOOR * _sizes(source))
    return found


def _t(gains: Matrix) -> float:
    """Student's t of the sums over parts; 0 where there are too few steps."""
    if len(gains) < PARTS:
        return 0.0
    sums = np.array([part.sum() for part in np.array_split(gains, PARTS)])
    error = float(sums.std(ddof=1)) / PARTS**0.5
    return float(sums.mean()) / error if error > 0 else (float("inf") if sums.mean() > 0 else 0.0)


def match_linear(source: AlignmentMoves, target: AlignmentMoves) -> ActionMap:
    """The linear map of actions under which effects agree, both linear in state and action.

        Δx = G x + H a_source + g in the source;   Δx − G x − g = H T a_target + H t in the target

    Args:
        source: transitions in the source's environment.
        target: those of the target, in the source's coordinates.

    Returns:
        The inverse of a_source = T a_target + t.

    Raises:
        TransferError: too few transitions, or actions whose effects do not tell them apart.
    """
    size, width = _sizes(source), source.actions.shape[1]
    least = 2 + source.before.shape[1] + width
    if len(target.actions) < least:
        raise TransferError(
            f"{len(target.actions)} transitions of the target cannot say what {width} actions do among "
            f"{source.before.shape[1]} observations; give at least {least + 1} pairs",
            key=f"{KEY}.pairs",
        )
    both = np.hstack([source.before, source.actions])
    model = fit_ridge(both, (source.after - source.before) / size, "source_to_target", "auto")
    states, actions = model.matrix[:, :-width], model.matrix[:, -width:]
    rest = (target.after - target.before) / size - target.before @ states.T - model.offset
    found = fit_ridge(target.actions, rest, "target_to_source", "auto")
    to_source = np.linalg.pinv(actions) @ found.matrix
    if np.linalg.matrix_rank(actions) < width or np.linalg.matrix_rank(to_source) < width:
        raise TransferError(
            "the effects within a step do not tell the actions apart; declare output_maps, or leave actions "
            "out",
            key=f"{KEY}.actions",
        )
    inverse = np.asarray(np.linalg.inv(to_source), dtype=np.float64)
    offset = -inverse @ (np.linalg.pinv(actions) @ found.offset)
    return ActionMap(inverse, offset, found.held_out_r2)


def _effect(moves: AlignmentMoves, action: int, where: str) -> AlignmentMap:
    rows = moves.actions[:, 0] == action
    if rows.sum() < 2:
        raise _unseen(action, len(moves.actions), where)
    return fit_ridge(moves.before[rows], moves.after[rows] - moves.before[rows], "source_to_target", "auto")


def _sizes(moves: AlignmentMoves) -> Matrix:
    spread = (moves.after - moves.before).std(axis=0)
    return np.where(spread > 0, spread, 1.0)


def _unseen(action: int, steps: int, where: str) -> TransferError:
    return TransferError(
        f"{steps} random transitions in {where} show too little of action {action}; give more pairs",
        key=f"{KEY}.pairs",
    )
