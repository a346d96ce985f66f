"""Transfer strategies as data: what is copied, reset, frozen, and when it thaws."""

from __future__ import annotations

from pydantic import Field, model_validator

from rl_transfer.spec.base import Frozen, Name


class StrategyVerbs(Frozen):
    """The part of a strategy that can change a result; it enters the run id.

    Selectors name a part (``policy_trunk``), a layer in it (``policy_trunk.0``), its first
    layers (``policy_trunk[:1]``) or a group (``trunk``, ``head``, ``all``).
    """

    copy_: tuple[str, ...] = Field(default=(), alias="copy")
    """Selectors copied from the source; everything else keeps its fresh initialisation."""
    freeze: tuple[str, ...] = ()
    """Selectors that never change during training."""

    @property
    def needs_source(self) -> bool:
        """Whether the strategy reads a source policy."""
        return bool(self.copy_)


class Strategy(StrategyVerbs):
    """A named strategy, with what people read about it."""

    name: Name
    summary: str = ""
    """One line for tables and the report."""
    paper: str | None = None
    """The publication that introduced or best describes it."""
    control: bool = False
    """A control makes a claim honest; it is shown, but is not in the family of tests."""
    control_for: tuple[str, ...] = ()
    """Names of the strategies that it is the control of."""

    @model_validator(mode="after")
    def _check(self) -> Strategy:
        if self.control_for and not self.control:
            raise ValueError("control_for is given, but control is not true")
        return self

    def verbs(self) -> StrategyVerbs:
        """The strategy without its names and descriptions."""
        return StrategyVerbs(**{name: getattr(self, name) for name in StrategyVerbs.model_fields})
