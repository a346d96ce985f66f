"""The configs of supervised runs, whatever is classified: one run, a source, a target, a suite.

A kind of data narrows the fields ``data``, ``model``, ``weights`` and ``training`` to its own and
names itself under ``kind``; everything else is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self, TypeVar

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from rl_transfer.spec.base import Frozen, Json, JsonObject, JsonValue, KeyedValueError, Name
from rl_transfer.spec.experiment import (
    NOTHING,
    RunConfig,
    SingleConfig,
    SingleTransferConfig,
    SourceConfig,
    TargetConfig,
)
from rl_transfer.spec.labelled import LabelledData, file_digest
from rl_transfer.spec.matrix import Entry, MatrixConfig
from rl_transfer.spec.optimization import SupervisedEvaluation, SupervisedTraining
from rl_transfer.spec.scores import PairScoring, Scores
from rl_transfer.spec.strategy import StrategyConfig, StrategyVerbs

StrategyT = TypeVar("StrategyT", bound=StrategyVerbs)

HEAD_ONLY = StrategyVerbs(copy_=("trunk",), freeze=("trunk",))
"""The textbook's transfer: keep the pretrained trunk, freeze it, train a new head."""


def with_own_statistics(strategy: StrategyT) -> StrategyT:
    """A strategy that freezes without copying lets running statistics follow the data.

    Fresh statistics (0 and 1) are nobody's: held, they make the control a straw man.

    Args:
        strategy: as written.

    Returns:
        The same with ``norm: adapt``, unless it says under ``norm`` what it wants.
    """
    if strategy.copy_ or not strategy.freeze or "norm" in strategy.model_fields_set:
        return strategy
    return strategy.model_copy(update={"norm": "adapt"})


class ModelConfig(Frozen):
    """The architecture of a classifier."""

    def planned(self) -> Self:
        """The model with whatever its files say of it, so that other files are another run.

        Returns:
            The model itself, unless a kind of data knows better.
        """
        return self


class PretrainedWeights(Frozen):
    """Where the tensors of a pretrained network lie."""

    file: str | None = None
    """A file of tensors, or ``package://PACKAGE/PATH`` inside an installed package."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{8,64}$")
    """The file's SHA-256, or its first digits (at least 8)."""

    def planned(self) -> Self:
        """The weights with their file's full hash, where the user gave none: another file is another run.

        Returns:
            These weights, unchanged where no file of the user's tells the hash.
        """
        if self.file is None or self.sha256 is not None or self.file.startswith("package://"):
            return self
        found = file_digest(Path(self.file).expanduser())
        return self if found is None else self.model_copy(update={"sha256": found})


def check_training(
    training: SupervisedTraining, evaluation: SupervisedEvaluation, data: LabelledData | None
) -> None:
    """Refuse evaluations that miss the end of the budget, and a choice of epoch without validation.

    Args:
        training: the budget, in epochs.
        evaluation: how often it is measured.
        data: what is trained on, where that is known.

    Raises:
        KeyedValueError: they contradict each other; the key is relative to the config that holds them.
    """
    if training.epochs % evaluation.every:
        raise KeyedValueError(
            "evaluation.every",
            f"evaluation.every is {evaluation.every}, which does not divide training.epochs "
            f"({training.epochs}); the last evaluation would come before the last update",
        )
    if evaluation.part == "validation" and data is not None and data.validation == 0:
        raise KeyedValueError(
            "evaluation.part", "evaluation.part is validation, but data.validation is 0; set it, or say test"
        )
    wants = "early_stopping" if training.early_stopping else "keep" if training.keep == "best" else None
    if wants and data is not None and data.validation == 0:
        raise KeyedValueError(
            f"training.{wants}",
            f"training.{wants} chooses an epoch by a validation part, but data.validation is 0; "
            "set data.validation to the share of labelled items to keep for it, for example 0.2",
        )


