"""When frozen parts become trainable: schedules by share of the training budget."""

from __future__ import annotations

from dataclasses import dataclass

from rl_transfer.errors import TransferError


@dataclass(frozen=True)
class ThawStep:
    """From ``share`` of the budget on (0 < share < 1), ``selectors`` are trainable."""

    share: float
    selectors: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise TransferError(
                f"a thaw at share {self.share} of the budget is impossible; give a number between 0 and 1"
            )
        if not self.selectors:
            raise TransferError(f"the thaw at share {self.share} names no part")
