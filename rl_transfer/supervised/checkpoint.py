"""The checkpoint of a training run: taken between two epochs, restored in the same place.

What comes before training (the data, the transfer, what a strategy holds on to, cached features, the probe)
follows from the run's config and is computed again. The order of the items follows from seed and epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from rl_transfer.core.randomness import generator_states, set_generator_states
from rl_transfer.frame import Say
from rl_transfer.frame.checkpoint import Checkpoints
from rl_transfer.frame.restore import restore
from rl_transfer.frame.state import MISSING, CannotCapture, CannotRestore, capture
from rl_transfer.spec.base import JsonObject
from rl_transfer.supervised.curve import EpochCurve
from rl_transfer.supervised.loop import LoopState, TrainingLoop
from rl_transfer.supervised.transfer import ClassifierTransfer


@dataclass
class EpochCheckpoints:
    """Takes and restores the checkpoints of one training run.

    Attributes:
        checkpoints: on disk.
        network: that is trained.
        transfer: the strategy, applied to it.
        loop: that trains it.
        curve: of its accuracy.
        device: where it is.
        say: gets a line when the run goes on.
    """

    checkpoints: Checkpoints
    network: nn.Module
    transfer: ClassifierTransfer
    loop: TrainingLoop
    curve: EpochCurve
    device: torch.device
    say: Say

    def _root(self) -> dict[str, object]:
        return {
            "network": self.network,
            "optimizer": self.loop.optimizer,
            "loop": self.loop.state(),
            "match": None if self.transfer.match is None else self.transfer.match.kept(),
            "points": self.curve.points,
            "generators": generator_states(),
        }

    def follow(self, epoch: int) -> None:
        """Take a checkpoint if it is time.

        Args:
            epoch: epochs finished, and everything done that follows one.
        """
        if not self.checkpoints.due:
            return
        try:
            state = capture(self._root())
        except CannotCapture as error:
            self.checkpoints.stop(str(error))
            return
        extra: JsonObject = {"device": self.device.type, "thaws": list(self.transfer.taken_thaws)}
        self.checkpoints.write(epoch, state, extra)

    def restore(self) -> int | None:
        """Put everything back to where the current checkpoint was taken.

        Returns:
            Epochs finished by then; None where the run begins anew.

        Raises:
            CannotRestore: the checkpoint does not fit the run; the network must not be used any more.
        """
        found = self.checkpoints.current
        if found is None:
            return None
        before, now = found.about.get("device"), self.device.type
        if before != now:
            raise CannotRestore(f"it was taken on {before}, and this is {now}")
        try:
            for share in dict.fromkeys(found.about["thaws"]):
                self.transfer.progress(share)
            twins = {**self._root(), "loop": MISSING, "points": MISSING, "generators": MISSING}
            root = cast("dict[str, object]", restore(found.state, twins))
            self.loop.restore(cast("LoopState", root["loop"]))
            self.curve.restore(cast("list[float]", root["points"]))
            set_generator_states(cast("dict[str, object]", root["generators"]))
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CannotRestore(f"{type(error).__name__}: {error}") from error
        self.checkpoints.resumed.append({"step": found.step})
        self.checkpoints.wait()
        self.say(f"epoch {found.step:>5,}  resumed")
        return found.step
