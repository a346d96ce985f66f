"""Of many cases alike the default tier draws a few; the others are of the tier ``full``."""

import os
import random
from collections.abc import Collection, Sequence
from typing import TypeVar

import pytest

EVERY = os.environ.get("CASES") == "all"
"""Under ``make cases`` all that is drawn from, with as many steps and examples as the documentation says."""
T = TypeVar("T")


def drawn(cases: Sequence[T], count: int, seed: object = 0) -> list[T]:
    """So many of the cases in their order, the same ones every time; all of them under :data:`EVERY`."""
    if EVERY or count >= len(cases):
        return list(cases)
    return [cases[index] for index in sorted(random.Random(str(seed)).sample(range(len(cases)), count))]


def tiered(cases: Sequence[T], chosen: Collection[T]) -> list[object]:
    """All cases, as ``parametrize`` takes them; those that were not chosen are of the tier ``full``."""
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)), marks=[] if case in chosen else pytest.mark.full
        )
        for case in cases
    ]
