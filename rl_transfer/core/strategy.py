"""A transfer strategy as plain data: what to copy, reset, freeze, thaw and rescale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rl_transfer.errors import TransferError

NormMode = Literal["frozen", "adapt"]
InputFill = Literal["zero", "fresh"]
InputMap = tuple[int | None, ...]
OutputMap = tuple[int | None, ...]


@dataclass(frozen=True)
class ThawStep:
    """From ``share`` of the training budget on (0 < share < 1), ``selectors`` are trainable."""

    share: float
    selectors: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise TransferError(
                f"a thaw at share {self.share} of the budget is impossible; give a number between 0 and 1"
            )
        if not self.selectors:
            raise TransferError(f"the thaw at share {self.share} names no part")


@dataclass(frozen=True)
class Strategy:
    """What happens to a target network before and during training; the default is scratch.

    Selectors are those of :meth:`PartMap.layers`.

    Attributes:
        name: shown in plans and errors; may be empty.
        copy: what must come from the source. A tensor that cannot be copied is an error,
            unless ``reset_on_mismatch`` covers its layer.
        reset: exceptions from ``copy`` that start fresh (``copy=("all",)``,
            ``reset=("head",)``).
        reset_on_mismatch: layers that start fresh when a tensor of theirs is missing in the
            source or has another shape there.
        input_maps: selector of first layers → for every input feature of the target the
            index of the source's feature, or None for a feature that the source lacks.
            Columns of their weights are permuted and padded accordingly.
        input_fill: weights of a feature that the source lacks: ``zero`` (the function of
            the mapped features is the source's) or ``fresh`` (the target's initialisation).
        output_maps: selector of heads → for every output of the target the index of the
            source's output, or None for an output that starts fresh.
        freeze: what stays fixed from the first step on.
        norm: ``frozen`` holds the running statistics of frozen normalisation layers,
            ``adapt`` lets them follow the target's data (Li et al. 2017, AdaBN).
        thaw: frozen parts that become trainable at a share of the budget.
        learning_rates: selector → multiplier of the learning rate, > 0.
        key: config path that the strategy was built from, for errors.
    """

    name: str
    copy: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()
    reset_on_mismatch: tuple[str, ...] = ()
    input_maps: Mapping[str, InputMap] = field(default_factory=dict)
    input_fill: InputFill = "zero"
    output_maps: Mapping[str, OutputMap] = field(default_factory=dict)
    freeze: tuple[str, ...] = ()
    norm: NormMode = "frozen"
    thaw: tuple[ThawStep, ...] = ()
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    key: str | None = None

    def __post_init__(self) -> None:
        if self.thaw and not self.freeze:
            raise TransferError(
                f"{self.called} thaws but freezes nothing; name what is frozen at first",
                key=self.key_of("thaw"),
            )

    @property
    def called(self) -> str:
        """What messages call it: ``strategy 'fine-tune'``, or ``the strategy`` where it has no name."""
        return f"strategy {self.name!r}" if self.name else "the strategy"

    @property
    def needs_source(self) -> bool:
        """Whether the strategy takes anything from a source."""
        return bool(self.copy)

    def key_of(self, *path: str) -> str | None:
        """The config path of one of the strategy's fields, None without ``key``.

        Args:
            path: names of fields, outermost first.
        """
        return None if self.key is None else ".".join((self.key, *path))
