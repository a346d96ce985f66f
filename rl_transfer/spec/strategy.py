"""Transfer strategies as data: what is copied, reset, frozen, thawed, anchored, and when."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SerializerFunctionWrapHandler, StrictInt, model_serializer, model_validator

from rl_transfer.spec.alignment import Align
from rl_transfer.spec.base import (
    FiniteFloat,
    Frozen,
    InnerShare,
    JsonValue,
    KeyedValueError,
    Name,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Share,
    at_most,
)

Selectors = tuple[str, ...]
_LATER = ("as_copied", "output_maps", "adapt", "with_source_steps", "match", "align")
LEAST_MATCHED = 64
"""Fewest rows of one side that a gap is drawn from."""
_NOT_ALIGNED = (
    "reset_on_mismatch", "input_maps", "output_maps", "adapt", "freeze", "critic_warm_up", "anchor",
    "initial", "low_rank", "progressive", "kickstart", "guide", "hooks", "match",
)  # fmt: skip
"""Verbs that hold, rebuild or compare what ``align`` changes."""


class Thaw(Frozen):
    """One step of an unfreezing schedule (Howard & Ruder 2018)."""

    at: InnerShare
    """Share of the budget from which on ``parts`` are trainable."""
    parts: Selectors = Field(min_length=1)
    """Which parts of the network (docs/strategies.md)."""


class Gradual(Frozen):
    """Unfreeze one layer at a time, from the output down (Howard & Ruder 2018)."""

    start: InnerShare = 0.2
    """Share of the budget at which the last frozen layer thaws."""
    end: InnerShare = 0.6
    """Share at which the first layer thaws."""


class L2SPConfig(Frozen):
    """Penalty on the distance to the source's weights (Li et al. 2018)."""

    kind: Literal["l2_sp"]
    strength: PositiveFloat
    """α: the loss gains α/2 · ‖w − w_source‖²."""
    parts: Selectors = ("trunk",)
    """Which parts of the network (docs/strategies.md)."""


class EWCConfig(Frozen):
    """Elastic weight consolidation (Kirkpatrick et al. 2017)."""

    kind: Literal["ewc"]
    strength: PositiveFloat
    """λ: the loss gains λ/2 · Σ F (w − w_source)², F the diagonal Fisher information."""
    parts: Selectors = ("trunk",)
    """Which parts of the network (docs/strategies.md)."""
    samples: Annotated[PositiveInt, at_most(1_000_000, "each is a backward pass of its own")] = 512
    """Source states (images) from which the Fisher information is estimated."""


Anchor = Annotated[L2SPConfig | EWCConfig, Field(discriminator="kind")]


class ShrinkAndPerturb(Frozen):
    """Start from shrunken source weights plus fresh noise (Ash & Adams 2020)."""

    kind: Literal["shrink_and_perturb"]
    shrink: Share = 0.5
    """Factor on the source's weights."""
    noise: NonNegativeFloat = 0.5
    """Factor on the fresh initialisation that is added."""


class Shuffled(Frozen):
    """A control: the source's weights permuted within each tensor; same statistics, no knowledge."""

    kind: Literal["shuffled"]


Initial = Annotated[ShrinkAndPerturb | Shuffled, Field(discriminator="kind")]


class LowRank(Frozen):
    """Low-rank adapters on frozen layers (Hu et al. 2021)."""

    parts: Selectors = ("trunk",)
    """Which parts of the network (docs/strategies.md)."""
    rank: Annotated[PositiveInt, at_most(16_384, "no layer is wider")] = 4
    """Rank of each adapter."""
    alpha: PositiveFloat = 8.0
    """The adapter's output is scaled by alpha / rank."""


class Kickstart(Frozen):
    """Distillation from the source policy, annealed to nothing (Schmitt et al. 2018)."""

    strength: PositiveFloat = 1.0
    """Initial weight of the cross-entropy to the teacher."""
    until: float = Field(default=0.5, gt=0, le=1, allow_inf_nan=False)
    """Share of the budget at which the weight reaches 0."""


