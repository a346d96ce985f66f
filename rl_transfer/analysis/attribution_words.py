"""What controls say of a gain or a loss, in words."""

from __future__ import annotations

from collections.abc import Iterable

from rl_transfer.analysis import words
from rl_transfer.analysis.arm_statistics import Interval
from rl_transfer.analysis.attribution import Attribution, ControlCheck
from rl_transfer.analysis.comparison import Comparison
from rl_transfer.analysis.flags import Flag
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.verdict import Verdict
from rl_transfer.results import Labels
from rl_transfer.wording import in_words


def attribution(entry: Comparison, labels: Labels) -> str:
    """What the controls of a cell say, with the gains that they had themselves.

    Args:
        entry: the comparison of one cell on one metric.
        labels: of the sweep.

    Returns:
        A phrase such as ``knowledge hurts: shuffled-source gains +0.77 where it loses -0.65``; empty without
        controls, and where there is neither a verdict nor a finding.
    """
    said = entry.attribution
    if said is None:
        return ""
    mine = _changes(_gain(entry, entry.gain, entry.raw), entry, labels)
    others = in_words([f"{check.control} {_of_control(check, entry, labels)}" for check in said.checks])
    if said.finding in ("helps", "hurts"):
        return f"knowledge {said.finding}: {others} where it {mine}"
    if not entry.sign:
        return ""
    what = "gain" if entry.sign > 0 else "loss"
    if said.finding == "not knowledge":
        part = f"knowledge's part in the {what} is below δ by {in_words(said.same)}"
        return f"not knowledge: {part} ({others} where it {mine})"
    if said.finding == "unchecked":
        return f"the {what} may not be knowledge: {_problems(said)}"
    return f"unclear whether it is knowledge: {others} where it {mine}"


def longer(entry: Comparison, unit: str) -> str:
    """How a strategy ends beside training from scratch for the source's steps too.

    Args:
        entry: the comparison of one cell on final quality.
        unit: what a step is, in the plural.

    Returns:
        A phrase; empty without such runs, and where nothing is shown.
    """
    found = entry.longer
    if found is None or found.verdict is Verdict.INCONCLUSIVE:
        return ""
    score = not entry.shown_raw
    gap = words.number(abs(found.over.gain.point if score else found.over.raw.point))
    by = f"{gap}{'' if score else ' r'}"
    arm = f"{found.strategy} ({found.steps:,.0f} {unit}, source and target together)"
    return {
        Verdict.POSITIVE: f"{arm} ends lower by {by}",
        Verdict.NEGATIVE: f"{arm} ends higher by {by}: the source's steps are better spent on the target",
        Verdict.EQUIVALENT: f"{arm} ends alike",
    }[found.verdict]


def finding(entry: Comparison) -> str:
    """The finding alone, for tables.

    Args:
        entry: the comparison of one cell on one metric.

    Returns:
        ``knowledge helps`` and the like; empty without controls.
    """
    if entry.attribution is None:
        return ""
    found = entry.attribution.finding
    if found in ("helps", "hurts"):
        return f"knowledge {found}"
    return "nothing shown" if found == "unclear" and not entry.sign else found


def in_short(entries: Iterable[Comparison], labels: Labels) -> list[str]:
    """What the controls say of the metrics of a cell, for its headline.

    Args:
        entries: the comparisons of one cell.
        labels: of the sweep.

    Returns:
        Phrases, the same one of both metrics once; a gain that is knowledge, and a loss, needs no figures.
    """
    by_text: dict[str, list[Comparison]] = {}
    told = [entry for entry in entries if entry.attribution is not None]
    for entry in told:
        text = "knowledge helps" if entry.known and entry.sign > 0 else attribution(entry, labels)
        by_text.setdefault(text, []).append(entry)
    by_text.pop("", None)
    if len(by_text) == 1 and len(next(iter(by_text.values()))) == len(told):
        return [*by_text]
    return [
        f"{in_words([METRICS[entry.metric].claim for entry in same])}: {text}"
        for text, same in by_text.items()
    ]


def doubts(entries: Iterable[Comparison], labels: Labels) -> list[Flag]:
    """Flags of the verdicts that controls put in doubt.

    Args:
        entries: the comparisons of one cell.
        labels: of the sweep.
    """
    return [
        Flag(
            f"control-{entry.attribution.finding.replace(' ', '-')}",
            f"{METRICS[entry.metric].claim}: {attribution(entry, labels)}",
        )
        for entry in entries
        if entry.attribution is not None and entry.doubted
    ]


def _problems(said: Attribution) -> str:
    return "; ".join(f"{check.control}: {check.problem}" for check in said.checks if check.problem)


def _of_control(check: ControlCheck, entry: Comparison, labels: Labels) -> str:
    return _changes(_gain(entry, check.rest.gain, check.rest.raw), entry, labels)


def _gain(entry: Comparison, gain: Interval, raw: Interval) -> float:
    return raw.point if entry.shown_raw else gain.point


def _changes(value: float, entry: Comparison, labels: Labels) -> str:
    """``gains +0.77``, or ``loses -13.2 r`` in the measure's unit."""
    digits = words.digits(labels, "measure" if entry.shown_raw else "score")
    text = words.number(value, signed=True, digits=digits)
    verb = "gains" if value >= 0 or text.strip("+-0.") == "" else "loses"
    return f"{verb} {text}{' r' if entry.shown_raw else ''}"
