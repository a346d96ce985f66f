"""The analysis in words: formatted numbers, and one plain sentence per strategy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rl_transfer.analysis import metrics
from rl_transfer.analysis.arm_statistics import Interval
from rl_transfer.analysis.comparison import Comparison
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.model import Cell, Matrix, TargetInfo
from rl_transfer.analysis.overview import missing_runs
from rl_transfer.analysis.tolerance import Tolerance
from rl_transfer.analysis.verdict import Verdict
from rl_transfer.results import Labels
from rl_transfer.wording import amount, counted, in_words, listing

EFFECTS = (
    "helps",
    "hurts",
    "both helps and hurts",
    "makes no relevant difference",
    "is undecided",
    "has failed",
    "is unfinished",
    "cannot be judged",
    "does not leave chance",
)
"""What the verdicts of a cell can add up to, in the order in which they are told."""
_OBSTACLES = {
    "failed": "has failed",
    "unfinished": "is unfinished",
    "incomparable": "cannot be judged",
    "chance": "does not leave chance",
}


def number(value: float, *, signed: bool = False, digits: int = 3) -> str:
    """``value`` with about ``digits`` significant figures and thousands separators.

    >>> number(6144.0), number(0.3104, signed=True), number(float("nan"))
    ('6,144', '+0.31', '–')

    Args:
        value: any number, NaN included.
        signed: whether a plus is shown.
        digits: significant figures; one less stand behind the point at most.

    Returns:
        The text; a dash for what is undefined.
    """
    if not math.isfinite(value):
        return "–"
    decimals = max(0, digits - 1 - math.floor(math.log10(max(abs(value), 1.0))))
    rounded = round(value, decimals) + 0.0  # + 0.0: no negative zero
    return f"{rounded:{'+' if signed else ''},.{decimals}f}"


def interval(estimate: Interval, *, signed: bool = True, digits: int = 3) -> str:
    """Point and limits as people read them.

    >>> interval(Interval(0.31, 0.12, 0.5))
    '+0.31 [+0.12, +0.50]'

    Args:
        estimate: in any unit.
        signed: whether pluses are shown.
        digits: as for :func:`number`.

    Returns:
        The text; the point alone if there are no limits, and in words where there is one.
    """
    point, low, high = (
        number(value, signed=signed, digits=digits) for value in (estimate.point, estimate.low, estimate.high)
    )
    if estimate.defined:
        return f"{point} [{low}, {high}]"
    if not estimate.limited:
        return point
    return f"{point} (at least {low})" if math.isfinite(estimate.low) else f"{point} (at most {high})"


def p_value(p: float) -> str:
    """A p-value as people read it; none is ever shown as 0.

    >>> p_value(0.03456), p_value(2e-5), p_value(float("nan"))
    ('0.0346', '< .001', '–')

    Args:
        p: in [0, 1]; NaN where there is none.

    Returns:
        Three significant figures; ``< .001`` below that; a dash for none.
    """
    if math.isnan(p):
        return "–"
    return "< .001" if p < 0.001 else f"{p:.3g}"


def gain(entry: Comparison, labels: Labels) -> str:
    """The gain of a comparison: a score with its interval, or raw where there is no score to give.

    Args:
        entry: the comparison of one cell on one metric.
        labels: of the sweep.

    Returns:
        Point and limits; ``r`` marks what is in the measure's unit. A score whose interval would be
        unbounded is left out.
    """
    return f"{interval(entry.raw, digits=digits(labels))} r" if entry.shown_raw else interval(entry.gain)


def source_of_delta(tolerance: Tolerance) -> str:
    """Where a target's δ comes from.

    Args:
        tolerance: of the target.
    """
    return {
        "declared": "declared",
        "number": "a share of the way to the given reference",
        "threshold": "a share of the way to the threshold",
        "scratch": f"{tolerance.share:g} of what training from scratch gains",
        "nothing": "none can be declared as a share",
    }[tolerance.basis]


def digits(labels: Labels, unit: str = "measure") -> int:
    """``digits`` of :func:`number` for values in ``unit``: what its kind of run asks for its measure, else 3.

    Args:
        labels: of the sweep.
        unit: what the value is in: the measure, a score, steps or a ratio.
    """
    return labels.digits if unit == "measure" else 3


def at_steps(budget: float, unit: str) -> str:
    """``at 6,144 environment steps``: every claim names the budget it was measured at.

    Args:
        budget: the last evaluation's step; NaN before any run is finished.
        unit: what a step is, in the plural.
    """
    return f"at {amount(budget, unit)}" if math.isfinite(budget) else f"before any {unit} were measured"


def final_window(info: TargetInfo, matrix: Matrix) -> str:
    """``last 3 of 13 evaluations, 23 %``: what the final performance on a target is the mean of.

    Args:
        info: of the target.
        matrix: the analysis that it belongs to.

    Returns:
        The phrase; empty before any run is finished.
    """
    if not info.evaluations:
        return ""
    count = metrics.final_window(info.evaluations, matrix.settings.final_share)
    return f"last {count} of {counted(info.evaluations, 'evaluation')}, {count / info.evaluations:.0%}"


def at_budgets(matrix: Matrix) -> str:
    """``at 6,144 environment steps`` where all targets share a budget, else ``at 2,048 and 6,144 …``.

    Args:
        matrix: a finished analysis.

    Returns:
        The phrase, with every budget that its targets have.
    """
    found = sorted({info.budget for info in matrix.targets.values() if math.isfinite(info.budget)})
    if not found:
        return f"before any {matrix.unit} were measured"
    if len(found) == 1:
        return at_steps(found[0], matrix.unit)
    return f"at {in_words([f'{budget:,.0f}' for budget in found])} {matrix.unit}"


def headlines(matrix: Matrix) -> list[str]:
    """One sentence per transfer strategy, source and budget: where it helps, hurts, or is undecided.

    Args:
        matrix: a finished analysis.

    Returns:
        Sentences in the order of strategies, sources and budgets.
    """
    groups: dict[tuple[str, str | None, float, str], list[Cell]] = {}
    for cell in matrix.select(kind="transfer"):
        budget = matrix.targets[cell.target].budget
        place = cell.strategy, cell.source, budget if math.isfinite(budget) else 0.0, origin(cell)
        groups.setdefault(place, []).append(cell)
    strategies, sources = [*matrix.strategies], [None, *matrix.sources]
    order = sorted(groups, key=lambda key: (strategies.index(key[0]), sources.index(key[1]), key[2]))
    return [_sentence(key, groups[key], matrix.unit) for key in order]


def origin(cell: Cell) -> str:
    """``cartpole``, or ``this checkpoint of cartpole`` where a cell says nothing of other policies.

    Args:
        cell: one (source, target, strategy).

    Returns:
        What follows ``from``; empty for a cell without a source.
    """
    fed = cell.fed
    return f"{fed.mark} of {cell.source}" if fed is not None and fed.mark else cell.source or ""


def _sentence(key: tuple[str, str | None, float, str], cells: Sequence[Cell], unit: str) -> str:
    strategy, _, budget, source = key
    found: dict[str, dict[str, list[str]]] = {}
    for cell in cells:
        effect, detail = effect_of(cell)
        found.setdefault(effect, {}).setdefault(detail, []).append(cell.target)
    phrases = []
    for effect in EFFECTS:
        places = [f"on {in_words(names)}{detail}" for detail, names in found.get(effect, {}).items()]
        if places:
            phrases.append(f"{effect} {in_words(places)}")
    place = at_steps(budget or math.nan, unit)
    origin = f" from {source}" if source else ""
    return f"{place[0].upper()}{place[1:]}, {strategy}{origin} {'; '.join(phrases)}."


def effect_of(cell: Cell) -> tuple[str, str]:
    """What a cell's verdicts add up to, and for which of the judged metrics; or what is in their way.

    Args:
        cell: one (source, target, strategy) with comparisons.

    Returns:
        One of :data:`EFFECTS`, and what is said of it in parentheses, with a blank before; or nothing.
    """
    by_verdict: dict[Verdict, list[Comparison]] = {}
    entries = [*cell.comparisons.values()]
    at_chance = [
        entry for entry in entries if entry.obstacle is not None and entry.obstacle.state == "chance"
    ]
    for entry in entries:
        if entry.obstacle is not None and (entry not in at_chance or len(at_chance) == len(entries)):
            known = cell.knowledge if entry in at_chance else ()
            return _OBSTACLES[entry.obstacle.state], f" ({'; '.join([entry.obstacle.short, *known])})"
        by_verdict.setdefault(entry.verdict, []).append(entry)
    gains, losses = by_verdict.get(Verdict.POSITIVE, []), by_verdict.get(Verdict.NEGATIVE, [])
    effect, scope = "is undecided", []
    if gains and losses:
        effect = "both helps and hurts"
        scope = [f"helps {_scope(gains)}, hurts {_scope(losses)}"]
    elif gains:
        weak = ["over a baseline that training made worse than chance"] if gains[0].weak_baseline else []
        effect, scope = "helps", [_scope(gains), *weak]
    elif losses:
        effect, scope = "hurts", [_scope(losses)]
    elif set(by_verdict) == {Verdict.EQUIVALENT}:
        effect = "makes no relevant difference"
    details = "; ".join([*scope, *cell.knowledge])
    return effect, f" ({details})" if details else ""


def _scope(entries: Sequence[Comparison]) -> str:
    return in_words([METRICS[entry.metric].claim for entry in entries])


def notes(matrix: Matrix, *, running: bool = False) -> list[str]:
    """Warnings (``!``), then flags (``*`` where a control raises them); the same flag of many cells once.

    Every flag names its targets. One that speaks of a target's scale names no strategy: it holds for all.

    Args:
        matrix: a finished analysis.
        running: whether the sweep goes on, so that runs which are still to come are no reason for a warning.

    Returns:
        Lines that start with their mark.
    """
    by_message: dict[tuple[str, str], dict[str, dict[str, None]]] = {}
    for cell in matrix.cells:
        for flag in cell.flags:
            if running and flag.pending:
                continue
            mark = "*" if flag.of_control else "!"
            targets_of = by_message.setdefault((mark, flag.message), {})
            arm = "" if flag.of_target else arm_label(cell.strategy, cell.source, matrix)
            targets_of.setdefault(arm, {})[cell.target] = None
    expected = missing_runs(matrix.counts) if running and not matrix.counts["failed"] else []
    found = [f"! {text}" for text in matrix.warnings if text not in expected]
    return found + [f"{mark} {_places(arms)}: {text}" for (mark, text), arms in by_message.items()]


def arm_label(strategy: str, source: str | None, matrix: Matrix) -> str:
    """What an arm is called beside others: its strategy, and the source where there are several.

    Args:
        strategy: name.
        source: name; None: nothing was copied.
        matrix: that the arm is in.
    """
    return f"{strategy} from {source}" if source and len(matrix.sources) > 1 else strategy


def _places(targets_of: Mapping[str, Mapping[str, None]]) -> str:
    """``a on x, b and c on x and y``: arms with the same targets together; many arms as a number."""
    arms_on: dict[tuple[str, ...], list[str]] = {}
    for arm, targets in targets_of.items():
        arms_on.setdefault(tuple(targets), []).append(arm)
    shown = []
    for places, arms in arms_on.items():
        several = in_words(arms) if len(arms) <= 3 else f"{len(arms)} strategies"
        where = in_words(places) if len(places) <= 6 else listing(places, 5)
        shown.append(f"{several} on {where}".strip())
    return "; ".join(shown)


def scale_of_gains(matrix: Matrix) -> str:
    """What the gains of a matrix are measured in: ``normalised scores``, raw, or both with what marks raw.

    Args:
        matrix: a finished analysis.

    Returns:
        The phrase that follows ``gains in``.
    """
    raw = {info.scale.is_raw for info in matrix.targets.values()}
    if raw == {True}:
        return f"raw {matrix.measure}"
    shown = any(entry.shown_raw for cell in matrix.cells for entry in cell.comparisons.values())
    return f"normalised scores (r: raw {matrix.measure})" if True in raw or shown else "normalised scores"


def advice(entry: Comparison) -> str:
    """How many seeds would settle an inconclusive comparison.

    Args:
        entry: the comparison of one cell on one metric.

    Returns:
        A phrase; empty for other verdicts, and where the runs do not tell what to look for.
    """
    if entry.verdict is not Verdict.INCONCLUSIVE or entry.fresh_seeds is None:
        return ""
    least, most = entry.fresh_seeds.least, entry.fresh_seeds.most
    number = f"{least} or more" if most is None else f"{least}" if least == most else f"{least} to {most}"
    seeds = "seeds per arm"
    if entry.fed is not None and entry.fed.pooled:
        seeds = "sources, each for as many runs as here, and of from-scratch runs"
    return (
        f"a new plan of {number} fresh {seeds} would settle it with probability 0.8, "
        "if the gain lies in the 60 % interval of this one"
    )
