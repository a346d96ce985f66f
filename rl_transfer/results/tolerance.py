"""δ of every target, declared before its first run and pinned in ``sweep.json``.

What counts as a difference too small to matter is no result: it must follow neither from the data nor from
what they made of the scores. A sweep that goes on keeps the δ that it began with.
"""

from __future__ import annotations

from collections.abc import Mapping

from rl_transfer.spec import JsonObject

TOLERANCES = "tolerances"
"""Key of ``sweep.json``."""


def declared_tolerances(config: JsonObject) -> JsonObject:
    """What a resolved suite declares as δ, for each of its targets.

    A target's own ``raw_delta`` comes first, then the analysis'; without one δ is ``analysis.delta`` of the
    way from the random policy to something that no run of the sweep can move: a reference that is a number,
    else the target's reward threshold. Only where there is neither, it is a share of what training from
    scratch gains.

    Args:
        config: as ``sweep.json`` holds it, reward thresholds of the environments included.

    Returns:
        Target → ``{"raw": δ}`` in the measure's unit, or ``{"share": …, "of": "number" | "threshold" |
        "scratch", "reference": J}`` (no reference for ``scratch``).
    """
    analysis = config.get("analysis") or {}
    share, reference = analysis.get("delta", 0.05), analysis.get("reference")
    found: JsonObject = {}
    for name, entry in (config.get("targets") or {}).items():
        target = entry if isinstance(entry, Mapping) else {}
        raw = analysis.get("raw_delta") if target.get("raw_delta") is None else target["raw_delta"]
        threshold = target.get("reward_threshold")
        if raw is not None:
            found[name] = {"raw": raw}
        elif isinstance(reference, int | float):
            found[name] = {"share": share, "of": "number", "reference": reference}
        elif threshold is not None:
            found[name] = {"share": share, "of": "threshold", "reference": threshold}
        else:
            found[name] = {"share": share, "of": "scratch"}
    return found


def keep_tolerances(planned: JsonObject, before: JsonObject) -> tuple[JsonObject, list[str]]:
    """A manifest with the δ that its folder began with.

    Args:
        planned: the manifest of what is to run.
        before: the one that the folder has; without tolerances (a sweep of an older version) nothing is kept.

    Returns:
        The manifest to write, and the targets whose δ is another one than the suite declares now.
    """
    new, first = planned.get(TOLERANCES) or {}, before.get(TOLERANCES) or {}
    kept = {name: first.get(name, mine) for name, mine in new.items()}
    return {**planned, TOLERANCES: kept}, [name for name, mine in new.items() if kept[name] != mine]
