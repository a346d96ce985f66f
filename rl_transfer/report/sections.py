"""The tables of the report page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rl_transfer.analysis import words
from rl_transfer.analysis.aggregate import SUMMED, Aggregate
from rl_transfer.analysis.arm_statistics import Interval
from rl_transfer.analysis.attribution import Summand
from rl_transfer.analysis.attribution_words import attribution, finding, longer
from rl_transfer.analysis.cells import Estimate, Metric
from rl_transfer.analysis.comparison import Comparison
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.model import Cell, Matrix, TargetInfo
from rl_transfer.analysis.seed_plan import seeds_judged
from rl_transfer.report.markup import BREAK, Html, esc, items, joined, table, tag
from rl_transfer.report.packing import packable
from rl_transfer.wording import counted, in_words


def minus(text: str) -> str:
    """Numbers with a proper minus sign; a dash inside a word stays.

    >>> minus("-0.3 [-0.5, -0.1] of a trade-off")
    '−0.3 [−0.5, −0.1] of a trade-off'

    Args:
        text: figures and words.
    """
    return text.replace("[-", "[−").replace(" -", " −") if not text.startswith("-") else minus(f" {text}")[1:]


def figure_text(value: float, *, signed: bool = False, digits: int = 3) -> str:
    """A number for the page.

    Args:
        value: any number, NaN included.
        signed: whether a plus is shown.
        digits: significant figures.
    """
    return minus(words.number(value, signed=signed, digits=digits))


def interval_text(interval: Interval, *, signed: bool = True, digits: int = 3) -> str:
    """Point and limits for the page.

    Args:
        interval: in any unit.
        signed: whether pluses are shown.
        digits: significant figures.
    """
    return minus(words.interval(interval, signed=signed, digits=digits))


def verdict_span(entry: Comparison, label: str, matrix: Matrix) -> Html:
    """A verdict with its gain, coloured.

    Args:
        entry: a judged metric of a cell.
        label: what stands before it; empty where a heading says so.
        matrix: the analysis that it belongs to.
    """
    doubt = "*" if entry.doubted else ""
    return tag(
        "span",
        tag("small", f"{label} "),
        tag("b", f"{entry.symbol} {entry.outcome}{doubt}{seeds_judged(entry)}"),
        BREAK,
        minus(words.gain(entry, matrix.labels)),
        class_=f"v {entry.verdict}",
    )


def aggregate_table(matrix: Matrix) -> Html:
    """Interquartile means over all targets, per strategy.

    Args:
        matrix: a finished analysis.

    Returns:
        A table of scores; why there is no aggregate where there is none.
    """
    rows = []
    for entry in matrix.aggregates:
        name = f"{entry.strategy}, from {entry.source}" if entry.source else entry.strategy
        if entry.reason:
            rows.append([name, "", "", entry.reason])
            continue
        final, area = (interval_text(entry.iqm[figure], signed=False) for figure in SUMMED)
        rows.append([name, final, area, _of_runs(entry)])
    return table(["strategy", *(METRICS[figure].label for figure in SUMMED), ""], rows, class_="sortable")


def _of_runs(entry: Aggregate) -> str:
    runs = f"{entry.runs} runs on {counted(len(entry.targets), 'target')}"
    return f"{runs}, {entry.mark}" if entry.mark else runs


def source_table(matrix: Matrix) -> Html:
    """Sources with the score of each seed's policy and the bar.

    Args:
        matrix: a finished analysis.

    Returns:
        A table in the measure's unit.
    """
    rows, digits = [], words.digits(matrix.labels)
    for name, info in matrix.sources.items():
        nothing = "unknown, not measured" if info.unmeasured else "none finished"
        scores = ", ".join(figure_text(score, digits=digits) for score in info.scores.values()) or nothing
        bar = "none declared" if info.bar is None else figure_text(info.bar, digits=digits)
        reach = f"{len(info.below)} below the bar" if info.below else "all reach it"
        notes = [reach] if info.bar is not None and info.scores else []
        notes += ["the bar is not checked"] if info.bar is not None and info.unmeasured else []
        notes += [f"seed {seed} {problem}" for seed, problem in info.problems.items()]
        rows.append(
            [name, f"{figure_text(info.steps, digits=1)} {matrix.unit}", scores, bar, "; ".join(notes)]
        )
    return table(["source", "trained for", "score per seed", "bar", "note"], rows, class_="sortable")


def target_table(matrix: Matrix) -> Html:
    """Targets with the constants of their scores.

    Args:
        matrix: a finished analysis.

    Returns:
        A table in the measure's unit.
    """
    rows, digits = [], words.digits(matrix.labels)
    for name, info in matrix.targets.items():
        scale = info.scale
        delta = f"{words.number(scale.raw_delta, digits=digits)} ({words.source_of_delta(scale.tolerance)})"
        rows.append(
            [
                name,
                figure_text(scale.random, digits=digits),
                f"{figure_text(scale.reference, digits=digits)} ({scale.mode})",
                _threshold(info, matrix),
                delta,
                words.final_window(info, matrix),
                "flat" if info.plateaued else "not shown to be flat",
                scale.reason,
            ]
        )
    head = [
        "target",
        f"score 0 ({matrix.labels.zero})",
        "score 1 (reference)",
        "θ",
        "δ",
        "final performance",
        "from scratch at the end",
        "note",
    ]
    return table(head, rows, class_="sortable")


def _threshold(info: TargetInfo, matrix: Matrix) -> str:
    origin = info.threshold.told(matrix.labels.threshold or "threshold")
    value = figure_text(info.threshold.value, digits=words.digits(matrix.labels))
    return origin if math.isnan(info.threshold.value) else f"{value} ({origin})"


def cell_anchor(cell: Cell, matrix: Matrix) -> str:
    """The id of a cell's details on the page; inside of them, so that following a link to it unfolds them.

    Args:
        cell: one (source, target, strategy).
        matrix: the analysis that it belongs to.
    """
    return f"cell-{matrix.numbers[cell.key]}"


def cell_details(
    cell: Cell, matrix: Matrix, attributes: Mapping[str, str] | None = None, runs: Html | None = None
) -> Html:
    """One cell in full, folded: metrics with intervals and seeds, tests, flags.

    Args:
        cell: one (source, target, strategy).
        matrix: the analysis that it belongs to.
        attributes: of the element; None: it has none.
        runs: what its runs were made of; None where nobody looked.

    Returns:
        A section that unfolds.
    """
    title = f"{cell.target}: {cell.strategy}{f' from {words.origin(cell)}' if cell.source else ''}"
    shown = [
        joined([entry.symbol, " ", METRICS[name].claim, " ", entry.outcome])
        for name, entry in cell.comparisons.items()
    ]
    note = f"{len(cell.finished)} of {len(cell.seeds)} runs, {words.at_steps(cell.budget, matrix.unit)}"
    body = [
        items((flag.message for flag in cell.flags), class_="warnings"),
        _tests(cell, matrix) if cell.comparisons else "",
        _policies(cell, matrix),
        telescope_table(cell, matrix),
        _metrics(cell, matrix),
        runs or "",
    ]
    return tag(
        "details",
        tag("summary", tag("b", title), joined(shown, "; "), " ", tag("small", f"({note})", class_="muted")),
        tag("span", id=cell_anchor(cell, matrix)),
        packable(joined(body)),
        **(attributes or {}),
    )


def _policies(cell: Cell, matrix: Matrix) -> Html:
    """Source policies that feed several runs each, and how much alike their runs are."""
    if cell.fed is None or cell.fed.policies == cell.fed.runs:
        return Html("")
    alike = [
        f"{METRICS[name].claim} {interval_text(entry.fed.correlation, signed=False)}"
        for name, entry in cell.comparisons.items()
        if entry.fed is not None and not math.isnan(entry.fed.correlation.point)
    ]
    networks = counted(cell.fed.policies, matrix.labels.network, matrix.labels.networks)
    text = f"{cell.fed.runs} runs from {networks} of {cell.source}. "
    found = (
        f"Intraclass correlation of runs of one {matrix.labels.network}: {in_words(alike)}." if alike else ""
    )
    return tag("p", text + found, class_="muted")


def _tests(cell: Cell, matrix: Matrix) -> Html:
    rows, why = [], []
    for name, entry in cell.comparisons.items():
        adjusted = "outside the family" if math.isnan(entry.adjusted_p) else words.p_value(entry.adjusted_p)
        because = "; ".join(
            text
            for text in (
                entry.reason,
                attribution(entry, matrix.labels),
                longer(entry, matrix.unit),
                words.advice(entry),
            )
            if text
        )
        if because:
            why.append(joined([tag("b", METRICS[name].claim), ": ", minus(because)]))
        rows.append(
            [
                METRICS[name].claim,
                verdict_span(entry, "", matrix),
                words.p_value(entry.p),
                adjusted,
                words.p_value(entry.equivalence_p),
                figure_text(entry.improvement),
                figure_text(entry.hedges_g, signed=True),
                interval_text(entry.raw, digits=words.digits(matrix.labels)),
                interval_text(entry.iqm_gain, digits=words.digits(matrix.labels)),
            ]
        )
    raw = f"in {matrix.measure}"
    head = ["", "verdict", "p", "adjusted p", "equivalence p", "P(better)", "Hedges' g", f"gain {raw}"]
    return joined([table([*head, f"IQM gain {raw} (bootstrap)"], rows, class_="cards"), items(why)])


def telescope_table(cell: Cell, matrix: Matrix) -> Html:
    """The gain of a cell beside each control, as the sum of what knowledge adds and what is there without it.

    Args:
        cell: one (source, target, strategy).
        matrix: the analysis that it belongs to.

    Returns:
        A table; empty where the cell has no control.
    """
    rows = []
    for name, entry in cell.comparisons.items():
        for check in entry.attribution.checks if entry.attribution else ():
            rows.append(
                [
                    METRICS[name].claim,
                    minus(words.gain(entry, matrix.labels)),
                    f"{check.control}, policy by policy" if check.paired else check.control,
                    *(
                        text
                        for part in (check.knowledge, check.rest)
                        for text in (_part(part, entry, matrix), words.p_value(part.p))
                    ),
                    check.problem or finding(entry),
                ]
            )
    if not rows:
        return Html("")
    head = ["", "gain", "control", "= strategy − control", "p", "+ control − scratch", "p", "finding"]
    return table(head, rows, class_="cards")


def _part(part: Summand, entry: Comparison, matrix: Matrix) -> str:
    if entry.shown_raw:
        return f"{interval_text(part.raw, digits=words.digits(matrix.labels))} r"
    return interval_text(part.gain)


def _metrics(cell: Cell, matrix: Matrix) -> Html:
    found = [cell.metrics[name] for name in METRICS if name in cell.metrics]
    rows = [_metric(metric, matrix) for metric in found if not math.isnan(metric.value.mean)]
    missing = [metric.info.label for metric in found if math.isnan(metric.value.mean)]
    note = f"Undefined here: {in_words(missing)}." if missing else ""
    return joined(
        [
            table(["metric", "mean [interval]", "unit", "as a score", "per seed"], rows, class_="cards"),
            tag("p", note, class_="muted") if note else "",
        ]
    )


def _metric(metric: Metric, matrix: Matrix) -> Sequence[object]:
    unit = {"measure": matrix.measure, "steps": matrix.unit, "ratio": ""}[metric.info.unit]
    info, digits = metric.info, words.digits(matrix.labels, metric.info.unit)
    return [
        tag("a", info.label, href=f"#{info.anchor}"),
        f"{metric.bound} {interval_text(metric.value.interval, signed=info.signed, digits=digits)}".strip(),
        unit,
        interval_text(metric.score.interval, signed=info.signed) if metric.score else "",
        _seeds(metric.value, digits),
    ]


def _seeds(estimate: Estimate, digits: int) -> Html:
    return esc(", ".join(figure_text(value, digits=digits) for value in estimate.per_seed.values()))
