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
        rows: label → rows of both sides, of a conditional gap; empty for a marginal one.
        left_out: labels that a side has too few rows of, with their rows.
    """

    coral: float
    coral_share: float
    mmd: float
    p: float
    rows: Mapping[int, tuple[int, int]]
    left_out: Mapping[int, tuple[int, int]]


def measured_gap(source: FeatureSample, target: FeatureSample, generator: np.random.Generator) -> DomainGap:
    """The marginal gap between two samples, and whether one distribution could have given both.

    Pairs of one group are left out of the discrepancy, as a row's pair with itself is: it stays unbiased. The
    test permutes which rows belong to which side, whole groups where rows have groups:

        p = (1 + #{permuted MMD² ≥ observed MMD²}) / (1 + permutations)

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
    value, p = _permuted(source, target, None, generator)
    return DomainGap(covariances, share, value, p, {}, {})


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
    value, p = _permuted(source, target, torch.cat([source.labels, target.labels]), generator)
    if not math.isfinite(value):
        return None
    found = covariances
    return DomainGap(float(found.value), float(shares.value), value, p, found.rows, found.left_out)


def _permuted(
    source: FeatureSample, target: FeatureSample, labels: Tensor | None, generator: np.random.Generator
) -> tuple[float, float]:
    """The discrepancy, averaged over the labels if there are any, and its p-value."""
    rows = torch.cat([source.features, target.features])
    groups = _groups(source, target)
    kernel = kernel_matrix(rows, rows, kernel_scale(source.features, target.features))
    apart = (groups[:, None] != groups[None]).double()
    sides = torch.as_tensor(_sides(source, groups, labels, generator))
    total, valid = torch.zeros_like(sides[:, 0]), torch.zeros_like(sides[:, 0])
    least = LEAST if labels is None else LEAST_MEASURED
    for chosen in _blocks(len(rows), labels):
        one, pairs = sides[:, chosen], apart[chosen][:, chosen]
        value, enough = _discrepancies(one, kernel[chosen][:, chosen] * pairs, pairs, least)
        total += torch.where(enough, value, 0.0)
        valid += enough
    # A permutation that leaves no label on both sides speaks against nothing: it counts as one above.
    found = torch.where(valid > 0, total / valid, torch.inf)
    above = int((found[1:] >= found[0] - 1e-12).sum())
    return float(found[0]), (1 + above) / len(found)


def _discrepancies(one: Tensor, kernel: Tensor, pairs: Tensor, least: int) -> tuple[Tensor, Tensor]:
    """The unbiased estimate of every permutation, and where there are rows and pairs enough for one.

    Args:
        one: ``[permutation, row]``, 1 for the source's.
        kernel: ``[row, row]``, 0 for pairs that do not count.
        pairs: likewise, 1 for those that do.
        least: rows of each side.
    """
    other = 1 - one
    sums, counts = (
        [((a @ matrix) * b).sum(dim=1) for a, b in ((one, one), (other, other), (one, other))]
        for matrix in (kernel, pairs)
    )
    enough = (one.sum(dim=1) >= least) & (other.sum(dim=1) >= least) & (torch.stack(counts) > 0).all(dim=0)
    within, rest, between = (a / b for a, b in zip(sums, counts, strict=True))
    return within + rest - 2 * between, enough


def _groups(source: FeatureSample, target: FeatureSample) -> Tensor:
    """A number of every row's group, the target's after the source's; of every row where there are none."""
    if source.groups is None or target.groups is None:
        return torch.arange(len(source.features) + len(target.features))
    mine, theirs = (torch.unique(each.groups, return_inverse=True)[1] for each in (source, target))
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
    if sample.groups is not None and len(torch.unique(sample.groups)) < LEAST:
        raise TransferError(
            f"all rows of the {side} are of one group; a test that permutes groups needs {LEAST} at least"
        )
    labels = None if sample.labels is None else sample.labels.cpu()
    groups = None if sample.groups is None else sample.groups.cpu()
    return FeatureSample(features, labels, groups)
