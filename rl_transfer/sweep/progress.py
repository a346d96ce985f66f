"""The live display of a sweep: runs done, running, failed; steps (epochs) per second; ETA."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rl_transfer.results import Labels
from rl_transfer.sweep.scheduler import Event, State
from rl_transfer.wording import clock, visible

LINE_SECONDS = 10.0
PANEL_SECONDS = 0.25


class Progress:
    """Draws a live panel on a terminal, and a line every few seconds elsewhere.

    Args:
        console: where to draw.
        labels: what the sweep's numbers are called.
    """

    def __init__(self, console: Console, labels: Labels) -> None:
        self._console, self._labels = console, labels
        self._live = (
            Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        )
        self._every = PANEL_SECONDS if self._live else LINE_SECONDS
        self._shown = float("-inf")

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def update(self, state: State, _events: Sequence[Event] = ()) -> None:
        """Show where the sweep stands, unless that was done just now.

        Args:
            state: where the sweep stands.
        """
        if state.active and time.monotonic() - self._shown < self._every:
            return
        self._shown = time.monotonic()
        if self._live:
            self._live.update(_panel(state, self._labels))
        else:
            self._console.print(headline(state, self._labels), soft_wrap=True)


def headline(state: State, labels: Labels) -> str:
    """One line: counts, speed, ETA.

    Args:
        state: where the sweep stands.
        labels: what the sweep's numbers are called.

    Returns:
        The line, times as ``1:02:03``, speed in steps (epochs) per second of this session.
    """
    total = len(state.graph.specs)
    parts = [state.look.words] if state.look is not None and state.look.words else []
    parts.append(f"{len(state.done) + len(state.reused)}/{total} runs done")
    if state.reused:
        parts[-1] += f" ({len(state.reused)} reused)"
    parts.append(f"{len(state.running)} running")
    parts.append(f"{len(state.failed)} failed")
    if state.skipped:
        parts.append(f"{len(state.skipped)} skipped")
    elapsed = time.monotonic() - state.started
    rate = state.steps_done() / elapsed if elapsed > 0 else 0.0
    if rate > 0:
        parts.append(f"{rate:,.0f} {labels.rate}" if rate >= 10 else f"{rate:.2g} {labels.rate}")
    left = state.estimate.seconds_left(time.monotonic())
    if left is not None and state.active:
        stage = "this look" if state.look and state.look.number else "the tuning"
        parts.append(f"ETA {clock(left)}" + (f" of {stage}" if state.look and state.look.words else ""))
    parts.append(f"elapsed {clock(elapsed)}")
    if not state.active:
        parts.append(f"CPU time {clock(state.cpu_seconds)}")
    return " · ".join(parts)


def _panel(state: State, labels: Labels) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for identifier in state.running:
        beat = state.store.folder(identifier).heartbeat()
        step, total = int(beat.get("step", 0)), state.steps(identifier)
        score = beat.get("score")
        table.add_row(
            Text(state.graph.label(identifier)),
            ProgressBar(total=max(total, 1), completed=step, width=24),
            f"{step:,}/{total:,}",
            "" if score is None else f"{labels.short_measure} {score:,.4g}",
        )
    failures = [
        Text(f"failed: {state.graph.label(each)}: {visible(reason.splitlines()[0])}", style="red")
        for each, reason in list(state.failed.items())[-3:]
    ]
    bar = ProgressBar(total=max(state.steps_planned, 1), completed=state.steps_done(), width=60)
    return Group(Text(headline(state, labels)), bar, table, *failures)
