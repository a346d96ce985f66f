"""What the tasks of a suite look like, drawn by a process of its own: renderers are other people's code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping

from rl_transfer.results.portraits import Portrait, Portraits, portrait_of
from rl_transfer.rl.environments.described import as_spec
from rl_transfer.spec import Environment, RLSuite, digest
from rl_transfer.spec.base import Json

SECONDS = 60.0
"""A renderer that waits for a display is not waited for longer."""


def portray(suite: RLSuite, known: Portraits) -> Iterator[Portraits]:
    """Portray the environments of a suite.

    Args:
        suite: sources that are policies may lack their environment.
        known: the portraits that are there.

    Yields:
        First empty ones, where ``known`` is of other environments; then words and pictures, unless the
        process fails. Nothing where ``known`` is of the same environments and no drawing failed.
    """
    groups: dict[str, dict[str, Environment]] = {
        "targets": {name: each.env for name, each in suite.targets.items()},
        "sources": {name: each.env for name, each in suite.sources.items() if each.env is not None},
    }
    specs: dict[str, Json] = {
        f"{group}.{name}": {**as_spec(env)} for group, envs in groups.items() for name, env in envs.items()
    }
    key = digest(specs)
    if key == known.key and not known.failed:
        return
    if key != known.key and known != Portraits():
        yield Portraits()
    found = _ask(specs)
    if found is None:
        return
    targets, sources = (
        {name: found[f"{group}.{name}"] for name in envs if f"{group}.{name}" in found}
        for group, envs in groups.items()
    )
    yield Portraits(key, targets, sources)


def _ask(specs: Mapping[str, Json]) -> dict[str, Portrait] | None:
    """The other process finds modules where this one does, and never in the current folder first."""
    path = os.pathsep.join(filter(None, sys.path))
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "rl_transfer_envs.show.portrait"],
            input=json.dumps(specs), capture_output=True, text=True, encoding="utf-8", timeout=SECONDS,
            check=True, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return {name: portrait_of(each) for name, each in found.items()} if isinstance(found, dict) else None
