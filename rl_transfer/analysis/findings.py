"""What a sweep found, cell by cell: decided cells in full, the strongest first; what is open is said once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rl_transfer.analysis import words
from rl_transfer.analysis.attribution_words import finding, longer
from rl_transfer.analysis.comparison import Comparison
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.model import Cell, Matrix
from rl_transfer.analysis.verdict import Verdict
from rl_transfer.wording import counted, in_words, listing

MOST = 8
"""Decided cells that are told in full; the matrix shows the rest."""
_NAMED = 6
"""Cells that a line names; of more it gives the number."""
_DECIDED = ("helps", "hurts", "both helps and hurts", "makes no relevant difference")
_COUNTED = {
    "helps": ("helps", "help"),
    "hurts": ("hurts", "hurt"),
    "both helps and hurts": ("both helps and hurts", "both help and hurt"),
    "makes no relevant difference": ("makes no relevant difference", "make no relevant difference"),
    "is undecided": ("is undecided", "are undecided"),
    "has failed": ("has failed", "have failed"),
    "is unfinished": ("is unfinished", "are unfinished"),
    "cannot be judged": ("cannot be judged", "cannot be judged"),
    "does not leave chance": ("does not leave chance", "do not leave chance"),
}
"""Effect → how one cell has it, and how several have it."""


@dataclass(frozen=True)
class CellFinding:
    """What was decided of one cell."""

    cell: Cell
    effect: str
    """One of :data:`rl_transfer.analysis.words.EFFECTS`."""
    claim: str
    """``fine-tune from cartpole helps on weaker-motor``."""
    evidence: tuple[str, ...]
    """Sentences: where both arms end, gains with intervals, seeds and budget, what controls say."""

    def __str__(self) -> str:
        return f"{self.claim}. {' '.join(self.evidence)}"


@dataclass(frozen=True)
class Findings:
    """All that a sweep found, in the order in which people are told."""

    summary: str
    """How many transfer cells came out how; empty without any."""
    told: tuple[CellFinding, ...]
    """The strongest of what is decided."""
    rest: tuple[str, ...]
    """A line on the decided cells that are not told, and one on each other outcome."""


def findings(matrix: Matrix, most: int = MOST) -> Findings:
    """What the transfer cells of a matrix came to.

    Decided cells are ordered by the part of their effect that is proven: the end of the interval next to 0,
    in δ, of the stronger metric.

    Args:
        matrix: a finished analysis.
        most: decided cells that are told in full.

    Returns:
        Sentences; none for a matrix without transfer cells.
    """
    by_effect: dict[str, list[Cell]] = {}
    for cell in matrix.select(kind="transfer"):
        by_effect.setdefault(words.effect_of(cell)[0], []).append(cell)
    decided = [(effect, cell) for effect in _DECIDED for cell in by_effect.get(effect, [])]
    decided.sort(key=lambda pair: -_strength(pair[1]))
    rest = [_beyond(decided[most:])] if len(decided) > most else []
    rest += [
        _open(effect, by_effect[effect], matrix)
        for effect in words.EFFECTS
        if effect in by_effect and effect not in _DECIDED
    ]
    told = tuple(_told(effect, cell, matrix) for effect, cell in decided[:most])
    return Findings(_summary(by_effect), told, tuple(rest))


def _summary(by_effect: Mapping[str, Sequence[Cell]]) -> str:
    total = sum(map(len, by_effect.values()))
    if not total:
        return ""
    parts = [
        f"{len(by_effect[effect])} {_COUNTED[effect][len(by_effect[effect]) > 1]}"
        for effect in words.EFFECTS
        if effect in by_effect
    ]
    return f"Of {counted(total, 'transfer cell')} (a strategy on a target), {in_words(parts)}."


def _strength(cell: Cell) -> float:
    """The proven part of its stronger effect, in δ; 0 without one."""
    proven = []
    for entry in cell.comparisons.values():
        nearest = {1: entry.raw.low, -1: -entry.raw.high}.get(entry.sign, 0.0)
        unit = entry.raw_delta if entry.raw_delta > 0 else abs(entry.raw.point)
        proven.append(nearest / unit if unit and math.isfinite(nearest) else 0.0)
    return max(proven, default=0.0)


def _told(effect: str, cell: Cell, matrix: Matrix) -> CellFinding:
    arm = cell.strategy + (f" from {words.origin(cell)}" if cell.source else "")
    entries = [entry for entry in cell.comparisons.values() if entry.sign]
    scope = ""
    if len(entries) == 1:
        scope = f" in {METRICS[entries[0].metric].claim}"
    elif effect == "both helps and hurts":
        sides = [f"{METRICS[each.metric].claim} {'up' if each.sign > 0 else 'down'}" for each in entries]
        scope = f" ({in_words(sides)})"
    claim = f"{arm} {effect} on {cell.target}{scope}{_whose(entries)}"
    evidence = [_ends(cell, matrix), _gains(cell, matrix), _controls(cell, matrix), *_besides(cell, matrix)]
    return CellFinding(cell, effect, claim, tuple(text for text in evidence if text))


def _whose(entries: Sequence[Comparison]) -> str:
    """Whether the effect is what the source knows, by the cell's controls."""
    if not any(entry.attribution for entry in entries):
        return ""
    if all(entry.known for entry in entries):
        return f" ({in_words(sorted({finding(entry) for entry in entries}))})"
    return " (not shown to be knowledge)"


