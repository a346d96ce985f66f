"""Where a sweep's runs are executed: the options of ``sweep``, and the executor that they mean."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl_transfer.errors import ConfigError

if TYPE_CHECKING:
    from rl_transfer.frame import Say
    from rl_transfer.sweep.executor import Executor


class Where(StrEnum):
    """What executes the runs of a sweep."""

    local = "local"
    ray = "ray"


Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", min=0.01, help="Minutes that a run may take; default: no limit.", show_default=False
    ),
]
StallMinutes = Annotated[
    float | None,
    typer.Option(
        "--stall-minutes",
        min=0.01,
        help="Minutes without a sign of life after which a run is ended; default: 30.",
        show_default=False,
    ),
]
ExecutorName = Annotated[
    Where, typer.Option("--executor", help="Processes of this machine, or a Ray cluster (extra: ray).")
]
Address = Annotated[
    str | None,
    typer.Option(
        help="With --executor ray: host:port of the cluster's head; default: auto.", show_default=False
    ),
]
CpusPerRun = Annotated[
    float | None,
    typer.Option(
        min=0.01, help="With --executor ray: CPUs that a run asks for; default: 1.", show_default=False
    ),
]
GpusPerRun = Annotated[
    float | None,
    typer.Option(
        min=0, help="With --executor ray: GPUs that a run asks for; default: 0.", show_default=False
    ),
]
ReturnResults = Annotated[
    bool,
    typer.Option(
        "--return-results",
        help="With --executor ray: results come over the network, also where nodes see the output folder.",
    ),
]


def executor_of(
    where: Where,
    workers: int | None,
    local_workers: Callable[[], int],
    runs_per_worker: int | None,
    address: str | None,
    cpus: float | None,
    gpus: float | None,
    *,
    share: bool,
    timeout: float | None,
    stall: float | None,
    say: Say,
) -> Callable[[Path], Executor]:
    """What makes the executor that the options mean, for the folder of a sweep.

    Args:
        where: local processes or a cluster.
        workers: runs at a time on a cluster; None: as many as fit.
        local_workers: runs at a time on this machine; asked when the executor is made.
        runs_per_worker: that a process executes, one after the other; None: the default.
        address: of the cluster.
        cpus: that a run asks for.
        gpus: that a run asks for.
        share: let nodes that see the sweep's folder write to it.
        timeout: minutes that a run may take; None: no limit.
        stall: minutes without a sign of life; None: the default.
        say: gets a line about the cluster, or about a run that is tried again, now and then.

    Raises:
        ConfigError: an option of clusters is given without one.
    """
    from rl_transfer.sweep.local import RUNS_PER_WORKER, LocalExecutor
    from rl_transfer.sweep.watch import STALL_MINUTES, Limits

    runs = runs_per_worker or RUNS_PER_WORKER
    limits = Limits(timeout, STALL_MINUTES if stall is None else stall)
    if where is Where.ray:
        from rl_transfer.sweep.nodes import Request
        from rl_transfer.sweep.ray import RayExecutor

        request = Request(cpus or 1.0, gpus or 0.0, workers, runs, limits)
        return lambda root: RayExecutor(root, address or "auto", request, share=share, say=say)
    given = [
        name
        for name, value in (("address", address), ("cpus-per-run", cpus), ("gpus-per-run", gpus))
        if value is not None
    ]
    given += [] if share else ["return-results"]
    if given:
        raise ConfigError(f"--{given[0]} is about a cluster: give --executor ray too, or leave it out")
    return lambda _: LocalExecutor(local_workers(), runs, limits, say)
