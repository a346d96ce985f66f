"""``sweep --dry-run``: what would be done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rl_transfer.cli.common import out
from rl_transfer.wording import counted

if TYPE_CHECKING:
    from rl_transfer.sweep.json_lines import JsonLines
    from rl_transfer.sweep.sweep import Plan

LISTED = 200
"""Runs that are listed one by one; of more only the counts are told."""


def tell_notes(notes: Sequence[str], quiet: bool, lines: JsonLines | None) -> None:
    """Say what was decided while a sweep was planned.

    Args:
        notes: a line each.
        quiet: say nothing to people.
        lines: for scripts, who are told anyway; None: for people.
    """
    for note in notes:
        if lines is not None:
            lines.say("note", text=note)
        elif not quiet:
            _print(note)


def show_forecast(plan: Plan, workers: int, kind: str, lines: JsonLines | None) -> None:
    """Print what a sweep would do; nothing is written.

    Args:
        plan: what would run, and where; the folder may not exist.
        workers: how many would run at a time.
        kind: of the suite.
        lines: for scripts; None: for people.
    """
    from rl_transfer.analysis import undecided
    from rl_transfer.sweep.dispatch import room
    from rl_transfer.sweep.forecast import forecast
    from rl_transfer.wording import clock

    look = plan.next(undecided)
    graph, store = look.graph, plan.store
    found = forecast(graph, store, workers)
    most = len(plan.graph.specs)
    if lines is not None:
        lines.say(
            "planned",
            runs=len(graph.specs),
            reused=sum(found.reused.values()),
            steps=found.steps,
            workers=workers,
            folder=str(store.root),
            roles={**found.runs},
            seconds=found.seconds,
            bytes=found.bytes,
            most=most,
        )
        tell_notes(plan.notes, False, lines)
        return
    if len(graph.specs) <= LISTED:
        for identifier in graph.specs:
            stands = f" ({found.damaged[identifier]})" if identifier in found.damaged else ""
            stands = " (finished)" if identifier in found.finished else stands
            _print(f"{identifier}  {graph.label(identifier)}{stands}")
    for role, number in found.runs.items():
        _print(f"{role + ':':<10}{counted(number, 'run')}, {found.reused.get(role, 0)} of them finished")
    tell_notes(plan.notes, False, lines)
    _print(f"{counted(len(graph.specs), 'run')} for {counted(len(graph.rows), 'place')} of the matrix")
    if plan.tuning is not None:
        tune = plan.tuning.tune
        chosen = "every arm chooses one by" if plan.tuning.open else "every arm has chosen one by"
        _print(f"tuning:   {counted(len(tune.points), 'point')}, {chosen} {tune.by} of {tune.seeds} seeds")
    if look.number == 0:
        _print(f"          these are the tuning runs; with the judged ones at most {counted(most, 'run')}")
    elif look.words:
        _print(f"looks:    {plan.look_words}; now {look.words}")
        _print(f"at most:  {counted(most, 'run')}, if a cell goes on to the last look")
    _print(f"to do:    {counted(found.to_do, 'run')}, {found.steps:,} {room(kind).labels.unit}")
    why = f"by {counted(found.measured, 'finished run')} in {store.root}"
    if not found.measured:
        why = f"no run in {store.root} is finished"
    if found.seconds is None:
        _print(f"time:     unknown ({why if not found.measured else 'no finished run has a budget'})")
    else:
        _print(f"time:     {clock(found.seconds)} on {counted(workers, 'worker')} ({why})")
    if found.bytes is None:
        _print(f"disk:     unknown ({why})")
    else:
        _print(f"disk:     {found.bytes / 1e6:,.1f} MB ({why})")


def _print(text: str) -> None:
    out.print(text, soft_wrap=True)
