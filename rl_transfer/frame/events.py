"""TensorBoard's event files of a run: everything of one step is one event, written at once.

PyTorch's ``SummaryWriter`` makes an event of every value and hands it to a thread of its own; in a short run
that takes longer than everything else beside the training.
"""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from rl_transfer.results import RunFolder

if TYPE_CHECKING:
    import numpy as np

_numbers = itertools.count()


class EventWriter:
    """Writes one event file of a run; nothing, where the run is to have none.

    Args:
        folder: the run's.
        purge_step: events of this step and later ones, in files of before, never came to be.
    """

    def __init__(self, folder: RunFolder, purge_step: int | None = None) -> None:
        self._records: RecordWriter | None = None
        if not folder.events:
            return
        folder.tensorboard.mkdir(parents=True, exist_ok=True)
        began = time.time()
        number = f"{os.getpid()}.{next(_numbers)}"
        name = f"events.out.tfevents.{int(began):010d}.{socket.gethostname()}.{number}"
        self._records = RecordWriter((folder.tensorboard / name).open("ab"))
        self._write(Event(wall_time=began, step=purge_step, file_version="brain.Event:2"))
        if purge_step is not None:
            start = SessionLog(status=SessionLog.START)
            self._write(Event(wall_time=began, step=purge_step, session_log=start))

    def add_scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write numbers, each under its tag.

        Args:
            values: tag → number.
            step: environment steps, or epochs.
        """
        if self._records is None or not values:
            return
        each = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=each)))

    def add_image(
        self, tag: str, picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], step: int
    ) -> None:
        """Write a picture.

        Args:
            tag: what it is called.
            picture: [height, width, 3].
            step: environment steps, or epochs.
        """
        if self._records is None:
            return
        from torch.utils.tensorboard.summary import image

        summary = image(tag, picture, dataformats="HWC")  # type: ignore[no-untyped-call]
        self._write(Event(wall_time=time.time(), step=step, summary=summary))

    def close(self) -> None:
        """End the file."""
        if self._records is not None:
            self._records.close()

    def _write(self, event: Event) -> None:
        if self._records is not None:
            self._records.write(event.SerializeToString())
            self._records.flush()
