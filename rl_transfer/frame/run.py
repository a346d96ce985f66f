"""The outer stages of a run of any kind: begin its folder, do the work, write the record last."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping

import torch

from rl_transfer.frame.checkpoint import FOLDER, Checkpoints
from rl_transfer.frame.provenance import code_of, machine, origin
from rl_transfer.frame.room import Say
from rl_transfer.frame.state import CannotRestore
from rl_transfer.results import RunFolder
from rl_transfer.spec.base import Json
from rl_transfer.spec.experiment import RunConfig
from rl_transfer.spec.modules import import_named


def execute_run(
    run: RunConfig,
    folder: RunFolder,
    versions: Mapping[str, str],
    work: Callable[[Checkpoints], Mapping[str, Json]],
    say: Say,
) -> None:
    """Execute one run and leave its finished record in ``folder``.

    Torch works on one thread: on small networks more threads are slower and change the rounding.

    Args:
        run: everything that can change the result.
        folder: the run's folder; what an interrupted attempt left there is cleared, but for a checkpoint.
        versions: of the libraries that can change a number, for the record.
        work: does the run, from the current checkpoint if there is one; returns what the record says of it.
        say: gets a line now and then.

    Raises:
        RLTransferError: anything that the run was given is wrong; nothing finished is lost.
    """
    torch.set_num_threads(1)
    import_named(run)
    code = code_of(
        run
    )  # now, as it is imported: who edits a module while the run trains changes the next one
    asked = origin()  # of the folder where the command was given: what runs may change it
    started = datetime.datetime.now(datetime.UTC).isoformat()
    checkpoints = Checkpoints(folder, {**code, **versions}, run.checkpoint_minutes, say)
    result = None
    while result is None:
        folder.begin(run, keep=_kept(folder, checkpoints))
        try:
            result = work(checkpoints)
        except CannotRestore as error:
            checkpoints.set_aside(str(error))
    wall, cpu = checkpoints.seconds()
    folder.finish(
        {
            "kind": run.kind,
            "spec": run.plain(),
            "total_steps": run.total_steps,
            "versions": dict(versions),
            "code": {k: text for k, text in {**code_of(run), **code}.items() if k not in versions},
            "provenance": {**asked, **machine()},
            "started": started,
            "finished": datetime.datetime.now(datetime.UTC).isoformat(),
            "wall_seconds": wall,
            "cpu_seconds": cpu,
            **({"resumed": checkpoints.resumed} if checkpoints.resumed else {}),
            **result,
        }
    )
    checkpoints.remove()


def _kept(folder: RunFolder, checkpoints: Checkpoints) -> tuple[str, ...]:
    """What of an interrupted attempt is not cleared; events of before the checkpoint are still true."""
    goes_on = checkpoints.current is not None and folder.events
    return (FOLDER, folder.tensorboard.name) if goes_on else (FOLDER,)
