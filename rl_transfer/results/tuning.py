"""What a sweep declares of its tuning, and what its arms chose: pinned in ``sweep.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rl_transfer.errors import StoreError
from rl_transfer.spec import JsonObject
from rl_transfer.spec.base import Json, canonical_json

TUNING = "tuning"
"""Key of ``sweep.json``, and the role of runs that are tuned by and never judged."""

FIGURES = {"auc": "area under the curve", "final_performance": "final performance"}
"""What ``tune.by`` names."""

LATE = "judged_before_choice"
"""Key of a sweep's tuning: judged runs were finished before its arms chose."""

JUDGED_BEFORE = (
    "judged runs of this suite were finished before its arms chose, and it cannot be told whether their "
    "results were seen before the grid was declared"
)
"""What is said of such a sweep."""

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
        untuned: arms of these that had no complete point when they chose, and so took the first.
        late: whether judged runs were finished in the folder before the arms chose.
    """

    by: str
    points: tuple[Mapping[str, Json], ...]
    seeds: tuple[int, ...]
    choices: Mapping[ArmPlace, int]
    untuned: frozenset[ArmPlace] = frozenset()
    late: bool = False

    def plain(self) -> JsonObject:
        """As JSON."""
        return {
            "by": self.by,
            "points": [{**point} for point in self.points],
            "seeds": [*self.seeds],
            "choices": [
                {
                    "source": arm[0],
                    "target": arm[1],
                    "strategy": arm[2],
                    "point": point,
                    "tuned": arm not in self.untuned,
                }
                for arm, point in self.choices.items()
            ],
            **({LATE: True} if self.late else {}),
        }

    @property
    def declared(self) -> JsonObject:
        """What was decided before any run."""
        return {key: value for key, value in self.plain().items() if key in ("by", "points", "seeds")}


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
        texts = {canonical_json(point) for point in points}
        seeds = tuple(_whole(seed) for seed in found["seeds"])
        choices, untuned = {}, set()
        for each in found["choices"]:
            arm = each["source"], str(each["target"]), str(each["strategy"])
            choices[arm] = _whole(each["point"])
            if not each.get("tuned", True):
                untuned.add(arm)
        by, late = str(found["by"]), bool(found.get(LATE))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"sweep.json: tuning cannot be read ({type(error).__name__}: {error})") from None
    if by not in FIGURES:
        raise StoreError(f"sweep.json: tuning is by {by!r}, expected {' or '.join(FIGURES)}")
    if not seeds or len({*seeds}) < len(seeds):
        raise StoreError(f"sweep.json: tuning has the seeds {[*seeds]}, expected one at least, each once")
    if not points or not points[0] or any({*point} != {*points[0]} for point in points):
        raise StoreError("sweep.json: tuning needs points that all have the same keys")
    if len(texts) < len(points):
        raise StoreError("sweep.json: tuning has a point twice")
    if not all(0 <= point < len(points) for point in choices.values()):
        raise StoreError(f"sweep.json: tuning chose a point that its grid of {len(points)} does not have")
    for row in manifest.get("runs", ()):
        if row.get("role") == TUNING and row.get("target") is not None:
            point = row.get("point")
            if type(point) is not int or not 0 <= point < len(points):
                raise StoreError(
                    f"sweep.json: tuning run {row.get('id')} is at point {point!r}, expected 0 to "
                    f"{len(points) - 1}"
                )
    return TuningRecord(by, points, seeds, choices, frozenset(untuned), late)


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is no whole number")
    return value