class DistributionMatch(Frozen):
    """A penalty on how far apart source and target lie in the trunk's features (docs/gaps.md)."""

    kind: Literal["coral", "mmd", "adversarial"]
    """Distance of covariances (Sun & Saenko 2016), maximum mean discrepancy (Gretton et al. 2012), or a
    discriminator that the trunk is trained to mislead (Ganin et al. 2016; runs on labelled data only)."""
    strength: PositiveFloat = 1.0
    """The loss gains strength · gap; a discriminator's gradient reaches the trunk times it."""
    parts: Selectors = ("trunk",)
    """Whose outputs are compared: of each selector the last layer; of the trunk what it passes on."""
    samples: Annotated[int, Field(ge=LEAST_MATCHED), at_most(1_000_000, "all are kept in memory")] = 2048
    """Source states (items) to draw from."""
    conditional: bool = False
    """Whether rows of the same action (class) are compared, and the gaps averaged."""
    unlabelled: (
        Annotated[int, Field(ge=LEAST_MATCHED), at_most(1_000_000, "all are kept in memory")] | None
    ) = None
    """Items of the target beside its ``shots`` that are its side of the comparison, their labels unread;
    none: the labelled minibatch (runs on labelled data only)."""

    @model_serializer(mode="wrap")
    def _plain(self, fields: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """Leaves out what came later, at its default: ids stay as they were."""
        data: dict[str, JsonValue] = fields(self)
        if self.unlabelled is None:
            data.pop("unlabelled", None)
        return data

    @model_validator(mode="after")
    def _check_classes(self) -> DistributionMatch:
        if self.conditional and self.kind == "adversarial":
            raise KeyedValueError(
                "conditional",
                "match of kind adversarial has one discriminator, which sees no classes; use coral or mmd "
                "with conditional",
            )
        if self.conditional and self.unlabelled is not None:
            raise KeyedValueError(
                "conditional",
                "match compares unlabelled items, whose class nobody knows, and conditional: true asks for "
                "rows of one class; leave one of both out",
            )
        return self


class Guide(Frozen):
    """Jump-start reinforcement learning: the source policy acts first (Uchendu et al. 2023)."""

    stages: Annotated[PositiveInt, at_most(10_000, "each takes an update of its own")] = 10
    """Steps of the curriculum over the guide's horizon."""
    horizon: PositiveInt | None = None
    """Environment steps that the guide acts at first; none: half its mean episode length."""
    tolerance: NonNegativeFloat = 0.1
    """The horizon shrinks when the return is at least (1 − tolerance) of the best so far."""
    share: InnerShare | None = None
    """Largest share of the budget that it may spend; none: 0.25 for on-policy algorithms, else no bound."""


class Knobs(Frozen):
    """Defaults that silently destroy a jump-start, each a choice (docs/strategies.md)."""

    learning_starts: NonNegativeInt | None = None
    """Steps of uniform-random actions of an off-policy transfer; none: 0 with a copied policy."""
    exploration_initial: Share | None = None
    """Initial epsilon of Q-learning; none: the final epsilon with a copied policy."""
    entropy: Literal["keep", "reset"] | PositiveFloat = "keep"
    """SAC's and TQC's entropy coefficient: the source's, a fresh one, or a fixed number."""
    target_networks: Literal["sync", "fresh"] = "sync"
    """Whether target networks are set to the transferred online networks."""
    log_std: Literal["keep", "reset"] | FiniteFloat = "keep"
    """The Gaussian policy's log standard deviation, where the head is copied."""


class StrategyVerbs(Frozen):
    """The part of a strategy that can change a result; it enters the run id.

    Selectors name a part (``policy_trunk``), a layer in it (``policy_trunk.0``), its first
    layers (``policy_trunk[:1]``) or a group (``trunk``, ``head``, ``auxiliary``, ``all``).
    """

    copy_: Selectors = Field(default=(), alias="copy")
    """What comes from the source; everything else keeps its fresh initialisation."""
    reset: Selectors = ()
    """Exceptions from ``copy`` that start fresh."""
    reset_on_mismatch: Selectors = ()
    """Layers that start fresh where their shape differs from the source's (else: refused)."""
    input_maps: dict[str, tuple[StrictInt | str | None, ...]] = Field(default_factory=dict)
    """First layers, or ``observations`` for all → the source's feature per target feature, or null."""
    input_fill: Literal["zero", "fresh"] = "zero"
    """Weights of features that the source lacks."""
    output_maps: dict[str, tuple[StrictInt | None, ...]] = Field(default_factory=dict)
    """Heads, or ``actions`` for all in their order → for each target action the source's, or null: fresh."""
    adapt: Literal["spaces"] | None = None
    """Freeze all but the layers that depend on a space in which source and target differ (RL only)."""
    align: Align | None = None
    """Maps of observations and actions between source and target, estimated from samples (RL only)."""
    freeze: Selectors = ()
    """What is held fixed, bit for bit, from the first step on."""
    norm: Literal["frozen", "adapt"] = "frozen"
    """Whether running statistics of frozen normalisation layers are held or follow the data."""
    thaw: tuple[Thaw, ...] = ()
    """When frozen parts become trainable."""
    gradual: Gradual | None = None
    """Thaw what is frozen layer by layer; instead of ``thaw``."""
    critic_warm_up: InnerShare | None = None
    """Share of the budget for which the policy waits for the critic (RL only)."""
    learning_rates: dict[
        str, Annotated[PositiveFloat, at_most(1_000, "weights overflow within a few updates")]
    ] = Field(default_factory=dict)
    """Selector → multiplier of the learning rate."""
    anchor: Anchor | None = None
    """Penalty that holds weights near the source's."""
    initial: Initial | None = None
    """How the copied weights are changed before training."""
    low_rank: LowRank | None = None
    progressive: bool = False
    """A second column with lateral connections from the frozen source (Rusu et al. 2016)."""
    kickstart: Kickstart | None = None
    match: DistributionMatch | None = None
    """Pulls the features of source and target together while the target trains."""
    guide: Guide | None = None
    normalization: Literal["warm", "frozen", "warm_reset_count", "fresh"] = "warm"
    """The running observation and reward statistics of the source."""
    knobs: Knobs = Knobs()
    train: bool = True
    """Whether anything is trained; false: the policy is only measured (zero-shot)."""
    hooks: dict[Literal["loss", "behaviour", "architecture"], str] = Field(default_factory=dict)
    """Import paths ``module:Class`` of a user's own hooks."""
    uses_source: bool = False
    """Whether a hook reads the source policy, though nothing is copied."""
    as_copied: bool = False
    """Knobs and statistics as if the policy was copied: what a control shares with a strategy (RL only)."""

    @model_serializer(mode="wrap")
    def _plain(self, fields: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """Leaves out, at its default, what came later: ids and digests from before it stay as they were."""
        data: dict[str, JsonValue] = fields(self)
        for name in _LATER:
            if name in data and getattr(self, name) == type(self).model_fields[name].get_default(
                call_default_factory=True
            ):
                data.pop(name, None)
        return data

    @property
    def copies(self) -> bool:
        """Whether knobs and statistics are those of a copied policy."""
        return bool(self.copy_) or self.as_copied

    @property
    def needs_source(self) -> bool:
        """Whether the strategy reads a source policy."""
        return self.copies or self.uses_source or self.kickstart is not None or self.guide is not None

    @model_validator(mode="after")
    def _check_verbs(self) -> StrategyVerbs:
        for key in ("thaw", "gradual"):
            if getattr(self, key) and not self.freeze:
                raise KeyedValueError(key, f"{key} is given, but nothing is frozen; name it under freeze")
        if self.thaw and self.gradual:
            raise KeyedValueError("gradual", "thaw and gradual are both given; one of them decides")
        if self.gradual and self.gradual.start > self.gradual.end:
            raise KeyedValueError("gradual.start", "gradual.start lies after gradual.end")
        for key in ("anchor", "initial", "progressive", "adapt", "match", "align"):
            if getattr(self, key) and not self.copy_:
                raise KeyedValueError(key, f"{key} works on copied weights, but copy is empty")
        decided = [
            key for key in ("freeze", "progressive", "critic_warm_up") if self.adapt and getattr(self, key)
        ]
        if decided:
            raise KeyedValueError(
                decided[0], f"adapt decides what is frozen; {', '.join(decided)} cannot be combined with it"
            )
        idle = (
            "freeze", "adapt", "anchor", "kickstart", "guide", "low_rank", "critic_warm_up", "learning_rates",
            "hooks", "match",
        )  # fmt: skip
        frozen_otherwise = ("freeze", "critic_warm_up", "low_rank")
        clash = [key for key in frozen_otherwise if self.progressive and getattr(self, key)]
        if clash:
            raise KeyedValueError(
                clash[0],
                f"progressive freezes the source's column itself; {', '.join(clash)} cannot be combined",
            )
        for key in ("input_maps", "output_maps"):
            if isinstance(self.anchor, EWCConfig) and getattr(self, key):
                raise KeyedValueError("anchor", f"ewc cannot be combined with {key}; l2_sp can")
            for acting in ("kickstart", "guide"):
                if getattr(self, acting) and getattr(self, key):
                    raise KeyedValueError(
                        acting,
                        f"{acting} cannot be combined with {key}: there the source itself acts, without maps",
                    )
        mapped = [key for key in ("input_maps", "output_maps", "progressive", "adapt") if getattr(self, key)]
        if self.match and mapped:
            raise KeyedValueError(
                "match",
                f"match cannot be combined with {mapped[0]}: it sends the source's states through the "
                "target's network as they are",
            )
        beside = [key for key in _NOT_ALIGNED if self.align is not None and getattr(self, key)]
        if self.align is not None and self.normalization == "fresh":
            beside.append("normalization: fresh")
        if beside:
            raise KeyedValueError(
                "align",
                f"align folds maps into the copied network after its first evaluation; {', '.join(beside)} "
                "cannot be combined with it",
            )
        useless = [key for key in idle if not self.train and getattr(self, key)]
        if useless:
            raise KeyedValueError("train", f"train is false, so {', '.join(useless)} would do nothing")
        return self


class StrategyConfig(StrategyVerbs):
    """A named strategy, with what people read about it."""

    name: Name
    """What it is called in tables, files and messages."""
    summary: str = ""
    """One line for tables and the report."""
    paper: str | None = None
    """The publication that introduced or best describes it."""
    control: bool = False
    """A control makes a claim honest; it is shown, but is not in the family of tests."""
    control_for: tuple[str, ...] = ()
    """Names of the strategies that it is the control of."""
    with_source_steps: bool = False
    """Whether it trains, from scratch, for the source's budget and the target's."""

    @model_validator(mode="after")
    def _check(self) -> StrategyConfig:
        if self.control_for and not self.control:
            raise KeyedValueError("control_for", "control_for is given, but control is not true")
        if self.with_source_steps and (self.needs_source or self.freeze or self.control_for):
            raise KeyedValueError(
                "with_source_steps",
                "with_source_steps is for training from scratch beside every strategy; "
                "leave out what copies, freezes or names a strategy",
            )
        if self.with_source_steps and not (self.control and self.train):
            raise KeyedValueError(
                "with_source_steps", "with_source_steps is for a control that trains; say control: true"
            )
        return self

    def is_control_of(self, other: StrategyConfig) -> bool:
        """Whether this is the control of another strategy of the same suite.

        Args:
            other: any strategy.

        Returns:
            True where ``control_for`` names it; of a control that names nobody, where both freeze the same.
        """
        if not self.control or other.control:
            return False
        if self.control_for:
            return other.name in self.control_for
        return bool(self.freeze) and self.freeze == other.freeze

    def verbs(self) -> StrategyVerbs:
        """The strategy without its names and descriptions."""
        return StrategyVerbs(**{name: getattr(self, name) for name in StrategyVerbs.model_fields})
