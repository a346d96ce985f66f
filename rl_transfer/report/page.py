"""The report page: one self-contained HTML file, offline, printable, readable without its script."""

from __future__ import annotations

from collections.abc import Mapping

from rl_transfer.analysis import words
from rl_transfer.analysis.metric_table import METRICS, MetricInfo
from rl_transfer.analysis.model import Matrix
from rl_transfer.analysis.seed_plan import plan_notes
from rl_transfer.analysis.tuning_words import tuning_notes
from rl_transfer.report import inside, sections
from rl_transfer.report.beside import Beside
from rl_transfer.report.cell_curves import curve_data
from rl_transfer.report.document import document
from rl_transfer.report.figures import (
    curve_name,
    dose_name,
    gaps_name,
    inside_name,
    ranking_name,
    sensitivity_name,
)
from rl_transfer.report.findings_view import findings_list, reading_guide
from rl_transfer.report.gaps_view import gaps_section
from rl_transfer.report.markup import Html, esc, items, joined, tag
from rl_transfer.report.packing import listed, packable
from rl_transfer.report.ranking_view import ranking_section
from rl_transfer.report.selection_view import selection_section
from rl_transfer.report.style import themed
from rl_transfer.report.tiles import crowded
from rl_transfer.report.tuning_section import tuning_section
from rl_transfer.report.verdict_view import facets, filtered, small_spans, verdict_table
from rl_transfer.wording import counted, in_words


def page(matrix: Matrix, drawings: Mapping[str, str], beside: Beside) -> str:
    """The whole page; everything that comes from configs and records is escaped.

    Args:
        matrix: the analysis.
        drawings: file stem → ``<svg>`` element, for every name of
            :func:`rl_transfer.report.figures.all_figures`.
        beside: what was read from other files.

    Returns:
        One HTML document.
    """
    return document(page_title(matrix.name), top(matrix), body(matrix, drawings, beside))


def page_title(name: str) -> str:
    """What the browser's window is called.

    Args:
        name: the sweep's.
    """
    return f"{name}: transfer report"


def body(matrix: Matrix, drawings: Mapping[str, str], beside: Beside, *, running: bool = False) -> Html:
    """Every section of the page.

    Args:
        matrix: the analysis.
        drawings: as :func:`page` takes them.
        beside: what was read from other files.
        running: whether the sweep goes on.
    """
    return joined(
        [
            _opening(matrix, running),
            beside.failures,
            beside.tasks,
            _results(matrix, drawings),
            beside.predictions,
            _background(matrix, beside),
            beside.provenance,
            _method(matrix),
        ]
    )


def top(matrix: Matrix) -> Html:
    """The page's heading, and how large the sweep is.

    Args:
        matrix: the analysis.
    """
    counts = matrix.counts
    facts = (
        f"{counted(len(matrix.sources), 'source')}, {counted(len(matrix.targets), 'target')}, "
        f"{counted(len(matrix.strategies), 'strategy', 'strategies')}; {counts['finished']} of "
        f"{counts['planned']} runs finished"
    )
    return joined(
        [
            tag("h1", matrix.name),
            tag("p", matrix.summary) if matrix.summary else "",
            tag("p", f"Transfer against {matrix.baseline}: {facts}.", class_="muted"),
        ]
    )


def _opening(matrix: Matrix, running: bool) -> Html:
    notes = [*tuning_notes(matrix), *plan_notes(matrix), *words.notes(matrix, running=running)]
    return joined(
        [
            findings_list(matrix),
            items((note.removeprefix("! ") for note in notes), class_="warnings"),
            reading_guide(matrix),
        ]
    )


