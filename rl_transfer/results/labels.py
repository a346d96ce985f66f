"""What the numbers of a kind of run are called, in a manifest and in everything that is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace


@dataclass(frozen=True)
class Labels:
    """The words of a kind of run; reinforcement learning's where a kind gives none.

    Attributes:
        unit: of budgets and of a curve's steps, plural: ``environment steps``, ``epochs``.
        measure: what a curve's returns are: ``mean episodic return``, ``accuracy``.
        chance: who has a score of 0: ``random policy``, ``chance``.
        zero: the same in one word.
        network: what is trained: ``policy``, ``classifier``.
        networks: its plural.
        method: what target and baseline share beside their budget: ``algorithm``, ``optimizer``.
        samples: what one evaluation is over, plural: ``evaluation episodes``, ``test images``.
        values: what is not a score, plural: ``returns``, ``accuracies``.
        threshold: what a task may declare as its goal; empty if none ever does.
        digits: significant figures of a value of the measure; one less stand behind the point at most.
    """

    unit: str = "environment steps"
    measure: str = "mean episodic return"
    chance: str = "random policy"
    zero: str = "random"
    network: str = "policy"
    networks: str = "policies"
    method: str = "algorithm"
    samples: str = "evaluation episodes"
    values: str = "returns"
    threshold: str = "reward threshold"
    digits: int = 3

    @property
    def the_chance(self) -> str:
        """``the random policy``, ``chance``."""
        return f"the {self.chance}" if " " in self.chance else self.chance

    @property
    def rate(self) -> str:
        """``steps/s``, ``epochs/s``."""
        return f"{self.unit.rpartition(' ')[2]}/s"

    @property
    def short_measure(self) -> str:
        """``return``, ``accuracy``."""
        return self.measure.rpartition(" ")[2]

    @property
    def curve_tag(self) -> str:
        """What a run's learning curve is called in its event files: ``evaluation/mean_return``."""
        short = self.short_measure
        return f"evaluation/{'mean_return' if short == 'return' else short}"

    def of_manifest(self) -> dict[str, str | int]:
        """What ``sweep.json`` says under ``labels``; unit and measure have keys of their own there."""
        return {name: value for name, value in asdict(self).items() if name not in ("unit", "measure")}


ACCURACY_DIGITS = 4
"""The accuracies worth comparing crowd below 1, and chance among many classes lies close to 0."""

PLAYED = Labels()
"""The words of reinforcement learning."""


def read_labels(manifest: Mapping[str, object]) -> Labels:
    """The labels of a sweep.

    Args:
        manifest: the content of ``sweep.json``; what an older one does not name keeps its default.

    Returns:
        Words for everything.
    """
    said = manifest.get("labels")
    given = {**(said if isinstance(said, Mapping) else {}), **manifest}
    known = {each.name for each in fields(Labels)} - {"digits"}
    words = {name: value for name, value in given.items() if name in known and isinstance(value, str)}
    digits = given.get("digits")
    if not (isinstance(digits, int) and 1 <= digits <= 15):  # older manifests do not say it
        digits = ACCURACY_DIGITS if words.get("measure") == "accuracy" else PLAYED.digits
    return replace(PLAYED, **words, digits=digits)
