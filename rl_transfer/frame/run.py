"""The outer stages of a run of any kind: begin its folder, do the work, write the record last."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping

import torch

from rl_transfer.results import RunFolder
from rl_transfer.spec.base import Json
from rl_transfer.spec.experiment import RunConfig
from rl_transfer.spec.modules import import_named


def execute_run(
    run: RunConfig,
    folder: RunFolder,
    versions: Mapping[str, str],
    work: Callable[[], Mapping[str, Json]],
) -> None:
    """Execute one run and leave its finished record in ``folder``.

    Torch works on one thread: on small networks more threads are slower and change the rounding.

    Args:
        run: everything that can change the result.
        folder: the run's folder; what an interrupted attempt left there is cleared.
        versions: of the libraries that can change a number, for the record.
        work: does the run; returns what the record says of it.

    Raises:
        RLTransferError: anything that the run was given is wrong; nothing finished is lost.
    """
    torch.set_num_threads(1)
    import_named(run)
    folder.begin(run)
    started = datetime.datetime.now(datetime.UTC).isoformat()
    clock, cpu = time.monotonic(), time.process_time()
    result = work()
    folder.finish(
        {
            "kind": run.kind,
            "spec": run.plain(),
            "total_steps": run.total_steps,
            "versions": dict(versions),
            "started": started,
            "finished": datetime.datetime.now(datetime.UTC).isoformat(),
            "wall_seconds": time.monotonic() - clock,
            "cpu_seconds": time.process_time() - cpu,
            **result,
        }
    )
