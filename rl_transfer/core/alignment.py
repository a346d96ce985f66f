"""Linear maps between two feature spaces, estimated from pairs of vectors that belong together.

A map has a direction, because the two sides of a transfer are not exchangeable:

- ``source_to_target``: y is what the target gives where the source gives x (features, actions);
- ``target_to_source``: y is what the source would have seen where the target gives x (observations in
  front of a source's network).

Everything is ``float64`` inside. Rows are pairs: x is a row of ``X[pair, given]``, y of ``Y[pair, wanted]``,
where the usual notation has columns. Offsets are never penalised: maps are estimated between
centred sides, and what is standardised is standardised by population deviations (constant sides by 1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rl_transfer.core._pairs import (
    TOLERANCE,
    Decomposed,
    Shrinkage,
    Standard,
    as_matrix,
    checked_pairs,
    groups_of,
    r_squared,
    refuse_negative,
)
from rl_transfer.errors import TransferError

Direction = Literal["source_to_target", "target_to_source"]
MapKind = Literal["ridge", "frobenius", "procrustes", "low_rank", "cca", "coral", "effects"]
Matrix = NDArray[np.float64]
Episodes = NDArray[np.int64]


@dataclass(frozen=True)
class AlignmentMap:
    """An affine map x ↦ A x + b and how it was come by.

    Attributes:
        kind: what estimated it.
        direction: what is given and what is wanted.
        matrix: A, ``float64[wanted, given]``.
        offset: b, ``float64[wanted]``.
        pairs: how many it was estimated from (rows of the target's side where they are unpaired).
        rank: directions of the given side that the pairs show, after centring.
        shrinkage: μ of the ridge form, in standardised units; None where there is none.
        penalty: λ of the formula λ‖A‖_F, in standardised units; None where there is none.
        penalty_share: λ as a share of λ_max = 2‖YXᵀ‖_F, beyond which the map is 0.
        held_out_r2: share of the wanted side's standardised variance that the map explains in pairs which
            it was not estimated from, whole episodes left out where rows have episodes; None for unpaired
            data, where nothing varies, of one episode, and where a pair (an episode) alone decides its own
            prediction. Of a map from effects: of the target's changes of state.
        condition: largest over smallest singular value of A: how much an error can be blown up; infinite
            where A has a direction that it maps to nothing.
    """

    kind: MapKind
    direction: Direction
    matrix: Matrix
    offset: Matrix
    pairs: int
    rank: int
    shrinkage: float | None = None
    penalty: float | None = None
    penalty_share: float | None = None
    held_out_r2: float | None = None

    def __call__(self, given: Matrix) -> Matrix:
        """The wanted side of rows.

        Args:
            given: ``float[row, given]``.

        Returns:
            ``float64[row, wanted]``.
        """
        return as_matrix(given, "the rows to be mapped") @ self.matrix.T + self.offset

    @property
    def condition(self) -> float:
        """Largest over smallest singular value of A."""
        values = np.linalg.svd(self.matrix, compute_uv=False)
        return float(values[0] / values[-1]) if values[-1] > TOLERANCE * values[0] > 0 else float("inf")


def ridge(given: Matrix, wanted: Matrix, shrinkage: float) -> tuple[Matrix, Matrix]:
    """The least-squares map with a squared penalty, in the units of the data.

        min over A, b of Σ_i ‖A x_i + b − y_i‖² + μ‖A‖_F²,   A = YXᵀ(XXᵀ + μI)⁻¹ on centred sides

    Args:
        given: ``float[pair, given]``.
        wanted: ``float[pair, wanted]``.
        shrinkage: μ ≥ 0; at 0 the map of least norm among the least-squares maps.

    Returns:
        A ``float64[wanted, given]`` and b ``float64[wanted]``.

    Raises:
        TransferError: the sides do not fit, or μ < 0.
    """
    x, y = checked_pairs(given, wanted)
    refuse_negative(shrinkage)
    means = x.mean(axis=0), y.mean(axis=0)
    matrix: Matrix = Decomposed.of(x - means[0], y - means[1]).at(shrinkage)
    return matrix, means[1] - matrix @ means[0]


def frobenius(given: Matrix, wanted: Matrix, penalty: float) -> Matrix:
    """The map of the formula with the norm as it is, not squared. Nothing is centred.

        min over A of Σ_i ‖A x_i − y_i‖² + λ‖A‖_F

    A = 0 if 2‖YXᵀ‖_F ≤ λ; else A = YXᵀ(XXᵀ + μI)⁻¹ with the only μ for which μ‖A(μ)‖_F = λ/2. The left side
    grows with μ, so that bisection finds it, for X of any rank. Stationary: 2(AX − Y)Xᵀ + λA/‖A‖_F = 0.

    Args:
        given: ``float[pair, given]``.
        wanted: ``float[pair, wanted]``.
        penalty: λ > 0, in units of (wanted · given) · pairs; :func:`largest_penalty` is where A becomes 0.

    Returns:
        A ``float64[wanted, given]``.

    Raises:
        TransferError: the sides do not fit, or λ ≤ 0.
    """
    x, y = checked_pairs(given, wanted)
    _refuse_penalty(penalty)
    parts = Decomposed.of(x, y)
    mu = parts.root(penalty)
    return np.zeros((y.shape[1], x.shape[1])) if mu is None else parts.at(mu)


def largest_penalty(given: Matrix, wanted: Matrix) -> float:
    """λ_max = 2‖YXᵀ‖_F: the smallest penalty at which the map of :func:`frobenius` is 0.

    Args:
        given: ``float[pair, given]``.
        wanted: ``float[pair, wanted]``.

    Returns:
        λ_max, in units of (wanted · given) · pairs.
    """
    x, y = checked_pairs(given, wanted)
    return float(2 * np.linalg.norm(y.T @ x))


def leave_one_out(given: Matrix, wanted: Matrix, shrinkage: float) -> Matrix:
    """What each pair's wanted side misses by if the map is estimated from the others, in closed form.

        e_i / (1 − h_ii),   h = 1/n + X(XᵀX + μI)⁻¹Xᵀ on the centred given side

    Equal to n estimates by :func:`ridge`, offsets included (Allen's PRESS, 1974).

    Args:
        given: ``float[pair, given]``.
        wanted: ``float[pair, wanted]``.
        shrinkage: μ ≥ 0.

    Returns:
        ``float64[pair, wanted]``; infinite where a pair alone decides its own prediction.

    Raises:
        TransferError: the sides do not fit, or μ is below 0.
    """
    x, y = checked_pairs(given, wanted)
    refuse_negative(shrinkage)
    return Decomposed.of(x - x.mean(axis=0), y - y.mean(axis=0)).left_out(shrinkage)


def fit_ridge(
    given: Matrix,
    wanted: Matrix,
    direction: Direction,
    shrinkage: Shrinkage,
    episodes: Episodes | None = None,
) -> AlignmentMap:
    """The ridge map between standardised sides, in the data's units; leave-one-out chooses μ.

    Args:
        given: ``float[pair, given]``.
        wanted: ``float[pair, wanted]``.
        direction: what is given and what is wanted.
        shrinkage: μ ≥ 0 in standardised units, or ``auto``.
        episodes: ``int[pair]``, the number of the episode that each row is of, for the held-out R²: its rows
            are alike, and are left out together. None: rows are independent.

    Returns:
        The map, with λ = 2μ‖A‖_F beside μ: the same A solves the formula with that λ.

    Raises:
        TransferError: the sides do not fit.
    """
    x, y, standard = _standardised(given, wanted)
    if shrinkage != "auto" and not shrinkage >= 0:
        raise TransferError(f"the shrinkage is {shrinkage}; give a number of at least 0, or auto")
    parts = Decomposed.of(x, y)
    mu = parts.best() if shrinkage == "auto" else float(shrinkage)
    return _described("ridge", direction, parts, mu, standard, episodes)


def fit_frobenius(
    given: Matrix,
    wanted: Matrix,
    direction: Direction,
    penalty_share: float,
    episodes: Episodes | None = None,
) -> AlignmentMap:
    """The formula's map between standardised sides, λ as a share of λ_max.

    Args:
        given: ``float[pair, given]``.
        wanted: ``float[pair, wanted]``.
        direction: what is given and what is wanted.
        penalty_share: λ/λ_max > 0; from 1 on the map is 0 and its offset the mean.
        episodes: as :func:`fit_ridge` takes them.

    Returns:
        The map in the data's units.

    Raises:
        TransferError: the sides do not fit, or the share is not positive.
    """
    x, y, standard = _standardised(given, wanted)
    _refuse_penalty(penalty_share)
    parts = Decomposed.of(x, y)
    mu = parts.root(penalty_share * parts.largest)
    found = _described("frobenius", direction, parts, float("inf") if mu is None else mu, standard, episodes)
    return replace(found, penalty=penalty_share * parts.largest, penalty_share=penalty_share)


def _described(
    kind: MapKind,
    direction: Direction,
    parts: Decomposed,
    mu: float,
    standard: Standard,
    episodes: Episodes | None,
) -> AlignmentMap:
    standardised = parts.at(mu)
    matrix, offset = standard.back(standardised)
    penalty = 2 * mu * parts.size(mu) if np.isfinite(mu) else parts.largest
    share = penalty / parts.largest if parts.largest > 0 else None
    groups = groups_of(episodes)
    missed = parts.left_out(mu) if groups is None else parts.groups_left_out(mu, groups)
    r2 = r_squared(missed, parts.wanted, groups)
    return AlignmentMap(
        kind,
        direction,
        matrix,
        offset,
        len(parts.u),
        len(parts.s),
        mu if np.isfinite(mu) else None,
        penalty,
        share,
        r2 if r2 is not None and np.isfinite(r2) else None,
    )


def _standardised(given: Matrix, wanted: Matrix) -> tuple[Matrix, Matrix, Standard]:
    x, y = checked_pairs(given, wanted)
    standard = Standard.of(x, y, scaled=True)
    return *standard.apply(x, y), standard


def _refuse_penalty(penalty: float) -> None:
    if not 0 < penalty < np.inf:
        raise TransferError(
            f"the penalty λ is {penalty}; give a finite number above 0. Without a penalty take the ridge map "
            "with shrinkage 0"
        )
