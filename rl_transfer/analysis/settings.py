"""What a sweep declares about its analysis: settings, strategies, sources and targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rl_transfer.errors import ConfigError, StoreError
from rl_transfer.results import Labels
from rl_transfer.results.scores import is_number
from rl_transfer.spec import Analysis, JsonObject, parse
from rl_transfer.wording import shortened


def read_settings(config: JsonObject) -> Analysis:
    """The ``analysis`` section of a sweep's resolved config.

    Args:
        config: the config as ``sweep.json`` holds it; keys that are missing keep their default, keys of
            other versions are left out.

    Returns:
        The settings, every bound kept.

    Raises:
        StoreError: a setting is out of its bounds.
    """
    given = config.get("analysis") or {}
    known = {name: value for name, value in given.items() if name in Analysis.model_fields}
    try:
        settings: Analysis = parse(Analysis, known)
    except ConfigError as error:
        raise StoreError(f"the sweep's analysis settings cannot be used: {error.message}") from None
    return settings


@dataclass(frozen=True)
class StrategyInfo:
    """What tables and figures need to know of a strategy."""

    name: str
    summary: str = ""
    control: bool = False
    control_for: tuple[str, ...] = ()
    copy: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()
    uses_source: bool = False
    """Whether it takes anything from a source."""
    longer: bool = False
    """Whether it trains from scratch for the source's budget and the target's."""


_OF_SOURCE = ("copy", "as_copied", "uses_source", "kickstart", "guide")


def read_strategies(config: JsonObject) -> dict[str, StrategyInfo]:
    """The strategies of a resolved config, in its order; a list of objects or a map by name.

    Args:
        config: the config as ``sweep.json`` holds it.

    Returns:
        Name → what the analysis needs to know of it.
    """
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
            longer=bool(entry.get("with_source_steps")),
            uses_source=any(entry.get(key) for key in _OF_SOURCE),
        )
        for name, entry in entries
    }


def read_number(config: JsonObject, section: str, name: str | None, key: str) -> float | None:
    """``config[section][name][key]`` as a finite number, or None where it is not given.

    Args:
        config: the config as ``sweep.json`` holds it.
        section: ``sources`` or ``targets``.
        name: which of them.
        key: the number's own key.

    Returns:
        The number; None where the config has none.

    Raises:
        StoreError: something else than a finite number stands there.
    """
    entry = (config.get(section) or {}).get(name) or {}
    value = entry.get(key) if isinstance(entry, Mapping) else None
    if value is None:
        return None
    if not is_number(value):
        raise StoreError(f"{section}.{name}.{key} must be a finite number, got {str(value)[:40]!r}")
    return float(value)


def read_range(config: JsonObject, target: str, labels: Labels) -> tuple[float, float]:
    """The least and the greatest J that are possible on a target.

    Args:
        config: the config as ``sweep.json`` holds it.
        target: its name.
        labels: what its numbers are called; an accuracy lies between 0 and 1 without being told.

    Returns:
        Both; infinite where nothing is declared.

    Raises:
        StoreError: something else than two rising numbers stands there.
    """
    entry = (config.get("targets") or {}).get(target) or {}
    own = entry.get("return_range") if isinstance(entry, Mapping) else None
    given = own if own is not None else (config.get("analysis") or {}).get("return_range")
    if given is None:
        return (0.0, 1.0) if labels.measure == "accuracy" else (-math.inf, math.inf)
    numbers = isinstance(given, Sequence) and all(map(is_number, given))
    if not numbers or len(given) != 2 or not given[0] < given[1]:
        raise StoreError(
            f"targets.{target}.return_range must be two rising numbers, got {shortened(repr(given))}"
        )
    return float(given[0]), float(given[1])


@dataclass(frozen=True)
class Dose:
    """Where a target stands on an axis of severity."""

    axis: str
    """Name of the axis, in the config the target that listed the severities."""
    severity: float
    """Share of the way from defaults to bounds, above 0 up to 1."""


def read_dose(config: JsonObject, target: str) -> Dose | None:
    """The axis and the severity of a target.

    Args:
        config: the config as ``sweep.json`` holds it.
        target: its name.

    Returns:
        Both; None where the target is of no axis.

    Raises:
        StoreError: the severity is no finite number.
    """
    axis = ((config.get("targets") or {}).get(target) or {}).get("axis")
    severity = read_number(config, "targets", target, "severity")
    return None if axis is None or severity is None else Dose(str(axis), severity)


def read_engine(config: JsonObject, target: str) -> JsonObject | None:
    """What trained on a target, and why it was that.

    Args:
        config: the config as ``sweep.json`` holds it.
        target: its name.

    Returns:
        ``name`` and ``reason`` (None: nothing else was asked for); None for kinds that have one engine.
    """
    entry = (config.get("targets") or {}).get(target) or {}
    found = entry.get("engine") if isinstance(entry, Mapping) else None
    if isinstance(found, Mapping):
        return {key: str(found.get(key) or "") for key in ("name", "reason")}
    return {"name": "sb3", "reason": None} if config.get("kind") == "rl" else None


def _names(value: str | Sequence[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)
