"""Event files of a sweep by target, strategy and seed: readable links into the folders of its runs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from rl_transfer.results.scores import SCORES
from rl_transfer.results.tuning import TUNING

SEEDS = "tensorboard-seeds"
"""The folder of a sweep that holds the links."""


class Planned(Protocol):
    """One row of ``sweep.json``."""

    @property
    def id(self) -> str:
        """Of the run."""

    @property
    def role(self) -> str:
        """``source``, ``target``, ``random``, ``scores`` or ``tuning``."""

    @property
    def source(self) -> str | None:
        """The source that it is, or that feeds it."""

    @property
    def target(self) -> str | None:
        """The target that it trains on."""

    @property
    def strategy(self) -> str | None:
        """How it uses the source."""

    @property
    def seed(self) -> int:
        """Its seed index."""


def arm_place(target: str, strategy: str, source: str | None, *, several: bool) -> Path:
    """``<target>/<strategy>``, with ``--from-<source>`` where there are several sources.

    Args:
        target: the target.
        strategy: the strategy.
        source: the source, if the strategy uses one.
        several: whether the sweep has more than one source.

    Returns:
        A relative path.
    """
    return Path(target, f"{strategy}--from-{source}" if source and several else strategy)


def link_events(root: Path, rows: Iterable[Planned], *, several: bool) -> None:
    """Link event files of runs under ``tensorboard-seeds/<target>/<strategy>/seed-<i>``.

    Sources lie under ``sources/<source>/seed-<i>``. Runs without event files get no link, nor do those of
    tuning; links of runs that are not linked again are left as they are.

    Args:
        root: the sweep's folder.
        rows: of the sweep, all of them or those of some runs.
        several: whether the sweep has more than one source.
    """
    for row in rows:
        events = root / "runs" / row.id / "tensorboard"
        if row.role in ("random", SCORES, TUNING) or not events.is_dir():
            continue
        if row.role == "source":
            place = Path("sources", str(row.source))
        else:
            place = arm_place(str(row.target), str(row.strategy), row.source, several=several)
        _link(root / SEEDS / place / f"seed-{row.seed}", events)


def _link(link: Path, events: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    target = os.path.relpath(events, link.parent)
    if link.is_symlink():
        if os.readlink(link) == target:
            return
        link.unlink()
    elif link.exists():
        return  # the sweep was copied with what its links lead to
    link.symlink_to(target, target_is_directory=True)
