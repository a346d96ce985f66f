"""Linear maps with a structure: of low rank, orthogonal, through canonical components, or without pairs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rl_transfer.core._pairs import (
    TOLERANCE,
    Decomposed,
    Groups,
    Matrix,
    Shrinkage,
    Standard,
    as_matrix,
    checked_pairs,
    compact,
    groups_of,
    r_squared,
    refuse_negative,
)
from rl_transfer.core.alignment import AlignmentMap, Direction, Episodes, MapKind
from rl_transfer.errors import TransferError

_Estimate = Callable[[Matrix, Matrix], Matrix]


def fit_low_rank(
    given: Matrix,
    wanted: Matrix,
    direction: Direction,
    rank: int,
    shrinkage: Shrinkage,
    episodes: Episodes | None = None,
) -> AlignmentMap:
    """The ridge map of at most a rank (Izenman 1975): the fitted values' leading directions are kept.

    Args:
        given: ``float[pair, given]``.
        wanted: ``float[pair, wanted]``.
        direction: what is given and what is wanted.
        rank: the most that A may have, ≥ 1.
        shrinkage: μ ≥ 0 in standardised units, or ``auto``: of the map of full rank.
        episodes: as :func:`~rl_transfer.core.alignment.fit_ridge` takes them.

    Returns:
        The map in the data's units.

    Raises:
        TransferError: the sides do not fit, or the rank is below 1.
    """
    if rank < 1:
        raise TransferError(f"the rank is {rank}; give at least 1")

    def estimate(x: Matrix, y: Matrix) -> Matrix:
        parts = Decomposed.of(x, y)
        mu = parts.best() if shrinkage == "auto" else float(shrinkage)
        full = parts.at(mu)
        fitted = np.vstack([x @ full.T, np.sqrt(mu) * full.T])  # with μ as rows that want 0
        kept = np.linalg.svd(fitted, full_matrices=False)[2][:rank]
        return kept.T @ (kept @ full)

    return _refitted("low_rank", direction, given, wanted, estimate, episodes)


def fit_procrustes(
    given: Matrix, wanted: Matrix, direction: Direction, episodes: Episodes | None = None
) -> AlignmentMap:
    """The orthogonal map (Schönemann 1966): rotations and reflections of centred sides in one unit.

        min over AᵀA = I of Σ_i ‖A x_i + b − y_i‖²,   A = UVᵀ of the singular values of YXᵀ

    Args:
        given: ``float[pair, given]``.
        wanted: ``float[pair, wanted]``, as wide as ``given``. Nothing is standardised: that is no rotation.
        direction: what is given and what is wanted.
        episodes: as :func:`~rl_transfer.core.alignment.fit_ridge` takes them.

    Returns:
        The map in the data's units.

    Raises:
        TransferError: the sides do not fit or have other widths.
    """
    x, y = checked_pairs(given, wanted)
    _refuse_other_width("orthogonal Procrustes", x, y)

    def estimate(x: Matrix, y: Matrix) -> Matrix:
        left, _, right = np.linalg.svd(y.T @ x)
        found: Matrix = left @ right
        return found

    return _refitted("procrustes", direction, x, y, estimate, episodes, standardise=False)


def canonical_correlations(given: Matrix, wanted: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Canonical correlation analysis (Hotelling 1936) by whitening and singular values.

    Args:
        given: ``float[pair, given]``.
        wanted: ``float[pair, wanted]``.

    Returns:
        Correlations ``float64[component]``, falling, and the directions ``float64[given, component]`` and
        ``float64[wanted, component]`` whose projections of the centred sides have variance 1.
    """
    x, y = checked_pairs(given, wanted)
    u, s, v = compact(x - x.mean(axis=0))
    p, t, q = compact(y - y.mean(axis=0))
    left, values, right = np.linalg.svd(u.T @ p, full_matrices=False)
    scale = np.sqrt(len(x))
    return np.clip(values, 0, 1), scale * (v / s) @ left, scale * (q / t) @ right.T


def fit_cca(
    given: Matrix, wanted: Matrix, direction: Direction, components: int, episodes: Episodes | None = None
) -> AlignmentMap:
    """The map through the leading canonical components: whiten, keep, colour.

    Args:
        given: ``float[pair, given]``.
        wanted: ``float[pair, wanted]``.
        direction: what is given and what is wanted.
        components: the most that are kept, ≥ 1.
        episodes: as :func:`~rl_transfer.core.alignment.fit_ridge` takes them.

    Returns:
        The map in the data's units.

    Raises:
        TransferError: the sides do not fit, or no component is kept.
    """
    if components < 1:
        raise TransferError(f"{components} canonical components are kept; give at least 1")

    def estimate(x: Matrix, y: Matrix) -> Matrix:
        kept = canonical_correlations(x, y)[1][:, :components]
        return (y.T @ (x @ kept) / len(x)) @ kept.T

    return _refitted("cca", direction, given, wanted, estimate, episodes)


