"""Gaps between two samples of features as they are recorded: in float64, with a permutation test."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rl_transfer.core._text import shape_text
from rl_transfer.core.gaps import LEAST, coral, coral_share, gap_by_label, kernel_matrix, kernel_scale
from rl_transfer.errors import TransferError
from rl_transfer.wording import counted

LEAST_MEASURED = 5
"""Rows of a label on each side below which the label is left out."""
PERMUTATIONS = 499
"""Of a test; its smallest p-value is 1/500."""

LARGEST_FEATURE = 1e70
"""The distance of covariances is in the fourth power of the features, and doubles end at 1e308."""
ROUNDING = 1e-12
"""A permuted gap that is smaller by less counts as one above; both gaps are without a unit."""


@dataclass(frozen=True)
class FeatureSample:
    """Features of one side, and what goes with their rows.

    Attributes:
        features: ``float[row, feature]``.
        labels: ``int64[row]``: classes, or actions; None: there are none.
        groups: ``int64[row]``: rows of one group depend on each other (steps of one environment); None: all
            rows are independent.
    """

    features: Tensor
    labels: Tensor | None = None
    groups: Tensor | None = None


@dataclass(frozen=True)
class DomainGap:
    """A gap between two samples.

    Attributes:
        coral: :func:`coral`.
        coral_share: :func:`coral_share`.
        mmd: :func:`mmd`.
        p: of the permutation test on the discrepancy.
        coral_p: of the same permutations, on ``coral``.
        rows: label → rows of both sides, of a conditional gap; empty for a marginal one.
        left_out: labels that a side has too few rows of, with their rows.
    """

    coral: float
    coral_share: float
    mmd: float
    p: float
    coral_p: float
    rows: Mapping[int, tuple[int, int]]
    left_out: Mapping[int, tuple[int, int]]


def measured_gap(source: FeatureSample, target: FeatureSample, generator: np.random.Generator) -> DomainGap:
    """The marginal gap between two samples, and whether one distribution could have given both.

    Pairs of one group are left out of the discrepancy, as a row's pair with itself is: it stays unbiased. The
    test permutes which rows belong to which side, whole groups where rows have groups:

        p = (1 + #{permuted gap ≥ observed gap}) / (1 + permutations)

    which keeps its level at any number of rows or groups (Phipson & Smyth 2010).

    Args:
        source: at least two rows (two groups).
        target: likewise.
        generator: of the permutations.

    Returns:
        Everything in float64.

    Raises:
        TransferError: too few rows or groups, other features, or a value that is no number.
    """
    source, target = _checked(source, "source"), _checked(target, "target")
    rows = (source.features, target.features)
    covariances, share = float(coral(*rows)), float(coral_share(*rows))
    found = _permuted(source, target, None, generator)
    return DomainGap(covariances, share, found.mmd, found.p, found.coral_p, {}, {})


def measured_gap_by_label(
    source: FeatureSample, target: FeatureSample, generator: np.random.Generator
) -> DomainGap | None:
    """The conditional gap between two samples; see :func:`gap_by_label` and :func:`measured_gap`.

    The kernel's width is that of all rows. Without groups the test permutes rows within their label: it is
    one of p(features | label). With groups it permutes whole groups, labels and all: it then tests whether
    both sides are one process, by the conditional statistic.

    Args:
        source: with labels.
        target: likewise.
        generator: of the permutations.

    Returns:
        Everything in float64; None where no label has :data:`LEAST_MEASURED` rows on both sides.

    Raises:
        TransferError: a side has no labels; otherwise as :func:`measured_gap` says.
    """
    source, target = _checked(source, "source"), _checked(target, "target")
    if source.labels is None or target.labels is None:
        raise TransferError("a conditional gap needs labels (classes, or actions) of both sides")
    rows = (source.features, target.features, source.labels, target.labels, LEAST_MEASURED)
    covariances, shares = gap_by_label(coral, *rows), gap_by_label(coral_share, *rows)
    if covariances is None or shares is None:
        return None
    found = _permuted(source, target, torch.cat([source.labels, target.labels]), generator)
    if not math.isfinite(found.mmd):
        return None
    figures = (float(covariances.value), float(shares.value), found.mmd, found.p, found.coral_p)
    return DomainGap(*figures, covariances.rows, covariances.left_out)


@dataclass(frozen=True)
class _Tested:
    mmd: float
    p: float
    coral_p: float


def _permuted(
    source: FeatureSample, target: FeatureSample, labels: Tensor | None, generator: np.random.Generator
) -> _Tested:
    """The discrepancy, averaged over the labels if there are any, and the p-values of both gaps."""
    rows = torch.cat([source.features, target.features])
    groups = _groups(source, target)
    kernel = kernel_matrix(rows, rows, kernel_scale(source.features, target.features))
    apart = (groups[:, None] != groups[None]).double()
    sides = torch.as_tensor(_sides(source, groups, labels, generator))
    least = LEAST if labels is None else LEAST_MEASURED
    sums, counts = (torch.zeros(2, len(sides), dtype=torch.float64) for _ in range(2))
    whole = _in_one_unit(rows)
    for chosen in _blocks(len(rows), labels):
        one, pairs = sides[:, chosen], apart[chosen][:, chosen]
        enough = (one.sum(dim=1) >= least) & ((1 - one).sum(dim=1) >= least)
        value, valid = _discrepancies(one, kernel[chosen][:, chosen] * pairs, pairs)
        for place, (found, counted_in) in enumerate(
            ((value, enough & valid), (_covariance_distances(one, whole[chosen]), enough))
        ):
            sums[place] += torch.where(counted_in, found, 0.0)
            counts[place] += counted_in
    # A permutation that leaves no label on both sides speaks against nothing: it counts as one above.
    gaps = torch.where(counts > 0, sums / counts, torch.inf)
    p, coral_p = ((1 + int((each[1:] >= each[0] - ROUNDING).sum())) / len(each) for each in gaps)
    return _Tested(float(gaps[0, 0]), p, coral_p)


def _discrepancies(one: Tensor, kernel: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """The unbiased estimate of every permutation, and where there are pairs enough for one.

    Args:
        one: ``[permutation, row]``, 1 for the source's.
        kernel: ``[row, row]``, 0 for pairs that do not count.
        pairs: likewise, 1 for those that do.
    """
    sums, counts = (_within_and_between(one, matrix) for matrix in (kernel, pairs))
    within, rest, between = (a / b for a, b in zip(sums, counts, strict=True))
    return within + rest - 2 * between, torch.stack(counts).amin(dim=0) > 0.5


def _within_and_between(one: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over a symmetric matrix: pairs of the source's rows, of the target's, and of one of each."""
    reached = one @ matrix
    within = (reached * one).sum(dim=1)
    between = reached.sum(dim=1) - within
    return within, matrix.sum() - within - 2 * between, between


def _in_one_unit(rows: Tensor) -> Tensor:
    """All rows over one length, so that distances have no unit and labels keep their sizes to each other."""
    centred = rows - rows.mean(dim=0)
    length = centred.square().sum(dim=1).mean().sqrt()
    return centred / length if length > 0 else centred


def _covariance_distances(one: Tensor, rows: Tensor) -> Tensor:
    """‖C_s − C_t‖²_F of every permutation, from the rows' products with each other.

    With a the rows of a side and G the products of centred rows, its scatter about the centre and its mean
    give every inner product of two covariances: Σ a_i b_j G_ij², Σ a_i (G b)_i², (aᵀ G b)².

    Args:
        one: ``[permutation, row]``, 1 for the source's.
        rows: ``[row, feature]``.
    """
    centred = rows - rows.mean(dim=0)
    products = centred @ centred.T
    sides = (one, 1 - one)
    counts = [each.sum(dim=1).clamp(min=LEAST) for each in sides]
    means = [each @ products / count[:, None] for each, count in zip(sides, counts, strict=True)]
    scatters = _within_and_between(one, products.square())
    terms = []
    for (a, b), scatter in zip(((0, 0), (1, 1), (0, 1)), scatters, strict=True):
        crossed = (sides[a] * means[b].square()).sum(dim=1) * counts[b]
        turned = (sides[b] * means[a].square()).sum(dim=1) * counts[a]
        middle = (sides[a] * means[b]).sum(dim=1) / counts[a]
        both = scatter - crossed - turned + counts[a] * counts[b] * middle.square()
        terms.append(both / ((counts[a] - 1) * (counts[b] - 1)))
    return (terms[0] + terms[1] - 2 * terms[2]).clamp(min=0.0)


def _groups(source: FeatureSample, target: FeatureSample) -> Tensor:
    """A number of every row's group, the target's after the source's; of every row where there are none."""
    if source.groups is None and target.groups is None:
        return torch.arange(len(source.features) + len(target.features))
    if source.groups is None or target.groups is None:
        raise TransferError(
            "rows of one side have groups and those of the other have none; give both or none"
        )
    mine, theirs = (torch.unique(each, return_inverse=True)[1] for each in (source.groups, target.groups))
    return torch.cat([mine, theirs + mine.max() + 1])


def _blocks(count: int, labels: Tensor | None) -> list[Tensor]:
    """The rows of every label; all rows in one where there are none."""
    if labels is None:
        return [torch.arange(count)]
    return [torch.nonzero(labels == each)[:, 0] for each in torch.unique(labels)]


def _sides(
    source: FeatureSample, groups: Tensor, labels: Tensor | None, generator: np.random.Generator
) -> NDArray[np.float64]:
    """``[permutation, row]``, 1 where a row counts as the source's; as observed first."""
    of_row, mine = groups.numpy(), len(source.features)
    unit_sides = np.zeros(int(of_row.max()) + 1)
    unit_sides[of_row[:mine]] = 1.0
    found = np.tile(unit_sides[of_row], (PERMUTATIONS + 1, 1))
    grouped = len(unit_sides) < len(of_row)
    blocks = [each.numpy() for each in _blocks(len(of_row), labels)]
    for row in found[1:]:
        if grouped:
            row[:] = generator.permutation(unit_sides)[of_row]
            continue
        for block in blocks:
            row[block] = generator.permutation(row[block])
    return found


def _checked(sample: FeatureSample, side: str) -> FeatureSample:
    features = sample.features.detach().double().cpu()
    if features.ndim != 2 or len(features) < LEAST:
        raise TransferError(
            f"a gap needs at least {LEAST} rows of features on each side; the {side} has shape "
            f"{shape_text(features.shape)}"
        )
    if not bool(torch.isfinite(features).all()):
        count = int((~torch.isfinite(features)).any(dim=1).sum())
        raise TransferError(
            f"{counted(count, 'row')} of the {side}'s {len(features)} hold a value that is no number (NaN or "
            "infinite): a gap to them is undefined"
        )
    if bool((features.abs() > LARGEST_FEATURE).any()):
        raise TransferError(
            f"a feature of the {side} is {float(features.abs().max()):.1g}, and gaps can be measured up to "
            f"{LARGEST_FEATURE:.0g}: the network gives numbers that mean nothing"
        )
    if sample.groups is not None and sample.groups.shape != features.shape[:1]:
        raise TransferError(
            f"the {side} has {counted(len(features), 'row')} and groups of shape "
            f"{shape_text(sample.groups.shape)}; every row needs one group"
        )
    if sample.groups is not None and len(torch.unique(sample.groups)) < LEAST:
        raise TransferError(
            f"all rows of the {side} are of one group; a test that permutes groups needs {LEAST} at least"
        )
    labels = None if sample.labels is None else sample.labels.cpu()
    groups = None if sample.groups is None else sample.groups.cpu()
    return FeatureSample(features, labels, groups)
