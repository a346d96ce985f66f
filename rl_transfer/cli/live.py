"""``report --live``: follow a sweep that somebody else runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rl_transfer.cli.common import say
from rl_transfer.errors import Interrupted, StoreError

if TYPE_CHECKING:
    from rl_transfer.report.live import LivePage

IDLE = 9.0
"""Seconds of rest for each one of processor time: it takes a tenth of one processor at most."""
SILENT = 600.0
"""Seconds without a sign of life after which a sweep that nobody holds has stopped."""
PATIENCE = 30
"""Seconds until a sweep that has ended is not waited for to write its own report."""


def follow(folder: Path, every: int) -> None:
    """Keep the page of a sweep up to date until the sweep has ended. The sweep is left alone.

    Args:
        folder: the sweep's.
        every: seconds between two looks, at least.

    Raises:
        StoreError: it is no sweep folder, it has stopped, or the page cannot be written.
        Interrupted: a person ended it.
    """
    try:
        _follow(folder, every)
    except KeyboardInterrupt:
        raise Interrupted(f"no longer following {folder}; the sweep is left as it is") from None


def _follow(folder: Path, every: int) -> None:
    from rl_transfer.report.live import LivePage
    from rl_transfer.report.running_view import moment, progress_line
    from rl_transfer.results.locks import is_at_work
    from rl_transfer.results.standing import Onlooker
    from rl_transfer.sweep.remaining import seconds_left

    onlooker, page = Onlooker(folder), LivePage(folder, every)
    most, said, followed = 1, "", False
    while True:
        begun = time.process_time()
        standing = onlooker.look()
        if not followed:
            say(f"{folder} → {page.path}; Ctrl-C ends this, not the sweep")
        if standing.all_ended and not is_at_work(folder):
            _end(page, standing.seen, PATIENCE if followed else 0)
            say(f"{progress_line(standing)}: the sweep has ended; the page is the full report")
            return
        stopped = time.time() - standing.seen > SILENT and not is_at_work(folder)
        most = max(most, len(standing.running))
        written = page.write(standing, seconds_left(standing, most), stopped=stopped)
        line = progress_line(standing)
        if written and line != said:
            say(f"{moment(time.time())}  {line}")
            said = line
        if stopped:
            raise StoreError(
                f"{folder}: {line}, and no sign of life since {moment(standing.seen)}: nobody is at work "
                "there. Run the same sweep again: it goes on from where it stopped, and can be followed again"
            )
        followed = True
        time.sleep(max(every, IDLE * (time.process_time() - begun)))


def _end(page: LivePage, seen: float, patience: int) -> None:
    """The full report, from the sweep itself if it writes one."""
    for _ in range(patience):
        if page.complete(seen):
            return
        time.sleep(1)
    if not page.complete(seen):
        page.finish()
