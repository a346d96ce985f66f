"""What Stable-Baselines3 logs, as events of the run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat

from rl_transfer.frame.events import EventWriter
from rl_transfer.results import RunFolder


def logger_of(folder: RunFolder, events: EventWriter) -> Logger:
    """SB3's logger for a run.

    Args:
        folder: the run's.
        events: where numbers go; closed by whoever opened them.
    """
    outputs: list[KVWriter] = [TrainingEvents(events, folder.tensorboard / "others")] if folder.events else []
    return Logger(str(folder.path), outputs)


class TrainingEvents(KVWriter):
    """Numbers go into the run's own events; what else a hook logs becomes a run of its own beside them.

    Args:
        events: of the run.
        others: folder for texts, pictures and distributions; made when there are any.
    """

    def __init__(self, events: EventWriter, others: Path) -> None:
        self._events, self._others = events, others
        self._format: TensorBoardOutputFormat | None = None

    def write(
        self,
        key_values: Mapping[str, object],
        key_excluded: Mapping[str, tuple[str, ...] | None],
        step: int = 0,
    ) -> None:
        """Called by SB3's logger after every rollout.

        Args:
            key_values: tag → what was logged.
            key_excluded: tag → formats that it is not for.
            step: environment steps.
        """
        shown = {
            key: value for key, value in key_values.items() if "tensorboard" not in (key_excluded[key] or ())
        }
        numbers = {
            key: float(value) for key, value in shown.items() if isinstance(value, int | float | np.number)
        }
        self._events.add_scalars(numbers, step)
        rest = {key: value for key, value in shown.items() if key not in numbers}
        if rest:
            self._format = self._format or TensorBoardOutputFormat(str(self._others))
            self._format.write(rest, dict.fromkeys(rest, ()), step)

    def close(self) -> None:
        """Called when the run has ended; the run's own events are closed by whoever opened them."""
        if self._format is not None:
            self._format.close()