def _results(matrix: Matrix, drawings: Mapping[str, str]) -> Html:
    curves = [_figure(drawings, curve_name(name), f"Learning curves on {name}.") for name in matrix.targets]
    wide = " wide" if len(matrix.sources) > 1 else ""
    large = crowded(matrix)
    parts = [
        tag("h2", "Verdicts"),
        verdict_table(matrix),
        tag(
            "p",
            f"Gains in {words.scale_of_gains(matrix)} with intervals. * A control puts it in doubt.",
            class_="muted",
        ),
        items(small_spans(matrix), class_="muted"),
        _figure(
            drawings,
            "heatmap",
            "The transfer matrix: gain and verdict of every cell. Tiles say their numbers and lead to cells."
            if large
            else "The transfer matrix: gain, interval and verdict of every cell.",
        ),
        tag("h2", "Learning curves"),
        tag("div", joined(curves), class_=f"grid{wide}"),
        _dose_responses(matrix, drawings),
        tag("h2", "Jump-start"),
        _figure(
            drawings,
            "jump-start",
            f"Means over that of {matrix.baseline}. Tiles say their intervals and lead to cells."
            if large
            else f"Means with intervals; open circles are seeds, the dashed line is {matrix.labels.zero}.",
        ),
        tag("h2", "Over the whole matrix"),
        tag(
            "p",
            f"Interquartile mean of normalised scores over runs and targets, {words.at_budgets(matrix)}, "
            "with bootstrap intervals that know the unit to be an estimate.",
        ),
        sections.aggregate_table(matrix),
    ]
    if "profiles" in drawings:
        parts.append(_figure(drawings, "profiles", "Share of runs whose final score is above τ."))
    parts.append(selection_section(matrix))
    parts.append(
        ranking_section(matrix, lambda entry, caption: _figure(drawings, ranking_name(entry), caption))
    )
    parts.append(
        inside.section(matrix, lambda target, caption: _figure(drawings, inside_name(target), caption))
    )
    parts.append(gaps_section(matrix, lambda target, caption: _figure(drawings, gaps_name(target), caption)))
    parts.append(
        tuning_section(matrix, lambda target, caption: _figure(drawings, sensitivity_name(target), caption))
    )
    return joined(parts)


def _dose_responses(matrix: Matrix, drawings: Mapping[str, str]) -> Html:
    if not matrix.severity_axes:
        return Html("")
    shown = [
        _figure(
            drawings,
            dose_name(axis),
            f"Gains on {axis} over its severity, with intervals; the grey band is ±δ, open marks lack runs.",
        )
        for axis in matrix.severity_axes
    ]
    return joined([tag("h2", "Dose and response"), *shown])


def _background(matrix: Matrix, beside: Beside) -> Html:
    return joined(
        [
            tag("h2", "Sources"),
            sections.source_table(matrix),
            tag("h2", "Targets"),
            sections.target_table(matrix),
            tag("h2", "Every cell"),
            _cells(matrix, beside),
            curve_data(matrix),
        ]
    )


def _cells(matrix: Matrix, beside: Beside) -> Html:
    return filtered(
        listed(
            sections.cell_details(cell, matrix, facets(cell), beside.of_cell.get(cell.key, Html("")))
            for cell in matrix.cells
        )
    )


def _method(matrix: Matrix) -> Html:
    settings = matrix.settings
    least = (
        ""
        if matrix.smallest_seeds is None
        else f"; a lone effect needs {matrix.smallest_seeds} seeds per arm"
    )
    facts = [
        ("reference", settings.reference),
        ("δ", f"{settings.delta:g} of the score"),
        ("q", f"{settings.q:g}, {matrix.family} cells per family{least}"),
        ("confidence", f"{settings.confidence:.0%}"),
        ("bootstrap", f"{settings.bootstrap:,} resamples"),
        *_engines(matrix),
    ]
    used = {name for cell in matrix.cells for name in cell.metrics}
    shown = [info for info in METRICS.values() if info.everywhere or info.name in used]
    definitions = joined(_definition(info, matrix) for info in shown)
    return joined(
        [
            tag("h2", "Definitions"),
            tag(
                "p",
                f"J is the {matrix.measure} over the {matrix.labels.samples}; budgets and times count "
                f"{matrix.unit}.",
            ),
            tag("dl", definitions),
            tag("h2", "Settings of the analysis"),
            tag("dl", joined(joined([tag("dt", name), tag("dd", value)]) for name, value in facts)),
        ]
    )


def _engines(matrix: Matrix) -> list[tuple[str, str]]:
    """What trained on which targets, and why; nothing for kinds that have one engine."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, info in matrix.targets.items():
        if info.engine is not None:
            found.setdefault((info.engine["name"], info.engine["reason"] or ""), []).append(name)
    said = [
        f"{engine} on {in_words(names)}" + (f" ({reason})" if reason else "")
        for (engine, reason), names in found.items()
    ]
    return [("engine", "; ".join(said))] if said else []


def _definition(info: MetricInfo, matrix: Matrix) -> Html:
    note = "" if info.higher_is_better else " Lower is better."
    text = info.defined(matrix.labels, matrix.settings)
    return joined([tag("dt", info.label, id=info.anchor), tag("dd", f"{text}{note}")])


def _figure(drawings: Mapping[str, str], name: str, caption: str) -> Html:
    role = "group" if "<a " in drawings[name] else "img"
    opening = f'<svg role="{role}" aria-label="{esc(caption)}"'
    drawing = Html(themed(drawings[name]).replace("<svg", opening, 1))
    return tag(
        "figure", tag("div", packable(drawing), class_="figure", tabindex="0"), tag("figcaption", caption)
    )
