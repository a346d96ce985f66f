"""Of many cases alike the ordinary suite draws a few; ``make cases`` has all of them."""

import os
import random
from collections.abc import Sequence
from typing import TypeVar

EVERY = os.environ.get("CASES") == "all"
"""Under ``make cases`` all that is drawn from, and as many steps as the documentation says."""
T = TypeVar("T")


def drawn(cases: Sequence[T], count: int, seed: object = 0) -> list[T]:
    """So many of the cases in their order, the same ones every time; all of them under :data:`EVERY`."""
    if EVERY or count >= len(cases):
        return list(cases)
    return [cases[index] for index in sorted(random.Random(str(seed)).sample(range(len(cases)), count))]
