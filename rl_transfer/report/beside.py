"""What the page shows beside the analysis: everything that was read from other files of the sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rl_transfer.analysis.model import CellKey
from rl_transfer.report.markup import Html

NOTHING = Html("")


@dataclass(frozen=True)
class Beside:
    """Sections that are HTML already; empty where there is nothing to show."""

    tasks: Html = NOTHING
    """What was perturbed."""
    failures: Html = NOTHING
    """Runs that cannot be used, with the ends of their logs."""
    predictions: Html = NOTHING
    """Pictures that the runs left; none for RL."""
    provenance: Html = NOTHING
    """Where it all comes from, and how to do it again."""
    of_cell: Mapping[CellKey, Html] = field(default_factory=dict)
    """Cell → what its first run was made of."""
