"""Pairs of vectors: what they must be, their standard units, and how well one side foretells the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl_transfer.errors import TransferError

Matrix = NDArray[np.float64]
Shrinkage = float | Literal["auto"]
Groups = list[NDArray[np.int64]]
"""Rows that are held out together, each row in one group."""

_FREE = 1e-9
"""A pair with less than this left to the others decides its own prediction."""
TOLERANCE = 1e-10
"""Singular values below this share of the largest are 0: a direction that no pair shows."""
LARGEST = 1e60
"""Its fourth power, and that of its inverse, is a ``float64`` still."""


def as_matrix(rows: ArrayLike, what: str) -> Matrix:
    """Rows as finite ``float64``; numbers so small that their squares are 0 are 0.

    Args:
        rows: ``float[row, feature]``.
        what: it is called in errors.

    Raises:
        TransferError: it has no rows and features, is of no real numbers, or has one that is not finite, or
            too large to be squared and summed.
    """
    try:
        given = np.asarray(rows)
    except ValueError:
        raise TransferError(f"{what} has rows of different lengths; give rows by features") from None
    if given.dtype.kind not in "biuf":
        raise TransferError(f"{what} holds {given.dtype} values; give real numbers, rows by features")
    found = given.astype(np.float64)
    if found.ndim != 2 or 0 in found.shape:
        raise TransferError(f"{what} has shape {found.shape}; give rows by features, one of each at least")
    if not np.isfinite(found).all():
        row, column = np.argwhere(~np.isfinite(found))[0]
        raise TransferError(
            f"{what} holds {found[row, column]} at row {row}, feature {column}; leave such rows "
            "out on both sides"
        )
    size = np.abs(found)
    if size.max() > LARGEST:
        row, column = np.argwhere(size > LARGEST)[0]
        raise TransferError(
            f"{what} holds {found[row, column]:g} at row {row}, feature {column}, more than {LARGEST:g}: "
            "sums of squares would overflow; give the feature in another unit"
        )
    found[size < 1 / LARGEST] = 0.0
    return found


def checked_pairs(given: ArrayLike, wanted: ArrayLike) -> tuple[Matrix, Matrix]:
    """Both sides of pairs as finite ``float64``.

    Raises:
        TransferError: other numbers of rows, fewer than two pairs, numbers that are not finite.
    """
    x, y = as_matrix(given, "the given side"), as_matrix(wanted, "the wanted side")
    if len(x) != len(y):
        raise TransferError(
            f"the sides have {len(x)} and {len(y)} rows, but a pair has one of each; for data without pairs "
            "take CORAL"
        )
    if len(x) < 2:
        raise TransferError(
            "1 pair decides an offset and nothing else; give two at least, and more than there are features"
        )
    return x, y


def refuse_negative(shrinkage: float) -> None:
    """Refuse a μ that is none.

    Raises:
        TransferError: it is below 0, or no number.
    """
    if not shrinkage >= 0:
        raise TransferError(f"the shrinkage is {shrinkage}; give a number of at least 0")


@dataclass(frozen=True)
class Standard:
    """Means and deviations of both sides; a constant feature has the deviation 1.

    Attributes:
        means: of the given and the wanted side.
        deviations: likewise; 1 throughout where nothing is scaled.
    """

    means: tuple[Matrix, Matrix]
    deviations: tuple[Matrix, Matrix]

    @classmethod
    def of(cls, x: Matrix, y: Matrix, *, scaled: bool) -> Standard:
        """Those of two sides.

        Args:
            x: given.
            y: wanted.
            scaled: whether deviations are measured.
        """
        means = x.mean(axis=0), y.mean(axis=0)
        return cls(means, (_deviations(x, scaled), _deviations(y, scaled)))

    def apply(self, x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
        """Both sides in standard units."""
        (a, b), (s, t) = self.means, self.deviations
        return (x - a) / s, (y - b) / t

    def back(self, matrix: Matrix) -> tuple[Matrix, Matrix]:
        """A map between standard units as one between those of the data: matrix and offset."""
        found = matrix * self.deviations[1][:, None] / self.deviations[0]
        return found, self.means[1] - found @ self.means[0]


def _deviations(side: Matrix, scaled: bool) -> Matrix:
    found = side.std(axis=0)
    size = np.abs(side).max(axis=0)
    return np.where(found > 1e-12 * size, found, 1.0) if scaled else np.ones(side.shape[1])


def shrinkages(singular: Matrix) -> list[float]:
    """The values of μ among which leave-one-out chooses, falling: ten times the largest s² to 1e-10 of it.

    Args:
        singular: values of the standardised given side.
    """
    largest = float(singular[0]) ** 2 if len(singular) else 1.0
    return [float(largest * 10.0 ** (1 - k / 4)) for k in range(45)]


def r_squared(missed: Matrix, wanted: Matrix, groups: Groups | None = None) -> float | None:
    """The share of variance that held-out predictions explain, over all wanted features.

        1 − Σ missed² / Σ ((y_i − ȳ) n/(n − 1))²

    The denominator is what the mean of the other pairs misses by, so that 0 is a map that knows nothing.
    Of pairs that are held out by groups it is what the mean of the other groups misses by.

    Args:
        missed: ``float64[pair, wanted]``, of predictions that did not use the pair.
        wanted: centred, in the same units.
        groups: the pairs that were held out together; None: each by itself.

    Returns:
        At most 1, without lower bound; None where nothing varies, and of one group alone.
    """
    n = len(wanted)
    if groups is None:
        spread = float(np.sum(wanted**2)) * (n / (n - 1)) ** 2
    elif len(groups) < 2:
        return None
    else:
        spread = float(sum(np.sum((wanted[g] + wanted[g].sum(axis=0) / (n - len(g))) ** 2) for g in groups))
    return None if spread == 0 else 1 - float(np.sum(missed**2)) / spread


def groups_of(episodes: NDArray[np.int64] | None) -> Groups | None:
    """The rows of every episode.

    Args:
        episodes: ``int[pair]``, the number of the episode that each row is of; None: rows are independent.

    Returns:
        None where every row is by itself.
    """
    if episodes is None or len(np.unique(episodes)) == len(episodes):
        return None
    return [np.flatnonzero(episodes == each) for each in np.unique(episodes)]


@dataclass(frozen=True)
class Decomposed:
    """Two sides by the singular values of the given one: X = U S Vᵀ, and UᵀY."""

    u: Matrix
    s: Matrix
    v: Matrix
    projected: Matrix
    wanted: Matrix

    @classmethod
    def of(cls, x: Matrix, y: Matrix) -> Decomposed:
        u, s, v = compact(x)
        return cls(u, s, v, u.T @ y, y)

    def with_wanted(self, wanted: Matrix) -> Decomposed:
        """The same given side beside another wanted one."""
        return Decomposed(self.u, self.s, self.v, self.u.T @ wanted, wanted)

    @property
    def largest(self) -> float:
        """λ_max = 2‖YXᵀ‖_F."""
        return float(2 * np.linalg.norm(self.s[:, None] * self.projected))

    def at(self, mu: float) -> Matrix:
        """A(μ)."""
        factors = self.s / (self.s**2 + mu)
        found: Matrix = (self.v @ (factors[:, None] * self.projected)).T
        return found

    def size(self, mu: float) -> float:
        """‖A(μ)‖_F."""
        return float(np.linalg.norm((self.s / (self.s**2 + mu))[:, None] * self.projected))

    def root(self, penalty: float) -> float | None:
        """The μ with μ‖A(μ)‖_F = λ/2; None where the map is 0.

        With r = μ/(s² + μ) between its values at the smallest and the largest s, the left side lies between
        r‖YXᵀ‖_F of the two, which brackets μ.
        """
        share = penalty / self.largest if self.largest > 0 else np.inf
        if share >= 1:
            return None
        low, high = (float(end) ** 2 * share / (1 - share) for end in (self.s[-1], self.s[0]))
        for _ in range(200):
            middle = np.sqrt(low) * np.sqrt(high)
            if not low < middle < high:
                break
            if middle * self.size(middle) < penalty / 2:
                low = middle
            else:
                high = middle
        return high

    def left_out(self, mu: float) -> Matrix:
        """Leave-one-out residuals of centred sides, ``float64[pair, wanted]``."""
        shrunk = self.s**2 / (self.s**2 + mu) if np.isfinite(mu) else np.zeros_like(self.s)
        leverage = 1 / len(self.u) + (self.u**2) @ shrunk
        residuals = self.wanted - self.u @ (shrunk[:, None] * self.projected)
        free = 1 - leverage
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Matrix = np.where(free[:, None] > _FREE, residuals / free[:, None], np.inf)
        return found

    def groups_left_out(self, mu: float, groups: Groups) -> Matrix:
        """The same with all rows of a group left out together: (I − H_GG)⁻¹ e_G, H as in ``left_out``.

        H_GG = WWᵀ with as many columns as X has directions, and one for the offset, so that Woodbury's
        identity takes a system of that size however long a group is.
        """
        shrunk = self.s**2 / (self.s**2 + mu) if np.isfinite(mu) else np.zeros_like(self.s)
        residuals = self.wanted - self.u @ (shrunk[:, None] * self.projected)
        level = np.full((len(self.u), 1), len(self.u) ** -0.5)
        factor = np.hstack([level, self.u * np.sqrt(shrunk)])
        found = np.empty_like(residuals)
        for group in groups:
            w, e = factor[group], residuals[group]
            values, vectors = np.linalg.eigh(np.eye(w.shape[1]) - w.T @ w)
            if values[0] <= _FREE:
                found[group] = np.inf
            else:
                found[group] = e + w @ vectors @ ((vectors.T @ (w.T @ e)) / values[:, None])
        return found

    def best(self) -> float:
        """The μ with the smallest squared leave-one-out error; of several the largest."""
        candidates = np.array(shrinkages(self.s))
        shrunk = self.s**2 / (self.s**2 + candidates[:, None])
        free = 1 - 1 / len(self.u) - shrunk @ (self.u**2).T
        residuals = self.wanted - self.u @ (shrunk[:, :, None] * self.projected)
        with np.errstate(divide="ignore", invalid="ignore"):
            errors = np.where(free > _FREE, np.sum(residuals**2, axis=2) / free**2, np.inf).sum(axis=1)
        return float(candidates[int(np.argmin(errors))])


def compact(x: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Singular vectors and values of the directions that X has: U, S, V (not transposed)."""
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    kept = s > TOLERANCE * s.max(initial=0.0)
    return u[:, kept], s[kept], vt[kept].T
