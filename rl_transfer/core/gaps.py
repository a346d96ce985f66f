"""How far apart two samples of features lie: CORAL and maximum mean discrepancy, marginal and by label.

The estimators are differentiable and keep the type of what they are given, so that a training loss can use
them; :func:`measured_gap` computes in float64 and adds a permutation test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from rl_transfer.core._text import shape_text
from rl_transfer.errors import TransferError
from rl_transfer.wording import counted

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Variances of the Gaussian kernels, in units of the squared distance that :func:`kernel_scale` finds."""
LEAST = 2
"""Rows of each side below which neither a covariance nor an unbiased discrepancy exists."""

Estimator = Callable[[Tensor, Tensor], Tensor]
"""Two samples ``float[row, feature]`` → a scalar."""


def coral(source: Tensor, target: Tensor) -> Tensor:
    """The distance between two covariances.

        ‖C_s − C_t‖²_F / (4 d²)

    with C the unbiased covariance matrices and d the number of features. Means do not matter, units do: it
    is in the fourth power of the features' unit. Sun & Saenko 2016, "Deep CORAL: correlation alignment for
    deep domain adaptation". Finite samples of one distribution give a value above 0.

    Args:
        source: ``float[row, feature]``, at least two rows.
        target: likewise, with as many features.

    Returns:
        A scalar ≥ 0 with gradient.

    Raises:
        TransferError: the shapes do not fit, or there are too few rows.
    """
    _refuse_other_shapes(source, target)
    return _covariances(source, target)[0] / (4 * source.shape[1] ** 2)


def coral_share(source: Tensor, target: Tensor) -> Tensor:
    """CORAL in numbers that can be compared between layers.

        ‖C_s − C_t‖_F / (‖C_s‖_F + ‖C_t‖_F)

    0 for equal covariances; 1 at most (triangle inequality), where one side does not vary at all; the same
    in any unit. Our own form of Sun & Saenko's distance. 0 where neither side varies.

    Args:
        source: as :func:`coral` takes it.
        target: likewise.

    Returns:
        A scalar from 0 to 1.

    Raises:
        TransferError: as :func:`coral` says.
    """
    _refuse_other_shapes(source, target)
    apart, mine, theirs = (each.sqrt() for each in _covariances(source, target))
    size = mine + theirs
    return torch.zeros_like(size) if size == 0 else apart / size


def kernel_scale(source: Tensor, target: Tensor) -> Tensor:
    """The median squared distance between rows of both samples taken together.

    The median heuristic of Gretton et al. 2012. Where more than half of the pairs coincide (dead units), the
    mean squared distance takes its place. No gradient flows through it.

    Args:
        source: ``float[row, feature]``.
        target: likewise.

    Returns:
        A scalar in squared units of the features; 0 where all rows coincide.

    Raises:
        TransferError: the shapes do not fit, or there are too few rows.
    """
    _refuse_other_shapes(source, target)
    rows = torch.cat([source, target]).detach()
    squares = _squared_distances(rows, rows)
    above = torch.triu_indices(len(rows), len(rows), offset=1, device=rows.device)
    pairs = squares[above[0], above[1]]
    median = pairs.median()
    return median if median > 0 else pairs.mean()


def mmd(source: Tensor, target: Tensor, scale: Tensor | None = None) -> Tensor:
    """The squared maximum mean discrepancy, unbiased.

        1/(n(n−1)) Σ_{i≠j} k(x_i, x_j) + 1/(m(m−1)) Σ_{i≠j} k(y_i, y_j) − 2/(nm) Σ_{i,j} k(x_i, y_j),
        k(x, y) = 1/5 Σ_f exp(−‖x − y‖² / (2 f s)),  f ∈ {¼, ½, 1, 2, 4}

    with s the squared distance of :func:`kernel_scale`. Gretton, Borgwardt, Rasch, Schölkopf & Smola 2012,
    "A kernel two-sample test" (JMLR 13), Lemma 6; several widths as in Long et al. 2015 (their sum is our
    mean, so that k(x, x) = 1). 0 in expectation for one distribution, and so below 0 about half of the time;
    2 at most. With s from the rows themselves it is the same in any unit.

    Args:
        source: ``float[row, feature]``, at least two rows.
        target: likewise, with as many features.
        scale: s; None: that of these rows.

    Returns:
        A scalar with gradient.

    Raises:
        TransferError: the shapes do not fit, or there are too few rows.
    """
    _refuse_other_shapes(source, target)
    s = kernel_scale(source, target) if scale is None else scale
    return (
        _without_diagonal(kernel_matrix(source, source, s))
        + _without_diagonal(kernel_matrix(target, target, s))
        - 2 * kernel_matrix(source, target, s).mean()
    )


