"""δ, the half-width of the region of practical equivalence, of one target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rl_transfer.errors import StoreError
from rl_transfer.results import TOLERANCES, declared_tolerances
from rl_transfer.results.scores import is_number
from rl_transfer.spec import JsonObject
from rl_transfer.wording import shortened

Basis = Literal["declared", "number", "threshold", "scratch", "nothing"]


@dataclass(frozen=True)
class Tolerance:
    """δ of a target: in the measure's unit, or as a share of what training from scratch gains."""

    raw: float
    """In the measure's unit; 0 where it is a share, or where there is nothing that it could be a share of."""
    share: float = 0.0
    """Of the estimated way from random to the from-scratch arm; 0 unless ``basis`` is ``scratch``."""
    basis: Basis = "declared"
    """What it is declared in: the measure's unit, or a share of the way from random to this."""
    of_best: float = 0.0
    """Without a δ: the share of the way from random to the best J seen within which runs are alike."""

    @property
    def declared(self) -> bool:
        """Whether relevance and equivalence can be judged at all."""
        return self.basis != "nothing"


UNDECLARED = Tolerance(0.0, basis="nothing")


def read_tolerance(manifest: JsonObject, target: str, random: float, *, spans: bool) -> Tolerance:
    """δ of a target: as pinned when the sweep began, else by the same rule from its config.

    Args:
        manifest: the content of ``sweep.json``; older ones pin nothing.
        target: its name.
        random: J of the random policy there; NaN if it was not measured.
        spans: whether the from-scratch arm is clearly above it, so that a share of the way has a meaning.

    Returns:
        The tolerance.

    Raises:
        StoreError: the manifest's δ is no number above 0.
    """
    pinned = manifest.get(TOLERANCES) or {}
    entry = pinned.get(target) or declared_tolerances(manifest.get("config") or {}).get(target) or {}
    raw, share, reference = (_number(entry, key, target) for key in ("raw", "share", "reference"))
    if raw is not None:
        return Tolerance(raw)
    if reference is not None and share is not None and reference > random:
        return Tolerance(share * (reference - random), basis=_of(entry))
    if share is not None and spans:
        return Tolerance(0.0, share, basis="scratch")
    return UNDECLARED if share is None else Tolerance(0.0, basis="nothing", of_best=share)


def _of(entry: JsonObject) -> Literal["number", "threshold"]:
    return "number" if entry.get("of") == "number" else "threshold"


def _number(entry: JsonObject, key: str, target: str) -> float | None:
    value = entry.get(key)
    if value is None:
        return None
    if not is_number(value) or (key != "reference" and value <= 0):
        expected = "a finite number" if key == "reference" else "a number above 0"
        raise StoreError(f"{TOLERANCES}.{target}.{key} must be {expected}, got {shortened(repr(value))}")
    return float(value)
