"""How gains went while training went on."""

from __future__ import annotations

import numpy as np

from rl_transfer.analysis.arm_statistics import FloatArray
from rl_transfer.analysis.arms import Band
from rl_transfer.analysis.comparison import JUDGED, Judged
from rl_transfer.analysis.metrics import area_under_curve, final_performance
from rl_transfer.analysis.model import Cell, Matrix


def gains_so_far(cell: Cell, matrix: Matrix) -> dict[Judged, FloatArray]:
    """The judged gains as they would be had training ended at each evaluation; the last one is the verdict's.

    Both figures are linear in J, so the gain of the mean curves is the mean of the gains.

    Args:
        cell: one (source, target, strategy).
        matrix: the analysis that it belongs to.

    Returns:
        Metric → gain at each evaluation, array [n+1], in scores, or in the measure's unit without a
        reference; empty for the baseline, and where the two arms were not evaluated at the same steps.
    """
    scratch = _scratch(cell, matrix)
    band, scale = cell.band, matrix.targets[cell.target].scale
    if cell.kind == "baseline" or band is None or scratch is None:
        return {}
    if not np.array_equal(band.steps, scratch.steps):
        return {}
    unit = 1.0 if scale.is_raw else scale.span
    share = matrix.settings.final_share
    return {
        metric: (_so_far(metric, band, share) - _so_far(metric, scratch, share)) / unit for metric in JUDGED
    }


def _scratch(cell: Cell, matrix: Matrix) -> Band | None:
    """The from-scratch arm's mean curve: its source's own where sources have different networks."""
    found = {each.source: each.band for each in matrix.select(target=cell.target, kind="baseline")}
    return found.get(cell.source) or found.get(None)


def _so_far(metric: Judged, band: Band, share: float) -> FloatArray:
    ends = range(1, len(band.steps) + 1)
    if metric == "auc_gain":
        return np.array([area_under_curve(band.steps[:end], band.mean[:end]) for end in ends])
    return np.array([final_performance(band.mean[:end], share) for end in ends])
