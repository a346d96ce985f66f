"""Writes the tables of ``docs/environments.md`` from the registry.

    python -m rl_transfer_envs.show.docs docs/environments.md            rewrite the tables
    python -m rl_transfer_envs.show.docs docs/environments.md --check    exit 1 if they are stale
    python -m rl_transfer_envs.show.docs docs/environments.md --pictures docs/images/envs    draw the pictures

Only what stands between ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->`` is replaced; NAME is
``counts``, ``parameters``, ``wrappers`` or ``targets``.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from rl_transfer_envs.aliases import Given
from rl_transfer_envs.errors import InvalidSpecError
from rl_transfer_envs.registry.parameters import environments, own_parameters, parameters
from rl_transfer_envs.show.catalogue import counts, show_rows, table, wrapper_rows
from rl_transfer_envs.show.preview import preview

PICTURES: dict[str, tuple[Given, str | None, int]] = {
    "cartpole-longer-pole": ({"id": "CartPole-v1", "perturb": [{"length": "x3"}]}, "balance", 60),
    "acrobot-longer-lower-link": (
        {"id": "Acrobot-v1", "perturb": [{"link_length_2": "x1.5"}]},
        "swing up",
        45,
    ),
    "mountain-car-steeper-hill": (
        {"id": "MountainCar-v0", "perturb": [{"gravity": "x1.2"}]},
        "with the velocity",
        90,
    ),
    "pendulum-lighter-gravity": (
        {"id": "Pendulum-v1", "perturb": [{"gravity": "x0.8"}]},
        "with the velocity",
        60,
    ),
    "lunar-lander-stronger-gravity": ({"id": "LunarLander-v3", "perturb": [{"gravity": "x1.4"}]}, None, 60),
    "half-cheetah-longer-legs": ({"id": "HalfCheetah-v5", "perturb": [{"link_length": "x1.3"}]}, None, 24),
    "pixel-catch-negative-picture": (
        {"id": "PixelCatch-v0", "perturb": [{"ball_shade": 0}, {"background_shade": 255}]},
        "constant 2",
        9,
    ),
}
"""Picture name → specification, probe policy, steps."""

_COLUMNS = ("name", "unit", "default", "bounds", "source", "summary")


def render(text: str, targets: Path) -> str:
    """A page with every generated section replaced.

    Args:
        text: the page.
        targets: folder of the shipped targets.

    Returns:
        The new page.

    Raises:
        InvalidSpecError: the page lacks a section.
    """
    sections = {
        "counts": counts_section(),
        "parameters": parameters_section(),
        "wrappers": table(wrapper_rows(), ("name", "kind", *_COLUMNS[1:])),
        "targets": targets_section(targets),
    }
    for name, body in sections.items():
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        if begin not in text or end not in text:
            raise InvalidSpecError(f"the page has no section {begin} … {end}.")
        head, _, rest = text.partition(begin)
        text = f"{head}{begin}\n\n{body}\n\n{end}{rest.partition(end)[2]}"
    return text


def counts_section() -> str:
    """How much there is, as a list."""
    return "\n".join(f"- {name}: {number}" for name, number in counts().items())


def parameters_section() -> str:
    """One table per set of environments that share all their parameters, and the general ones.

    Returns:
        Headings and tables.
    """
    groups: dict[tuple[int, ...], list[str]] = {}
    for env_id in environments():
        groups.setdefault(tuple(map(id, own_parameters(env_id).values())), []).append(env_id)
    parts = []
    for env_ids in groups.values():
        own = own_parameters(env_ids[0])
        rows = [row for row in show_rows(env_ids[0]) if row["kind"] == "physics" and row["name"] in own]
        parts.append(f"### {', '.join(env_ids)}\n\n{table(rows, _COLUMNS)}")
    first = environments()[0]
    general = set(parameters(first)) - set(own_parameters(first))
    rows = [row for row in show_rows(first) if row["kind"] == "physics" and row["name"] in general]
    parts.append(f"### Every environment\n\n{table(rows, _COLUMNS)}")
    return "\n\n".join(parts)


def targets_section(folder: Path) -> str:
    """The shipped targets: name, environment, perturbations, summary.

    Args:
        folder: their folder.

    Returns:
        The table.
    """
    rows = []
    for path in sorted(folder.glob("**/*.yaml")):
        text = path.read_text(encoding="utf-8")
        rows.append(
            {
                "target": f"`{path.relative_to(folder).with_suffix('').as_posix()}`",
                "environment": _field(r"^\s+id:\s*(.+)$", text),
                "perturb": "; ".join(re.findall(r"^\s+- (.+)$", text, re.MULTILINE)),
                "summary": _field(r"^summary:\s*(.+)$", text),
            }
        )
    return table(rows, ("target", "environment", "perturb", "summary"))


def _field(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found.group(1).strip("\"' ") if found else ""


def main(arguments: list[str] | None = None) -> int:
    """Command line: rewrite or check a page.

    Args:
        arguments: of the command line; those of the process if not given.

    Returns:
        The exit code: 1 if the page is stale, else 0.
    """
    parser = argparse.ArgumentParser(prog="python -m rl_transfer_envs.show.docs", description=__doc__)
    parser.add_argument("page", type=Path, help="docs/environments.md")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the page is stale")
    parser.add_argument(
        "--targets", type=Path, default=Path("configs/targets"), help="folder of shipped targets"
    )
    parser.add_argument("--pictures", type=Path, help="folder to draw the pictures into")
    given = parser.parse_args(arguments)
    if given.pictures is not None:
        for name, (spec, policy, steps) in PICTURES.items():
            preview(spec, given.pictures / f"{name}.png", policy=policy, steps=steps)
    old = given.page.read_text(encoding="utf-8")
    new = render(old, given.targets)
    if given.check:
        stale = old != new
        print(
            f"{given.page} is stale: run python -m rl_transfer_envs.show.docs {given.page}"
            if stale
            else "up to date"
        )
        return int(stale)
    given.page.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
