"""What a sweep declares about its analysis: settings, strategies, sources and targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from rl_transfer.errors import StoreError

Reference = Literal["scratch", "threshold"] | float


@dataclass(frozen=True)
class Settings:
    """How curves become metrics and verdicts; every field is explained in docs/metrics.md."""

    reference: Reference = "scratch"
    """What a normalised score of 1 means."""
    threshold_share: float = 0.8
    """θ of the time to threshold, as a share of the way from random to reference."""
    delta: float = 0.05
    """Half-width of the region of practical equivalence, on normalised scores."""
    raw_delta: float | None = None
    """The same in units of the measure, for targets without a usable reference."""
    q: float = 0.05
    """False-discovery rate of the Benjamini–Hochberg correction."""
    confidence: float = 0.95
    """Coverage of every interval."""
    bootstrap: int = 10_000
    """Resamples behind the intervals of interquartile means and profiles."""
    final_share: float = 0.1
    """Share of the last evaluations whose mean is the final performance (at least three)."""

    def __post_init__(self) -> None:
        if isinstance(self.reference, str) and self.reference not in ("scratch", "threshold"):
            raise StoreError(
                f"analysis.reference is {self.reference!r}; it is 'scratch', 'threshold' or a number"
            )
        for name in ("threshold_share", "q", "confidence"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise StoreError(f"analysis.{name} must lie between 0 and 1, got {value}")
        if self.delta <= 0 or self.bootstrap < 1 or self.final_share < 0:
            raise StoreError(
                "analysis.delta and analysis.bootstrap must be positive, final_share not negative"
            )

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Settings:
        """From the ``analysis`` section of a resolved config; keys that are missing keep their default."""
        given = config.get("analysis") or {}
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in given.items() if name in known})


@dataclass(frozen=True)
class StrategyInfo:
    """What tables and figures need to know of a strategy."""

    name: str
    summary: str = ""
    control: bool = False
    control_for: tuple[str, ...] = ()
    copy: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()


def read_strategies(config: Mapping[str, Any]) -> dict[str, StrategyInfo]:
    """The strategies of a resolved config, in its order; a list of objects or a map by name."""
    given = config.get("strategies") or {}
    entries = given.items() if isinstance(given, Mapping) else ((entry["name"], entry) for entry in given)
    return {
        name: StrategyInfo(
            name=name,
            summary=str(entry.get("summary") or ""),
            control=bool(entry.get("control", False)),
            control_for=_names(entry.get("control_for")),
            copy=_names(entry.get("copy")),
            freeze=_names(entry.get("freeze")),
        )
        for name, entry in entries
    }


def read_number(config: Mapping[str, Any], section: str, name: str | None, key: str) -> float | None:
    """``config[section][name][key]`` as a finite number, or None where it is not given."""
    entry = (config.get(section) or {}).get(name) or {}
    value = entry.get(key) if isinstance(entry, Mapping) else None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise StoreError(f"{section}.{name}.{key} must be a finite number, got {value!r}")
    return float(value)


def _names(value: str | Sequence[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)
