"""``sweep`` and ``report``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from rl_transfer.api.given import located, read_config, refuse_missing_sources
from rl_transfer.cli.common import (
    AsJson,
    Events,
    Output,
    Overrides,
    ReuseDespite,
    err,
    json_alone,
    out,
    say,
    shipped_names,
)
from rl_transfer.cli.dry_run import show_forecast, tell_notes
from rl_transfer.cli.executors import (
    Address,
    CpusPerRun,
    ExecutorName,
    GpusPerRun,
    ReturnResults,
    StallMinutes,
    Timeout,
    Where,
    executor_of,
)
from rl_transfer.cli.tracked import Track, tell_problem
from rl_transfer.errors import Interrupted

if TYPE_CHECKING:
    from rl_transfer.frame import Say
    from rl_transfer.results import Labels
    from rl_transfer.spec import MatrixConfig
    from rl_transfer.sweep.executor import Executor
    from rl_transfer.sweep.json_lines import JsonLines
    from rl_transfer.sweep.scheduler import OnChange
    from rl_transfer.sweep.sweep import Plan


def sweep(
    config: Annotated[
        str,
        typer.Argument(
            help="A YAML file, or the name of a shipped suite.", autocompletion=shipped_names("suites")
        ),
    ],
    overrides: Overrides = None,
    output: Output = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", "-j", min=1, help="Runs at a time; default: one per core, as far as memory reaches."
        ),
    ] = None,
    runs_per_worker: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Runs that a process executes, one after the other; 1: a process for each; default: 100.",
            show_default=False,
        ),
    ] = None,
    timeout: Timeout = None,
    stall_minutes: StallMinutes = None,
    executor: ExecutorName = Where.local,
    address: Address = None,
    cpus_per_run: CpusPerRun = None,
    gpus_per_run: GpusPerRun = None,
    return_results: ReturnResults = False,
    track: Track = None,
    events: Events = True,
    dry_run: Annotated[
        bool,
        typer.Option(
            help="Check everything; say what is to be done, in what time, on how much disk. Write nothing."
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors and, at the end, what was found.")
    ] = False,
    json_lines: Annotated[
        bool, typer.Option("--json-lines", help="Print a JSON object per event and line, for scripts.")
    ] = False,
    replace_matrix: Annotated[
        bool, typer.Option(help="Let this suite take the place of another matrix in the folder.")
    ] = False,
    reuse_despite: ReuseDespite = None,
) -> None:
    """Run a whole transfer matrix: sources × targets × strategies × seeds, with baselines and controls.

    Interrupt it whenever you like (Ctrl-C, crash, kill): the same command continues where it
    stopped, and finished runs are never computed again.

    Example: rl-transfer sweep quickstart seeds=3 --output results/try
    """
    from rl_transfer.frame import silent
    from rl_transfer.sweep.dispatch import SUITES

    with json_alone() if json_lines else nullcontext() as write:
        loaded = read_config(config, SUITES, "suites", overrides)
        with located(loaded):
            refuse_missing_sources(loaded.config)

        from rl_transfer.sweep.json_lines import JsonLines  # heavy: a config is refused without them
        from rl_transfer.sweep.memory import choose_workers
        from rl_transfer.sweep.sweep import prepare

        show = _show(quiet, json_lines)
        make_executor = executor_of(
            executor, workers, lambda: here, runs_per_worker, address, cpus_per_run, gpus_per_run,
            share=not return_results, timeout=timeout, stall=stall_minutes, say=show,
        )  # fmt: skip
        lines = JsonLines(write) if write is not None else None
        suite = loaded.config
        folder = output or Path("results", suite.name)
        with located(loaded), _checking(quiet or json_lines) as tell:
            despite = (reuse_despite or "").split(",")
            plan = prepare(suite, folder, tell, replace=replace_matrix, despite=despite, events=events)
        here = choose_workers(workers, show if executor is Where.local else silent, plan.memory)
        if dry_run:
            show_forecast(plan, here, suite.kind, lines)
        else:
            _run_sweep(plan, make_executor, suite, replace_matrix, track, quiet, lines)


def report(
    folder: Annotated[Path, typer.Argument(help="The output folder of a sweep.")],
    as_json: AsJson = False,
    live: Annotated[
        bool,
        typer.Option("--live", help="Follow a sweep that runs: keep its page up to date until it has ended."),
    ] = False,
    every: Annotated[
        int | None,
        typer.Option(
            min=1, help="Seconds between two looks of --live, at least; default: 60.", show_default=False
        ),
    ] = None,
) -> None:
    """Recompute tables, figures, the HTML page and the TensorBoard comparison from the records alone.

    With --json the summary (cells, verdicts, settings) is printed in place of the table. With --live the
    page says what is done, decided and running, beside a sweep that goes on elsewhere.

    Example: rl-transfer report results/quickstart
    """
    if live and as_json:
        raise typer.BadParameter("--live and --json exclude each other: scripts follow sweep --json-lines")
    if every is not None and not live:
        raise typer.BadParameter("--every belongs to --live")
    if live:
        from rl_transfer.cli.live import follow

        follow(folder, every or 60)
        return
    if not as_json:
        _write_report(folder)
        return
    from rl_transfer.report import write_report

    with json_alone() as write:
        write(write_report(folder).summary.read_text(encoding="utf-8").rstrip())


def _show(quiet: bool, json_lines: bool) -> Say:
    """Where lines about a cluster go."""
    if json_lines:
        return partial(err.print, soft_wrap=True)
    return (lambda line: None) if quiet else say


@contextmanager
def _checking(silently: bool) -> Iterator[Say]:
    """A line on the terminal that says what is being checked."""
    if silently:
        yield lambda line: None
        return
    with err.status("checking everything") as status:
        yield lambda line: status.update(Text(line))


@contextmanager
def _display(labels: Labels, quiet: bool, lines: JsonLines | None) -> Iterator[OnChange]:
    """What shows how a sweep goes."""
    from rl_transfer.sweep.progress import Progress

    if lines is not None:
        yield lines.update
    elif quiet:
        yield lambda state, events: None
    else:
        with Progress(out, labels) as progress:
            yield progress.update


def _run_sweep(
    plan: Plan,
    make_executor: Callable[[Path], Executor],
    suite: MatrixConfig,
    replace: bool,
    track: str | None,
    quiet: bool,
    lines: JsonLines | None,
) -> None:
    from rl_transfer.analysis import undecided
    from rl_transfer.api.suites import refuse_failures, run_suite
    from rl_transfer.sweep.dispatch import room
    from rl_transfer.sweep.progress import headline

    graph, folder = plan.graph, plan.store.root
    tell_notes(plan.notes, quiet, lines)
    if not quiet and lines is None:
        most = "at most " if plan.looks(undecided).several else ""
        out.print(f"{most}{len(graph.specs)} runs → {folder}", soft_wrap=True)
    note = say if lines is None else partial(err.print, soft_wrap=True)
    labels = room(suite.kind).labels
    try:
        state, problem = run_suite(
            suite, plan, make_executor, _display(labels, quiet, lines), note,
            track=track, replace=replace, own_process=True,
        )  # fmt: skip
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted: {plan.finished()} of {len(graph.specs)} runs are finished and kept in {folder}; "
            "the same command continues from here"
        ) from None
    tell_problem(problem)
    if lines is None:
        out.print(headline(state, labels), soft_wrap=True)
    for group, what in ((state.failed, "failed"), (state.skipped, "skipped")):
        for identifier, reason in group.items():
            err.print(f"{what}: {state.graph.label(identifier)}: {reason}", soft_wrap=True)
    _write_report(folder, lines)
    refuse_failures(state)


def _write_report(folder: Path, lines: JsonLines | None = None) -> None:
    from rl_transfer.report import write_report

    paths = write_report(folder)
    if lines is not None:
        lines.say("report", summary=str(paths.summary), page=str(paths.page), figures=str(paths.figures))
        return
    out.print(paths.table, soft_wrap=True)
    out.print(
        f"summary:     {paths.summary}\nreport page: {paths.page}\nfigures:     {paths.figures}\n"
        f"TensorBoard: rl-transfer board {folder}",
        soft_wrap=True,
    )