def _besides(cell: Cell, matrix: Matrix) -> list[str]:
    """What else a claim must not be read without."""
    entries = [*cell.comparisons.values()]
    weak = any(entry.weak_baseline and entry.sign > 0 for entry in entries)
    said = [f"Training made {matrix.baseline} worse than {matrix.labels.the_chance}."] if weak else []
    return said + [f"{text[0].upper()}{text[1:]}." for each in entries if (text := longer(each, matrix.unit))]


def _ends(cell: Cell, matrix: Matrix) -> str:
    """Where both arms end, in the measure: what a score stands for."""
    digits = words.digits(matrix.labels)
    baselines = matrix.select(target=cell.target, kind="baseline")
    beside = [each for each in baselines if each.source == cell.source] or [*baselines]
    if not beside:
        return ""
    ends = [each.metrics["final_performance"].value.mean for each in (cell, beside[0])]
    if not all(map(math.isfinite, ends)):
        return ""
    mine, its = (words.number(value, digits=digits) for value in ends)
    article = "an" if matrix.measure[:1] in "aeiou" else "a"
    return f"It ends at {article} {matrix.measure} of {mine}, {matrix.baseline} at {its}."


def _gains(cell: Cell, matrix: Matrix) -> str:
    parts = []
    for name, entry in cell.comparisons.items():
        said = "" if entry.sign or entry.verdict is Verdict.EQUIVALENT else f" ({_undecided(entry)})"
        parts.append(f"{METRICS[name].claim} {words.gain(entry, matrix.labels)}{said}")
    text = f"Gains over {matrix.baseline}: {', '.join(parts)}"
    return f"{text}; {_seeds(cell)}, {words.at_steps(cell.budget, matrix.unit)}."


def _undecided(entry: Comparison) -> str:
    return "undecided" if entry.outcome == str(Verdict.INCONCLUSIVE) else entry.outcome


def _seeds(cell: Cell) -> str:
    looks = {entry.look.seeds for entry in cell.comparisons.values() if entry.look is not None}
    fed, count = cell.fed, max(looks, default=len(cell.finished))
    text = f"{counted(count, 'seed')} per arm"
    few = fed is not None and fed.policies < fed.runs
    return f"{text} fed by {fed.policies} of the source's networks" if fed and few else text


def _controls(cell: Cell, matrix: Matrix) -> str:
    """What the same gains are without the source's knowledge."""
    gains: dict[str, list[str]] = {}
    for entry in cell.comparisons.values():
        for check in entry.attribution.checks if entry.attribution else ():
            part = check.rest.raw if entry.shown_raw else check.rest.gain
            digits = words.digits(matrix.labels, "measure" if entry.shown_raw else "score")
            text = words.number(part.point, signed=True, digits=digits) + (" r" if entry.shown_raw else "")
            gains.setdefault(check.control, []).append(f"{METRICS[entry.metric].claim} {text}")
    if not gains:
        return "No control was run: whether it is what the source knows, nobody can say."
    beside = [f"{name} {in_words(found)}" for name, found in gains.items()]
    doubts: dict[str, list[str]] = {}
    for entry in cell.comparisons.values():
        if entry.doubted:
            doubts.setdefault(finding(entry), []).append(METRICS[entry.metric].claim)
    told = "; ".join(f"{in_words(claims)}: {found}" for found, claims in doubts.items())
    return f"Without the source's knowledge: {', '.join(beside)}{f' ({told})' if told else ''}."


def _beyond(decided: Sequence[tuple[str, Cell]]) -> str:
    if len(decided) == 1:
        return f"One more {_COUNTED[decided[0][0]][0]}; the matrix below shows it."
    groups: dict[str, int] = {}
    for effect, _ in decided:
        groups[effect] = groups.get(effect, 0) + 1
    parts = [f"{count} {_COUNTED[effect][count > 1]}" for effect, count in groups.items()]
    return f"Of {len(decided)} more that are decided, {in_words(parts)}; the matrix below shows them all."


def _open(effect: str, cells: Sequence[Cell], matrix: Matrix) -> str:
    """``Undecided: a on x and y.``; many cells as a number."""
    title = effect.removeprefix("is ").removeprefix("has ")
    head = f"{title[0].upper()}{title[1:]}"
    on: dict[str, dict[str, None]] = {}
    for cell in cells:
        on.setdefault(words.arm_label(cell.strategy, cell.source, matrix), {})[cell.target] = None
    if len(cells) > _NAMED:
        return f"{head}: {len(cells)} cells of {listing([*on], 4)}."
    return f"{head}: {'; '.join(f'{arm} on {in_words([*targets])}' for arm, targets in on.items())}."
