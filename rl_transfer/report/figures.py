"""All figures of a report, by file name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from matplotlib.figure import Figure

from rl_transfer.analysis.model import Matrix
from rl_transfer.analysis.ranked_sources import SourceRanking
from rl_transfer.report.curves import jump_start, learning_curves, profiles
from rl_transfer.report.dose_response import dose_response
from rl_transfer.report.gaps_view import gaps_figure, parted
from rl_transfer.report.heatmap import heatmap
from rl_transfer.report.inside import inside_figure, shown
from rl_transfer.report.ranking_view import ranking_figure
from rl_transfer.report.sensitivity import sensitivity
from rl_transfer.report.tiles import crowded, jump_start_tiles, tile_map

HEATMAP = "heatmap"
"""File stem of the transfer matrix."""


def all_figures(matrix: Matrix) -> Iterator[tuple[str, Figure]]:
    """File stem and figure: ``heatmap``, ``curves-<target>`` per target, ``dose-response-<axis>`` per axis of
    severity, ``jump-start``, ``profiles``, ``inside-<target>`` per target whose records say something of it,
    ``gaps-<target>`` likewise,
    ``sensitivity-<target>`` where arms were tuned, ``ranking-<strategy>-<metric>`` where there are several
    sources.

    The profiles are left out while no strategy has all its runs.

    Args:
        matrix: a finished analysis.

    Yields:
        One figure at a time, which nobody has drawn yet: those of many targets take much memory.
    """
    large = crowded(matrix)
    yield HEATMAP, (tile_map if large else heatmap)(matrix)
    for target in matrix.targets:
        yield curve_name(target), learning_curves(matrix, target)
    for axis in matrix.severity_axes:
        yield dose_name(axis), dose_response(matrix, axis)
    yield "jump-start", (jump_start_tiles if large else jump_start)(matrix)
    profile = profiles(matrix)
    if profile is not None:
        yield "profiles", profile
    for target in matrix.targets:
        if shown(matrix, target):
            yield inside_name(target), inside_figure(matrix, target)
    for target in matrix.targets:
        if parted(matrix, target):
            yield gaps_name(target), gaps_figure(matrix, target)
    if matrix.tuning is not None:
        for target in matrix.targets:
            yield sensitivity_name(target), sensitivity(matrix, matrix.tuning, target)
    for entry in matrix.rankings:
        yield ranking_name(entry), ranking_figure(entry, matrix)


def ranking_name(entry: SourceRanking) -> str:
    """File stem of how scores rank the sources of a strategy on a metric.

    Args:
        entry: the ranking.
    """
    return f"ranking-{safe_name(entry.strategy)}-{entry.metric}"


def sensitivity_name(target: str) -> str:
    """File stem of a target's arms over the tuning grid.

    Args:
        target: a target's name.
    """
    return f"sensitivity-{safe_name(target)}"


def curve_name(target: str) -> str:
    """File stem of a target's learning curves.

    Args:
        target: a target's name.
    """
    return f"curves-{safe_name(target)}"


def dose_name(axis: str) -> str:
    """File stem of the gains over an axis of severity.

    Args:
        axis: its name.
    """
    return f"dose-response-{safe_name(axis)}"


def inside_name(target: str) -> str:
    """File stem of what happened inside the networks on a target.

    Args:
        target: a target's name.
    """
    return f"inside-{safe_name(target)}"


def gaps_name(target: str) -> str:
    """File stem of where source and target part.

    Args:
        target: a target's name.
    """
    return f"gaps-{safe_name(target)}"


def safe_name(name: str) -> str:
    """``name`` as a file name: letters, digits, dot, dash and underscore only.

    >>> safe_name("my target/№ 1")
    'my-target-1'

    Args:
        name: what people wrote.

    Returns:
        A name that every file system takes; ``unnamed`` where nothing is left.
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "unnamed"
