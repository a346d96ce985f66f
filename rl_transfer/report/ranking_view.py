"""The part of the page on choosing the source: how each score ranks the sources, beside what they gained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rl_transfer.analysis import words
from rl_transfer.analysis.arm_statistics import FloatArray
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.model import Matrix
from rl_transfer.analysis.ranked_sources import ScoreRanking, SourceRanking
from rl_transfer.analysis.ranking_words import ranking_verdict, score_name
from rl_transfer.report.heatmap import GAIN_COLOURS
from rl_transfer.report.markup import Html, joined, table, tag
from rl_transfer.report.sections import figure_text, interval_text
from rl_transfer.report.style import MUTED, ON_PALE, ON_STRONG, POSITIVE, drawing, titled

MOST_WRITTEN = 12
"""With more sources or targets than this, cells of the heatmaps have colours only."""


def ranking_figure(entry: SourceRanking, matrix: Matrix) -> Figure:
    """τ of every score and control with limits; beside it realised gains and the score that ranks best.

    Args:
        entry: of one strategy and metric.
        matrix: its analysis.
    """
    rows, columns = len(entry.sources), len(entry.targets)
    width = 0.62 * columns + 0.5
    with drawing():
        figure = Figure(
            figsize=(5.2 + 2 * width + 0.09 * max(map(len, entry.sources)), max(3.4, 0.42 * rows + 1.9)),
            layout="constrained",
        )
        bars, gains, scores = figure.subplots(1, 3, width_ratios=[3.2, width, width])
        _bars(bars, [*entry.scores, *entry.controls])
        limit = float(np.nanmax(np.abs(entry.gains))) or 1.0
        _heatmap(gains, entry.gains, entry, -limit, limit, f"realised gain in {matrix.measure}")
        gains.set_yticks(range(rows), entry.sources, fontsize=8)
        best = entry.scores[0] if entry.scores else None
        if best is None:
            scores.set_axis_off()
        else:
            values = best.score.values
            low, high = (float(each) for each in (np.nanmin(values), np.nanmax(values)))
            _heatmap(scores, values, entry, low, high, score_name(best.name), colours="cividis")
            scores.set_yticks([])
        titled(figure, f"{entry.strategy}, {METRICS[entry.metric].claim}: which source, told before training")
    return figure


def _bars(axes: Axes, entries: Sequence[ScoreRanking]) -> None:
    for place, each in enumerate(entries):
        tau, control = each.ranking.tau, math.isnan(each.adjusted_p)
        if math.isfinite(tau.point):
            axes.barh(place, tau.point, height=0.6, color=MUTED if control else POSITIVE, alpha=0.75)
        if tau.defined:
            axes.plot([tau.low, tau.high], [place, place], color="black", linewidth=1.2)
    names = [
        score_name(each.name) + (" (control)" if math.isnan(each.adjusted_p) else "") for each in entries
    ]
    axes.set_yticks(range(len(entries)), names, fontsize=8.5)
    axes.set_ylim(len(entries) - 0.5, -0.5)
    axes.set_xlim(-1.02, 1.02)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("Kendall's τ, mean over targets")


def _heatmap(
    axes: Axes,
    values: FloatArray,
    entry: SourceRanking,
    low: float,
    high: float,
    title: str,
    colours: str | None = None,
) -> None:
    shown = np.ma.masked_invalid(values)
    axes.imshow(shown, cmap=colours or GAIN_COLOURS, vmin=low, vmax=high, aspect="auto")
    axes.set_title(title, fontsize=9.5)
    axes.set_xticks(range(len(entry.targets)), entry.targets, rotation=90, fontsize=7.5)
    axes.grid(False)
    if max(values.shape) > MOST_WRITTEN:
        return
    for (i, j), value in np.ndenumerate(values):
        if math.isfinite(value):
            text = words.number(float(value), signed=colours is None, digits=2).replace("-", "−")
            share = (value - low) / ((high - low) or 1.0)
            dark = share < 0.5 if colours else abs(share - 0.5) > 0.36
            axes.text(
                j, i, text, ha="center", va="center", fontsize=6.5, color=ON_STRONG if dark else ON_PALE
            )


def ranking_section(matrix: Matrix, figure: Callable[[SourceRanking, str], Html]) -> Html:
    """*Choosing the source* of the report page; nothing for a sweep of one source.

    Args:
        matrix: a finished analysis.
        figure: ranking and caption → its figure as HTML.

    Returns:
        A heading, and per strategy and metric a sentence, a figure and a table.
    """
    if not matrix.rankings:
        return Html("")
    text = (
        "How each score, known before anything is trained on the target, would have ranked the sources: "
        "Kendall's τ with the realised gains (1: the same order, 0: none), and what is lost by taking the "
        "source of the highest score. Limits: sources and targets drawn again. p: scores permuted over "
        "sources, corrected after Benjamini and Hochberg. Controls: a ranking at random; always the source "
        "that gained most on the other targets; a Gaussian process over contexts, of gains on the other "
        "targets; and the gains of other seeds, which no score can be expected "
        "to beat by much."
    )
    parts = [tag("h2", "Choosing the source"), tag("p", text)]
    for entry in matrix.rankings:
        claim = METRICS[entry.metric].claim
        caption = (
            f"{entry.strategy}, {claim}: τ of every score; realised gains beside the score of greatest τ."
        )
        parts += [
            tag("h3", f"{entry.strategy}, {claim}"),
            tag("p", ranking_verdict(entry, matrix)),
            figure(entry, caption),
            _table(entry),
        ]
    return joined(parts)


def _table(entry: SourceRanking) -> Html:
    rows = []
    for each in [*entry.scores, *entry.controls]:
        found, control = each.ranking, math.isnan(each.adjusted_p)
        total = len(entry.sources) * len(entry.targets)
        missing = [] if found.pairs == total else [f"{found.pairs} of {total} pairs"]
        dropped = [f"{found.degenerate} draws without a ranking"] if found.degenerate else []
        rows.append(
            [
                score_name(each.name) + (" (control)" if control else ""),
                interval_text(found.tau),
                interval_text(found.regret, signed=False),
                interval_text(found.regret_share, signed=False, digits=2),
                "" if control else words.p_value(each.adjusted_p),
                "; ".join(missing + dropped),
            ]
        )
    if entry.other_seeds is not None:
        other = entry.other_seeds
        tau, share = figure_text(other.tau, signed=True), figure_text(other.regret_share, digits=2)
        rows.append(["gains of other seeds (control)", tau, "", share, "", f"over {other.seeds} seeds"])
    return table(["score", "τ", "regret", "as a share of the range", "p", ""], rows)
