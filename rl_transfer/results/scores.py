"""Runs that score a source on a target before anything is trained there: in the manifest and in records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeGuard

SCORES = "scores"
"""Their role in ``sweep.json``; in their records ``source_scores`` has what they found."""


def wrong_scores(found: Mapping[str, object]) -> str | None:
    """What of a record's ``source_scores`` no run writes.

    Args:
        found: an object, with anything in it.

    Returns:
        The address of the first such value (``source_scores.scores.logme.value``) and the value in short;
        None where there is none.
    """
    wrong = [] if is_number(found.get("steps"), 0) else [("steps", found.get("steps"))]
    scores = found.get("scores")
    if not isinstance(scores, dict):
        return _told("scores", scores)
    for name, each in scores.items():
        if not isinstance(each, dict):
            wrong.append((f"scores.{name}", each))
            continue
        value, higher = each.get("value", math.nan), each.get("higher_is_better")
        if value is not None and not is_number(value):
            wrong.append((f"scores.{name}.value", each.get("value")))
        if not isinstance(higher, bool):
            wrong.append((f"scores.{name}.higher_is_better", higher))
    for name in ("returns", "random_returns"):
        if not finite_numbers(found.get(name, [])):
            wrong.append((name, found[name]))
    return _told(*wrong[0]) if wrong else None


def finite_numbers(values: object) -> bool:
    """Whether it is a list of finite numbers.

    Args:
        values: anything.
    """
    return isinstance(values, list) and all(map(is_number, values))


def is_number(value: object, least: float = -(2.0**1000)) -> TypeGuard[float]:
    """Whether it is a finite number that arithmetic can use; a truth is none.

    Args:
        value: anything.
        least: the smallest that counts.
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value < 2.0**1000


def _told(address: str, value: object) -> str:
    return f"source_scores.{address} {str(value)[:40]!r}"
