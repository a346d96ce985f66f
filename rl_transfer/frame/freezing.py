"""What a strategy freezes, when it thaws, and the proof that it held."""

from __future__ import annotations

from torch import nn

from rl_transfer import core
from rl_transfer.core import PartMap
from rl_transfer.spec.base import Json


class FreezeSchedule:
    """Freezes a model as a strategy says and follows its thaw schedule.

    Args:
        model: whose parameters, buffers and modes are held.
        parts: its named parts.
        strategy: names what is frozen, when it thaws, and whether running statistics are held.

    Attributes:
        frozen: what is frozen now; None if the strategy freezes nothing.

    Raises:
        TransferError: nothing would be left to train, or a thaw changes nothing.
    """

    def __init__(self, model: nn.Module, parts: PartMap, strategy: core.Strategy) -> None:
        self._norm = strategy.norm
        self._share = 0.0
        self.frozen: core.FrozenParts | None = None
        self._schedule: core.ThawSchedule | None = None
        self._taken: list[float] = []
        if strategy.freeze:
            self.frozen = core.freeze(
                model, parts, strategy.freeze, norm=strategy.norm, key=strategy.key_of("freeze")
            )
            if strategy.thaw:
                self._schedule = core.ThawSchedule(self.frozen, strategy.thaw, key=strategy.key_of("thaw"))

    @property
    def thaws(self) -> bool:
        """Whether anything becomes trainable on the way."""
        return self._schedule is not None

    @property
    def pending(self) -> int:
        """How many thaws have not happened so far."""
        return 0 if self._schedule is None else len(self._schedule.steps) - len(self._taken)

    @property
    def taken(self) -> tuple[float, ...]:
        """The shares of the budget at which thaws happened so far, in order."""
        return tuple(self._taken)

    def progress(self, share: float) -> list[str]:
        """Thaw what is due; what was frozen so far is verified before it is let go.

        Args:
            share: share of the budget spent, 0 to 1.

        Returns:
            The selectors that became trainable by this call.

        Raises:
            FrozenTensorMoved: something frozen changed before its thaw.
        """
        if self._schedule is None or self.frozen is None:
            return []
        if any(self._share < step.share <= share for step in self._schedule.steps):
            self.frozen.verify()
        self._share = share
        taken = self._schedule.update(share)
        self._taken += [share] * len(taken)
        return [selector for step in taken for selector in step.selectors]

    def thaws_record(self) -> list[Json] | None:
        """The thaw schedule for the record: what was planned when, and when it happened.

        Returns:
            In the order of their shares, each thaw's planned share ``at``, its ``parts``, and the
            ``share`` of the budget at which it happened: None where training ended before. None
            without a schedule.
        """
        if self._schedule is None:
            return None
        steps = self._schedule.steps
        shares: list[float | None] = [*self._taken, *[None] * self.pending]
        return [
            {"at": step.share, "parts": list(step.selectors), "share": share}
            for step, share in zip(steps, shares, strict=True)
        ]

    def record(self) -> dict[str, Json] | None:
        """Verify what is still frozen and describe it for the record.

        Returns:
            Parts, tensors, and the digests before and after; None if the strategy freezes nothing.

        Raises:
            FrozenTensorMoved: something frozen changed.
        """
        if self.frozen is None:
            return None
        self.frozen.verify()
        return {
            "parts": list(self.frozen.parts),
            "tensors": list(self.frozen.tensors),
            "norm": self._norm,
            "digest_before": self.frozen.digest_before,
            "digest_after": self.frozen.digest_now(),
        }
