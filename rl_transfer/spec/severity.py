"""A target with a list of severities stands for a target at each of them.

    heavy:
      severity: [0.25, 0.5, 1.0]
      env: {id: CartPole-v1, perturb: [{masscart: {towards: high}}]}

is ``heavy-0.25``, ``heavy-0.5`` and ``heavy-1``, with ``{severity: 0.25, towards: high}`` and so on. What
has a value, or a severity of its own, keeps it in all of them.
"""

from __future__ import annotations

import copy

from rl_transfer.errors import ConfigError
from rl_transfer.spec.base import JsonObject
from rl_transfer.spec.yaml_map import Document, Key, Place
from rl_transfer.wording import shortened

_MOST = 100
"""Points of one dose-response curve."""


def expand_severities(document: Document) -> None:
    """Write the targets of every list of severities out.

    Args:
        document: a suite; its targets, and their places, are changed in place.

    Raises:
        ConfigError: a list that is empty or holds something else, nothing that takes a severity, or a
            name that is taken.
    """
    targets = document.data.get("targets")
    if not isinstance(targets, dict):
        return
    written: JsonObject = {}
    places = _places_of_targets(document)
    for name, target in targets.items():
        listed = isinstance(target, dict) and isinstance(target.get("severity"), list)
        if not listed or not isinstance(target.get("env"), dict):
            written[name] = target
            continue
        key = ("targets", name, "severity")
        for severity in _severities(document, key, target["severity"]):
            new = f"{name}-{severity:.15g}"
            if new in targets or new in written:
                raise _wrong(document, key, f"severity {severity:g} makes a target {new!r}, and there is one")
            written[new] = _at(document, key, target, severity)
            document.places.update({("targets", new, *known): where for known, where in places[name].items()})
    document.data["targets"] = written


def _places_of_targets(document: Document) -> dict[str | int, dict[Key, Place]]:
    """Target → its keys, from the target down, and their places."""
    found: dict[str | int, dict[Key, Place]] = {}
    for key, place in document.places.items():
        if key[:1] == ("targets",) and len(key) > 1:
            found.setdefault(key[1], {})[key[2:]] = place
    return found


def _severities(document: Document, key: Key, given: list[object]) -> list[float]:
    found = [
        each
        for each in given
        if isinstance(each, int | float) and not isinstance(each, bool) and 0 < each <= 1
    ]
    if len(given) > _MOST:
        raise _wrong(document, key, f"got {len(given):,} severities, expected at most {_MOST} of one target")
    if not found or len(found) != len(given):
        raise _wrong(
            document,
            key,
            f"expected numbers above 0 (the default) up to 1 (the bound), got {shortened(repr(given))}",
        )
    return found


def _at(document: Document, key: Key, target: JsonObject, severity: float) -> JsonObject:
    """The target at one severity."""
    env = copy.deepcopy(target["env"])
    if not _fill(env.get("perturb"), severity):
        raise _wrong(
            document,
            key,
            "nothing in env.perturb takes the severity; write the direction alone, such as "
            "{length: {towards: high}}",
        )
    return {**copy.deepcopy(target), "axis": key[1], "severity": severity, "env": env}


def _fill(value: object, severity: float) -> int:
    """Give a severity to every direction that stands alone; how many there were."""
    if isinstance(value, list):
        return sum(_fill(each, severity) for each in value)
    if not isinstance(value, dict):
        return 0
    if value.keys() == {"towards"}:
        value["severity"] = severity
        return 1
    return sum(_fill(each, severity) for each in value.values())


def _wrong(document: Document, key: Key, message: str) -> ConfigError:
    return ConfigError(f"{document.place(key)}: {'.'.join(map(str, key))}: {message}")
