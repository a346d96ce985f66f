"""One run that scores a source on a target: nothing is trained."""

from __future__ import annotations

from pathlib import Path

from rl_transfer.errors import BundleError, TransferError
from rl_transfer.frame import Say
from rl_transfer.frame.checkpoint import Checkpoints
from rl_transfer.frame.run import execute_run
from rl_transfer.results import RunFolder
from rl_transfer.rl.policies.bundle import load_policy, versions
from rl_transfer.rl.scores.score import STEPS, TargetSide, score_policy
from rl_transfer.spec import RLRun
from rl_transfer.spec.base import Json


def execute_scoring(run: RLRun, folder: RunFolder, source: Path | None, say: Say) -> None:
    """Score a source and leave the finished record, with ``source_scores``, in ``folder``.

    Args:
        run: of policy ``scored``.
        folder: the run's folder.
        source: bundle of the source.
        say: gets a line now and then.

    Raises:
        RLTransferError: anything that the run was given is wrong.
    """

    def work(_: Checkpoints) -> dict[str, Json]:
        if run.scores is None or source is None:
            raise TransferError("a run that scores a source needs a source, and the steps that it may use")
        policy = load_policy(source)
        if run.source is None:
            raise BundleError("a run that scores a source does not say which")
        target = TargetSide(run.env, run.scores.steps, run.root_seed, run.seed, STEPS)
        try:
            found = score_policy(policy, target, run.scores)
        finally:
            target.player.close()
        if found.returns:
            folder.append_evaluation(0, run.total_steps, found.returns, found.lengths)
        if found.cannot_act:
            say(f"the source cannot act in the target: {found.cannot_act}")
        return {
            "source_run": run.source,
            "source_scores": found.plain(),
            "measured": bool(found.returns),
        }

    execute_run(run, folder, versions(), work, say)
