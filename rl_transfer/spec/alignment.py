"""The verb ``align``: maps of observations and actions, estimated from a declared number of samples."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from rl_transfer.spec.base import Frozen, KeyedValueError, NonNegativeFloat, PositiveInt, at_most


class Align(Frozen):
    """Put maps between the source's network and the target (docs/alignment.md); RL only."""

    pairs: Annotated[PositiveInt, Field(ge=2), at_most(1_000_000, "each is a step of the budget")] = 256
    """Observations of the target that the maps may use; the budget is charged a step for each."""
    from_: Literal["base_observation", "resets", "rollouts", "unpaired"] = Field(
        default="base_observation", alias="from"
    )
    """Where pairs come from: what the target's perturbations are given, resets to equal seeds in source and
    target, equal actions after such resets; or no pairs."""
    observations: bool = True
    """Whether observations are mapped to what the source would have seen."""
    map: Literal["ridge", "frobenius", "low-rank", "procrustes", "cca", "coral"] = "ridge"
    """How the map of observations is estimated."""
    shrinkage: Literal["auto"] | NonNegativeFloat = "auto"
    """Ridge and low-rank: μ in standard units; frobenius: λ as a share of λ_max; coral: share of the mean
    variance. ``auto``: leave-one-out chooses; coral: 0."""
    rank: PositiveInt | None = None
    """Of a low-rank map, or the number of canonical components."""
    actions: Literal["none", "discrete", "linear"] = "none"
    """Whether the source's actions are put in the target's order, or mapped linearly, by their effects."""
    shuffled: bool = False
    """A control: the pairs are shuffled before anything is estimated, and so are the actions."""

    @model_validator(mode="after")
    def _check(self) -> Align:
        if not self.observations and self.actions == "none":
            raise KeyedValueError("observations", "neither observations nor actions are aligned")
        if self.observations and (self.from_ == "unpaired") != (self.map == "coral"):
            raise KeyedValueError(
                "map",
                "unpaired samples take map: coral, and coral takes from: unpaired; the other maps need pairs",
            )
        if (self.rank is not None) != (self.map in ("low-rank", "cca")):
            raise KeyedValueError("rank", "rank is for map: low-rank and cca, which need it")
        if self.shrinkage != "auto" and self.map in ("procrustes", "cca"):
            raise KeyedValueError("shrinkage", f"map: {self.map} has no penalty; leave shrinkage out")
        if self.map == "frobenius" and self.shrinkage == 0:
            raise KeyedValueError("shrinkage", "the penalty λ is 0; give a share of λ_max above 0, or auto")
        if self.shuffled and self.from_ == "unpaired":
            raise KeyedValueError("shuffled", "unpaired samples have no pairs to shuffle")
        if self.actions != "none" and self.from_ in ("resets", "rollouts"):
            raise KeyedValueError(
                "actions",
                "effects of actions are seen in transitions of the target, and pairs from resets have none; "
                "pairs from rollouts take equal actions to be equal. Say from: base_observation or unpaired",
            )
        return self