class SupervisedRun(RunConfig):
    """One run on labelled data, completely."""

    policy: Literal["trained", "random", "pretrained", "scored"] = "trained"
    """``random`` measures chance; ``pretrained`` takes weights as they are, as a source; ``scored`` scores
    a source."""
    data: LabelledData | None = None
    model: ModelConfig | None = None
    weights: PretrainedWeights | None = None
    """Pretrained weights that the strategy copies from, or that a ``pretrained`` run imports."""
    training: SupervisedTraining | None = None
    evaluation: SupervisedEvaluation = SupervisedEvaluation()
    scores: PairScoring | None = None
    """How the source is scored, where this run does that."""

    @model_serializer(mode="wrap")
    def _plain(self, fields: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """Leaves out what came later and is not there: what is written stays as it was."""
        data: dict[str, JsonValue] = fields(self)
        if self.scores is None:
            data.pop("scores", None)
        return data

    @property
    def total_steps(self) -> int:
        """The training budget in epochs; 0 where nothing is trained."""
        return self.training.epochs if self.training else 0

    @property
    def checkpoint_minutes(self) -> float:
        """Wall-clock minutes between two checkpoints of the run; 0: it has none."""
        return self.training.checkpoint_minutes if self.training else 0.0

    def with_total_steps(self, steps: int) -> Self:
        """The same run with another budget, in epochs."""
        if self.training is None:
            return self
        training = self.training.model_copy(update={"epochs": steps})
        check_training(training, self.evaluation, self.data)
        return self.model_copy(update={"training": training})

    def identity(self) -> JsonObject:
        """Everything but its checkpoints."""
        plain = self.plain()
        if plain["training"]:
            plain["training"].pop("checkpoint_minutes", None)
        return plain


class SupervisedTrainConfig(SingleConfig):
    """``rl-transfer train``: one run on one data set, from scratch or from pretrained weights."""

    run_type: ClassVar[type[SupervisedRun]]
    """The runs that these configs describe."""

    name: Name = "train"
    data: LabelledData
    model: ModelConfig
    weights: PretrainedWeights | None = None
    """Pretrained weights; with them the default strategy is a frozen trunk under a new head."""
    strategy: StrategyConfig | None = None
    training: SupervisedTraining = SupervisedTraining()
    evaluation: SupervisedEvaluation = SupervisedEvaluation()

    @field_validator("strategy")
    @classmethod
    def _fair(cls, strategy: StrategyConfig | None) -> StrategyConfig | None:
        return None if strategy is None else with_own_statistics(strategy)

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_training(self.training, self.evaluation, self.data)
        self._check_strategy()
        return self

    def _check_strategy(self) -> None:
        if self.strategy is not None and self.strategy.needs_source and self.weights is None:
            raise KeyedValueError(
                "strategy",
                f"strategy {self.strategy.name!r} copies from a source; give weights, or run "
                "`rl-transfer transfer` with --source",
            )

    def run(self) -> SupervisedRun:
        """The run that this config describes."""
        default = HEAD_ONLY if self.weights else StrategyVerbs()
        verbs = default if self.strategy is None else self.strategy.verbs()
        weights = self.weights if verbs.needs_source else None
        return self.run_type(
            kind=self.kind,
            data=self.data.planned(),
            model=self.model.planned(),
            weights=None if weights is None else weights.planned(),
            training=self.training,
            evaluation=self.evaluation,
            strategy=verbs,
            root_seed=self.root_seed,
            seed=self.seed,
        )


class SupervisedTransferConfig(SupervisedTrainConfig, SingleTransferConfig):
    """``rl-transfer transfer``: one run on a target data set with one strategy, from a bundle."""

    name: Name = "transfer"

    def _check_strategy(self) -> None:
        if self.weights is not None:
            raise KeyedValueError(
                "weights", "a transfer takes its weights from --source; leave the key weights out"
            )

    def transfer_run(self, source: str | None, described: Mapping[str, Json] = NOTHING) -> SupervisedRun:
        """The run of this config when it starts from a source.

        Args:
            source: a run id or ``digest:…``.
            described: nothing of it is taken over; the config names its network itself.
        """
        verbs = HEAD_ONLY if self.strategy is None else self.strategy.verbs()
        return self.run().model_copy(
            update={"strategy": verbs, "source": source if verbs.needs_source else None}
        )


class SupervisedSource(SourceConfig):
    """A source: a data set to train on, or pretrained weights (then ``data`` is only measured on)."""

    data: LabelledData | None = None
    weights: PretrainedWeights | None = None
    training: SupervisedTraining | None = None
    """Instead of the suite's."""
    evaluation: SupervisedEvaluation | None = None
    """Instead of the suite's."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.data is None and self.weights is None:
            raise ValueError("a source needs data to train on, or pretrained weights")
        if self.weights is not None and self.training is not None:
            raise KeyedValueError("training", "pretrained weights are taken as they are; leave training out")
        return self

    @property
    def exists(self) -> bool:
        """Whether the source is pretrained weights."""
        return self.weights is not None


class SupervisedTarget(TargetConfig):
    """A target data set of a suite; what it leaves out, the suite fills in."""

    data: LabelledData
    training: SupervisedTraining | None = None
    """Instead of the suite's."""
    evaluation: SupervisedEvaluation | None = None
    """Instead of the suite's."""


class SupervisedSuite(MatrixConfig):
    """``rl-transfer sweep``: sources × targets × strategies × seeds, on labelled data."""

    run_type: ClassVar[type[SupervisedRun]]
    """The runs that these suites are made of."""

    model: ModelConfig
    training: SupervisedTraining = SupervisedTraining()
    evaluation: SupervisedEvaluation = SupervisedEvaluation()
    sources: Mapping[Name, SupervisedSource] = Field(min_length=1)
    targets: Mapping[Name, SupervisedTarget] = Field(min_length=1)

    tuned_sections: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "training": (
            "epochs", "early_stopping", "keep", "precision", "device", "workers", "cache_features",
            "checkpoint_minutes",
        )
    }  # fmt: skip

    @model_validator(mode="after")
    def _check_validation(self) -> Self:
        for name, target in self.targets.items():
            if self.tune is not None and target.data.validation == 0:
                raise KeyedValueError(
                    f"targets.{name}.data.validation",
                    "tuning needs a validation part: all seeds are measured on the same test items, and "
                    "what is chosen on them has seen what it is judged on; give the share of labelled items "
                    "to keep for it, for example 0.2",
                )
        return self

    @model_validator(mode="after")
    def _check_scores(self) -> Self:
        if self.scores is not None and self.scores.steps < 2:
            raise KeyedValueError(
                "scores.steps", "1 labelled item is of one class, and tells no source from another; give more"
            )
        return self

    def scored_run(self, name: str, cell: str, scores: Scores, source: str, seed: int) -> SupervisedRun:
        """The run that scores source ``cell`` on labelled training items of target ``name``."""
        return self.run_type(
            kind=self.kind,
            policy="scored",
            data=self.targets[name].data.planned(),
            scores=PairScoring(steps=scores.steps, bar=self.sources[cell].bar),
            source=source,
            root_seed=self.root_seed,
            seed=seed,
        )

    def for_tuning(self) -> Self:
        """This suite with targets that are measured on their validation parts."""
        targets = {
            name: each.model_copy(
                update={
                    "evaluation": (each.evaluation or self.evaluation).model_copy(
                        update={"part": "validation"}
                    )
                }
            )
            for name, each in self.targets.items()
        }
        return self.model_copy(update={"targets": targets})

    @field_validator("strategies")
    @classmethod
    def _fair(cls, strategies: tuple[StrategyConfig, ...]) -> tuple[StrategyConfig, ...]:
        return tuple(map(with_own_statistics, strategies))

    def check_entry(self, entry: Entry) -> None:
        """Refuse evaluations that miss the end of the budget."""
        task = _task(entry)
        check_training(task.training or self.training, task.evaluation or self.evaluation, task.data)

    def trained_run(self, entry: Entry, verbs: StrategyVerbs, source: str | None, seed: int) -> SupervisedRun:
        """The run that trains on an entry's data."""
        task = _task(entry)
        return self.run_type(
            kind=self.kind,
            data=None if task.data is None else task.data.planned(),
            model=self.model.planned(),
            training=task.training or self.training,
            evaluation=task.evaluation or self.evaluation,
            strategy=verbs,
            source=source,
            root_seed=self.root_seed,
            seed=seed,
        )

    def given_run(self, name: str, source: SourceConfig) -> SupervisedRun:
        """The run that imports pretrained weights, and measures them where data are given."""
        task = _task(source)
        if not isinstance(task, SupervisedSource) or task.weights is None:
            raise TypeError(f"{name!r} is no source with weights")
        return self.run_type(
            kind=self.kind,
            policy="pretrained",
            data=None if task.data is None else task.data.planned(),
            model=self.model.planned(),
            weights=task.weights.planned(),
            evaluation=task.evaluation or self.evaluation,
            root_seed=self.root_seed,
        )

    def random_run(self, name: str) -> SupervisedRun:
        """The run that states chance accuracy on target ``name``."""
        return self.run_type(
            kind=self.kind,
            policy="random",
            data=self.targets[name].data.planned(),
            evaluation=self.evaluation,
            root_seed=self.root_seed,
        )


def _task(entry: Entry) -> SupervisedSource | SupervisedTarget:
    if not isinstance(entry, SupervisedSource | SupervisedTarget):
        raise TypeError(f"a suite on labelled data has such sources and targets, not {type(entry).__name__}")
    return entry
