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
    map: Literal["ridge", "frobenius", "low-rank", "procrustes", "cca", "coral", "effects"] = "ridge"
    """How the map of observations is estimated. Unpaired: ``coral`` makes means and covariances agree,
    ``effects`` what the same actions change."""
    shrinkage: Literal["auto"] | NonNegativeFloat = "auto"
    """Ridge and low-rank: μ in standard units; frobenius: λ as a share of λ_max; coral: share of the mean
    variance. ``auto``: leave-one-out chooses; coral: 0."""
    rank: PositiveInt | None = None
    """Of a low-rank map, or the number of canonical components."""
    actions: Literal["none", "discrete", "linear"] = "none"
    """Whether the source's actions are put in the target's order, or mapped linearly, by their effects."""
    shuffled: bool = False
    """A control: the pairs are shuffled before anything is estimated, and so are the actions; of ``effects``
    the changes of state."""

    @model_validator(mode="after")
    def _check(self) -> Align:
        if not self.observations and self.actions == "none":
            raise KeyedValueError("observations", "neither observations nor actions are aligned")
        pairless = self.map in ("coral", "effects")
        if self.observations and (self.from_ == "unpaired") != pairless:
            raise KeyedValueError(
                "map",
                f"map: {self.map} takes from: unpaired"
                if pairless
                else "unpaired samples take map: coral or effects; the other maps need pairs",
            )
        if (self.rank is not None) != (self.map in ("low-rank", "cca")):
            raise KeyedValueError("rank", "rank is for map: low-rank and cca, which need it")
        if self.shrinkage != "auto" and self.map in ("procrustes", "cca", "effects"):
            raise KeyedValueError("shrinkage", f"map: {self.map} has no penalty; leave shrinkage out")
        if self.map == "frobenius" and self.shrinkage == 0:
            raise KeyedValueError("shrinkage", "the penalty λ is 0; give a share of λ_max above 0, or auto")
        if self.shuffled and self.from_ == "unpaired" and self.map != "effects":
            raise KeyedValueError("shuffled", "unpaired samples have no pairs to shuffle")
        if self.map == "effects" and self.actions != "none":
            raise KeyedValueError(
                "actions", "map: effects takes equal actions to be equal; say actions: none, or give pairs"
            )
        if self.actions != "none" and self.from_ in ("resets", "rollouts"):
            raise KeyedValueError(
                "actions",
                "effects of actions are seen in transitions of the target, and pairs from resets have none; "
                "pairs from rollouts take equal actions to be equal. Say from: base_observation or unpaired",
            )
        return self