def fit_coral(given: Matrix, wanted: Matrix, direction: Direction, shrinkage: float) -> AlignmentMap:
    """Whitening and colouring of unpaired data (CORAL; Sun, Feng & Saenko 2016).

        A = C_wanted^½ C_given^−½,   b = mean_wanted − A mean_given

    Means and covariances of both sides agree afterwards. More is not known without pairs: any rotation
    between whitening and colouring would make them agree as well, so that permuted or rotated sensors are
    not put back in general. The original adds I to both covariances; here ``shrinkage`` adds its share of the
    mean variance.

    Args:
        given: ``float[row, given]``.
        wanted: ``float[row, wanted]``, as wide; another number of rows is fine.
        direction: what is given and what is wanted.
        shrinkage: share of the mean variance that is added to each variance, ≥ 0.

    Returns:
        The map in the data's units.

    Raises:
        TransferError: the widths differ, fewer than two rows, numbers that are not finite.
    """
    x, y = as_matrix(given, "the given side"), as_matrix(wanted, "the wanted side")
    _refuse_other_width("CORAL", x, y)
    if min(len(x), len(y)) < 2:
        raise TransferError(f"CORAL needs two rows of each side; it has {len(x)} and {len(y)}")
    refuse_negative(shrinkage)
    roots = [_root_of_covariance(side, shrinkage, power) for side, power in ((x, -0.5), (y, 0.5))]
    matrix = roots[1] @ roots[0]
    rank = len(compact(x - x.mean(axis=0))[1])
    offset = y.mean(axis=0) - matrix @ x.mean(axis=0)
    return AlignmentMap("coral", direction, matrix, offset, len(x), rank)


def _refitted(
    kind: MapKind,
    direction: Direction,
    given: Matrix,
    wanted: Matrix,
    estimate: _Estimate,
    episodes: Episodes | None,
    standardise: bool = True,
) -> AlignmentMap:
    """A map without a closed form of its held-out error: ten parts of whole episodes are left out in turn."""
    x, y = checked_pairs(given, wanted)

    def fitted(x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
        standard = Standard.of(x, y, scaled=standardise)
        return standard.back(estimate(*standard.apply(x, y)))

    matrix, offset = fitted(x, y)
    missed, groups = np.zeros_like(y), groups_of(episodes)
    parts = _parts(len(x), groups)
    for part in parts if len(parts) > 1 else []:
        rest = np.setdiff1d(np.arange(len(x)), part)
        held, shift = fitted(x[rest], y[rest]) if len(rest) > 1 else (0 * matrix, y[rest].mean(axis=0))
        missed[part] = y[part] - (x[part] @ held.T + shift)
    standard = Standard.of(x, y, scaled=True)
    rank = len(compact(x - x.mean(axis=0))[1])
    centred = (y - y.mean(axis=0)) / standard.deviations[1]
    r2 = r_squared(missed / standard.deviations[1], centred, None if groups is None else parts)
    return AlignmentMap(kind, direction, matrix, offset, len(x), rank, held_out_r2=r2)


def _parts(rows: int, groups: Groups | None) -> Groups:
    """Ten parts of the rows at most, none of which divides a group."""
    if groups is None:
        return np.array_split(np.arange(rows), min(10, rows))
    dealt = np.array_split(np.arange(len(groups)), min(10, len(groups)))
    return [np.concatenate([groups[each] for each in part]) for part in dealt]


def _root_of_covariance(side: Matrix, shrinkage: float, power: float) -> Matrix:
    covariance = np.cov(side, rowvar=False).reshape(side.shape[1], side.shape[1])
    covariance += shrinkage * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    values, vectors = np.linalg.eigh(covariance)
    kept = values > TOLERANCE * values.max(initial=0.0)
    scaled = np.where(kept, np.where(kept, values, 1.0) ** power, 0.0)
    root: Matrix = (vectors * scaled) @ vectors.T
    return root


def _refuse_other_width(what: str, x: Matrix, y: Matrix) -> None:
    if x.shape[1] != y.shape[1]:
        raise TransferError(
            f"{what} needs both sides equally wide; they have {x.shape[1]} and {y.shape[1]} features. A "
            "ridge map takes any widths"
        )
