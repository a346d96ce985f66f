"""Where jobs run: the protocol that local processes implement, and a cluster can."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Protocol

from rl_transfer.errors import RLTransferError


class RunFailed(RLTransferError):
    """A run failed where it was executed; the message says why and where its log is."""


class UnusableDisk(RunFailed):
    """The disk is full or read-only: no other run could keep its results."""


class Executor(Protocol):
    """Executes jobs somewhere else, several at a time; the scheduler knows nothing more of it.

    A second executor is one more module with these methods. Jobs are idempotent: a run's record is written
    last and atomically, so that a job that was lost can be submitted again.
    """

    @property
    def slots(self) -> int:
        """How many jobs it runs at a time; may change."""

    def submit(self, job: str) -> Future[None]:
        """Take a job; it may wait until there is room.

        Args:
            job: as :meth:`rl_transfer.sweep.dispatch.Job.to_json` writes it.

        Returns:
            A future that runs from the moment the job does (``set_running_or_notify_cancel``), and ends with
            None where the run has its record, with :class:`RunFailed` where it has none, and with
            :class:`UnusableDisk` where no run could have one.
        """

    def cancel(self, future: Future[None]) -> None:
        """Stop a job, whether it waits or runs; its folder stays unfinished and is begun anew another time.

        Args:
            future: from :meth:`submit`; one that is done already is left as it is.
        """

    def close(self) -> None:
        """Stop what is left and free everything."""
