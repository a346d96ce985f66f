"""Code that nothing in the product uses: found by vulture, compared with the list of what may stay.

A name that only tests use is unused. ``tests/unused.txt`` lists the names that may stay and why; a name
that is new, or listed but used or gone, ends this with exit code 1::

    python tests/support/dead_code.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from vulture import Vulture

ROOT = Path(__file__).resolve().parent.parent.parent
ALLOWED = ROOT / "tests" / "unused.txt"
# Frameworks call what carries these decorators.
CALLED = [
    "@register_perturbation*",
    "@model_serializer*",
    "@model_validator*",
    "@field_validator*",
    "@app.command*",
    "@app.callback*",
]


def unused() -> dict[str, str]:
    """Name → where it is defined, of every class, function, attribute and variable that nothing uses."""
    finder = Vulture(ignore_decorators=CALLED)
    finder.scavenge([str(ROOT / "rl_transfer"), str(ROOT / "envs" / "rl_transfer_envs")])
    places = {}
    for item in finder.get_unused_code(min_confidence=60):
        place = Path(item.filename).relative_to(ROOT)
        # The fields of a config travel as data: Stable-Baselines3 or the analysis gets them by name.
        travels = item.typ == "variable" and place.is_relative_to("rl_transfer/spec")
        if not travels and not item.name.startswith("__"):
            places[item.name] = f"{place}:{item.first_lineno}"
    return places


def allowed() -> set[str]:
    """The names of the list, without their reasons."""
    lines = ALLOWED.read_text(encoding="utf-8").splitlines()
    return {line.split("#")[0].strip() for line in lines} - {""}


def main() -> int:
    """Print every difference between what is unused and what may be; 1 if there is one."""
    found, listed = unused(), allowed()
    for name in sorted(found.keys() - listed):
        print(f"{found[name]}: nothing uses {name}; delete it, or list it in {ALLOWED.name} and say why")
    for name in sorted(listed - found.keys()):
        print(f"{ALLOWED.name}: {name} is used or gone; take it off the list")
    return int(found.keys() != listed)


if __name__ == "__main__":
    sys.exit(main())
