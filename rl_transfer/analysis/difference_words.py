"""Two sweeps side by side, as lines for a terminal and as data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rl_transfer.analysis.differences import CellDifference, Setting, SweepDifferences
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.model import CellKey
from rl_transfer.analysis.words import interval
from rl_transfer.spec import JsonObject
from rl_transfer.wording import counted, listing, shortened

_VALUE = 60
"""Characters of a config's value that are shown."""


def difference_lines(found: SweepDifferences, digits: int) -> list[str]:
    """What differs, for people.

    Args:
        found: of two sweeps.
        digits: significant figures of the measure.

    Returns:
        Lines, the answer last.
    """
    lines = [*_named("configs", found.settings), *_named("versions", found.versions)]
    for title, cells in (("only in the first", found.only_first), ("only in the second", found.only_second)):
        lines += [f"{title}: {listing([_cell(key) for key in cells])}"] if cells else []
    rows = [_row(each, digits) for each in found.cells]
    head = ("cell", "figure", "second minus first", "p", "")
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    lines += [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, *rows]
    ]
    lines += [
        f"verdict: {_cell(each.cell)}, {METRICS[each.metric].label}: {each.first} → {each.second}"
        for each in found.verdicts
    ]
    return [*lines, _answer(found)]


def difference_data(found: SweepDifferences) -> JsonObject:
    """The same for scripts.

    Args:
        found: of two sweeps.

    Returns:
        Plain data; None stands where a figure is undefined.
    """
    return {
        "differ": found.differ,
        "q": found.q,
        "settings": [asdict(each) for each in found.settings],
        "versions": [asdict(each) for each in found.versions],
        "only_first": [_keys(key) for key in found.only_first],
        "only_second": [_keys(key) for key in found.only_second],
        "unusable": [*found.unusable],
        "cells": [
            {
                **_keys(each.cell),
                "figure": each.figure,
                "difference": _number(each.difference.point),
                "low": _number(each.difference.low),
                "high": _number(each.difference.high),
                "p": _number(each.p),
                "adjusted_p": _number(each.adjusted_p),
                "runs": [*each.runs],
                "shared": each.shared,
                "paired": each.paired,
                "identical": each.identical,
                "significant": each.significant,
                "problem": each.problem or None,
            }
            for each in found.cells
        ],
        "verdicts": [
            {**_keys(each.cell), "metric": each.metric, "first": each.first, "second": each.second}
            for each in found.verdicts
        ],
    }


def _named(title: str, settings: Sequence[Setting]) -> Iterator[str]:
    for each in settings:
        values = (
            "–" if value is None else shortened(str(value), _VALUE) for value in (each.first, each.second)
        )
        yield f"{title}: {each.key}: {' → '.join(values)}"


def _row(each: CellDifference, digits: int) -> tuple[str, ...]:
    p = f"{each.adjusted_p:.3g}" if math.isfinite(each.adjusted_p) else ""
    told = interval(each.difference, digits=digits)
    if each.problem:
        told, said = "", each.problem
    elif each.identical:
        said = "the same runs"
    elif each.nested:
        said = f"{each.shared} of {max(each.runs)} runs in both, the rest in one: not tested"
    else:
        how = "pairs of seeds" if each.paired else f"{each.runs[0]} and {each.runs[1]} runs"
        both = f", {each.shared} in both" if each.shared else ""
        said = f"{'differs' if each.significant else 'no clear difference'} ({how}{both})"
    return _cell(each.cell), each.figure.replace("_", " "), told, p, said


def _answer(found: SweepDifferences) -> str:
    counts = Counter(
        "cannot be compared" if each.problem else
        "rest on the same runs" if each.identical else
        "have more runs in one sweep" if each.nested else
        "differ" if each.significant else "show no clear difference"
        for each in found.cells
    )  # fmt: skip
    said = [f"{number} {what}" for what, number in counts.items()]
    said += [
        f"{counted(len(keys), 'cell')} only in the {place}"
        for keys, place in ((found.only_first, "first"), (found.only_second, "second"))
        if keys
    ]
    said += [
        f"{counted(number, 'run')} of the {place} cannot be used"
        for number, place in zip(found.unusable, ("first", "second"), strict=True)
        if number
    ]
    return (
        f"{'the sweeps differ' if found.differ else 'no difference'}: of {len(found.cells)} figures "
        f"{', '.join(said)} (Benjamini–Hochberg, q = {found.q:g})"
    )


def _cell(key: CellKey) -> str:
    source, target, strategy = key
    return f"{source}→{target}/{strategy}" if source else f"{target}/{strategy}"


def _keys(key: CellKey) -> JsonObject:
    return dict(zip(("source", "target", "strategy"), key, strict=True))


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
