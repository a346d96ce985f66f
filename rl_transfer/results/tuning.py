"""What a sweep declares of its tuning, and what its arms chose: pinned in ``sweep.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rl_transfer.errors import StoreError
from rl_transfer.spec import JsonObject
from rl_transfer.spec.base import Json

TUNING = "tuning"
"""Key of ``sweep.json``, and the role of runs that are tuned by and never judged."""

ArmPlace = tuple[str | None, str, str]
"""Source (None where all sources share the arm), target and strategy."""


@dataclass(frozen=True)
class TuningRecord:
    """What ``sweep.json`` holds of tuning.

    Attributes:
        by: the figure whose mean over the tuning seeds is maximised.
        points: dotted key → value at each point of the grid.
        seeds: indices of the tuning seeds.
        choices: the point of each arm that has chosen.
    """

    by: str
    points: tuple[Mapping[str, Json], ...]
    seeds: tuple[int, ...]
    choices: Mapping[ArmPlace, int]

    def plain(self) -> JsonObject:
        """As JSON."""
        return {
            "by": self.by,
            "points": [{**point} for point in self.points],
            "seeds": [*self.seeds],
            "choices": [
                {"source": source, "target": target, "strategy": strategy, "point": point}
                for (source, target, strategy), point in self.choices.items()
            ],
        }

    @property
    def declared(self) -> JsonObject:
        """What was decided before any run."""
        return {**self.plain(), "choices": []}


def read_tuning(manifest: JsonObject) -> TuningRecord | None:
    """What a sweep declared of its tuning.

    Args:
        manifest: the content of ``sweep.json``.

    Returns:
        None where nothing is tuned.

    Raises:
        StoreError: what stands there is something else.
    """
    found = manifest.get(TUNING)
    if found is None:
        return None
    try:
        points = tuple({**point} for point in found["points"])
        choices = {
            (each["source"], str(each["target"]), str(each["strategy"])): int(each["point"])
            for each in found["choices"]
        }
        seeds = tuple(int(seed) for seed in found["seeds"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"sweep.json: tuning cannot be read ({type(error).__name__}: {error})") from None
    if not all(0 <= point < len(points) for point in choices.values()):
        raise StoreError(f"sweep.json: tuning chose a point that its grid of {len(points)} does not have")
    return TuningRecord(str(found.get("by")), points, seeds, choices)