@dataclass(frozen=True)
class LabelledGap:
    """A gap of the rows of one label, averaged over the labels with equal weight.

    Attributes:
        value: the mean over ``rows``.
        rows: label → rows of the source and of the target.
        left_out: labels that a side has too few rows of, with their rows.
    """

    value: Tensor
    rows: Mapping[int, tuple[int, int]]
    left_out: Mapping[int, tuple[int, int]]


def gap_by_label(
    estimator: Estimator,
    source: Tensor,
    target: Tensor,
    source_labels: Tensor,
    target_labels: Tensor,
    least: int,
) -> LabelledGap | None:
    """The conditional form of a gap: of p(features | label) instead of p(features).

    Every label that both sides have enough rows of counts the same, however frequent it is on either side.

    Args:
        estimator: of the gap of the rows of one label.
        source: ``float[row, feature]``.
        target: likewise.
        source_labels: ``int64[row]``: classes, or actions.
        target_labels: likewise.
        least: rows of a label that each side must have.

    Returns:
        The average; None where the sides share no label.

    Raises:
        TransferError: there are not as many labels as rows, or the shapes do not fit.
    """
    for rows, labels, side in ((source, source_labels, "source"), (target, target_labels, "target")):
        if labels.shape != rows.shape[:1]:
            raise TransferError(
                f"the {side} has {counted(len(rows), 'row')} and labels of shape {shape_text(labels.shape)}; "
                "every row needs one label"
            )
    counts = {
        int(label): (int((source_labels == label).sum()), int((target_labels == label).sum()))
        for label in torch.unique(torch.cat([source_labels, target_labels]))
    }
    shared = {label: both for label, both in counts.items() if min(both) >= least}
    if not shared:
        return None
    gaps = [estimator(source[source_labels == label], target[target_labels == label]) for label in shared]
    left_out = {label: both for label, both in counts.items() if label not in shared}
    return LabelledGap(torch.stack(gaps).mean(), shared, left_out)


def _refuse_other_shapes(source: Tensor, target: Tensor) -> None:
    shapes = [shape_text(source.shape), shape_text(target.shape)]
    if source.ndim != 2 or target.ndim != 2 or source.shape[1] != target.shape[1] or not source.shape[1]:
        raise TransferError(
            f"a gap compares rows of the same features; the source has shape {shapes[0]}, the target "
            f"{shapes[1]}"
        )
    if min(len(source), len(target)) < LEAST:
        raise TransferError(
            f"a gap needs at least {LEAST} rows of features on each side; the source has shape {shapes[0]}, "
            f"the target {shapes[1]}"
        )


def _covariances(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """‖C_s − C_t‖², ‖C_s‖² and ‖C_t‖²; of many features in memory of rows², from products of rows."""
    one, other = (each - each.mean(dim=0) for each in (source, target))
    n, m = len(one) - 1, len(other) - 1
    if source.shape[1] <= n + m:
        mine, theirs = one.T @ one / n, other.T @ other / m
        return (mine - theirs).square().sum(), mine.square().sum(), theirs.square().sum()
    squares = (one @ one.T).square().sum() / n**2, (other @ other.T).square().sum() / m**2
    crossed = (one @ other.T).square().sum() / (n * m)
    return (squares[0] + squares[1] - 2 * crossed).clamp(min=0.0), *squares


def _squared_distances(one: Tensor, other: Tensor) -> Tensor:
    """``[row, row]``; from the middle of the rows, where products lose the fewest digits."""
    middle = torch.cat([one, other]).detach().mean(dim=0)
    a, b = one - middle, other - middle
    found = a.square().sum(dim=1)[:, None] + b.square().sum(dim=1)[None] - 2 * a @ b.T
    return found.clamp(min=0.0)


def kernel_matrix(one: Tensor, other: Tensor, scale: Tensor) -> Tensor:
    """The kernel of :func:`mmd` between the rows of two samples.

    Args:
        one: ``float[row, feature]``.
        other: likewise.
        scale: s; 0 where every row is the same.

    Returns:
        ``[row, row]``, from 0 to 1.
    """
    distances = _squared_distances(one, other)
    if scale == 0:  # every row is the same
        return torch.ones_like(distances)
    return torch.stack([torch.exp(-distances / (2 * factor * scale)) for factor in FACTORS]).mean(dim=0)


def _without_diagonal(kernel: Tensor) -> Tensor:
    count = len(kernel)
    return (kernel.sum() - kernel.diagonal().sum()) / (count * (count - 1))
