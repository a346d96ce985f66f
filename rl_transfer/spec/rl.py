"""The configs of the reinforcement-learning side: environments, budgets, and one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from rl_transfer.spec.algorithms import Algorithm
from rl_transfer.spec.base import (
    MOST_EVALUATIONS,
    Frozen,
    Json,
    JsonValue,
    KeyedValueError,
    Name,
    NonNegativeFloat,
    PositiveInt,
    at_most,
    digest,
)
from rl_transfer.spec.engine import AUTO, SB3, AskedEngine, ChosenEngine
from rl_transfer.spec.experiment import (
    NOTHING,
    RunConfig,
    SingleConfig,
    SingleTransferConfig,
)
from rl_transfer.spec.load import parse
from rl_transfer.spec.moved import under_first_paths
from rl_transfer.spec.network import inherit
from rl_transfer.spec.scores import PairScoring
from rl_transfer.spec.strategy import StrategyConfig, StrategyVerbs


class Environment(Frozen):
    """A Gymnasium environment and the perturbations applied to it, in order."""

    id: str = Field(min_length=1)
    """Gymnasium id, ``CartPole-v1`` or ``module:Id``."""
    kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    """Constructor arguments of the base environment."""
    perturb: tuple[dict[str, JsonValue], ...] = ()
    """Perturbations, each a map with one entry: parameter → value."""
    env_module: str | None = None
    """A module that registers the environment; imported in every worker."""

    @model_validator(mode="after")
    def _check(self) -> Environment:
        for item in self.perturb:
            if len(item) != 1:
                raise ValueError(f"each perturbation is a map with one entry, parameter: value; got {item!r}")
        return self

    @property
    def digest(self) -> str:
        """Identity of the environment; evaluation seeds depend on it."""
        return digest(self.plain())


class Training(Frozen):
    """The budget of a run, and which of its policies counts."""

    total_steps: PositiveInt
    """Environment steps, summed over the training environments."""
    keep: Literal["final", "best"] = "final"
    """Which policy the bundle holds: the last one, or the one with the best evaluation."""
    vectorization: Literal["sync", "batched"] = "sync"
    """Training environments step one after another, or all at once as arrays (classic control only)."""
    checkpoint_minutes: NonNegativeFloat = 5.0
    """Wall-clock minutes between two checkpoints, from which an interrupted run goes on; 0: none."""
    engine: AskedEngine = "sb3"
    """What trains; ``auto``, where a config leaves it out: ``compiled`` where that fits, else ``sb3``."""

    @model_serializer(mode="wrap")
    def _plain(self, fields: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """Leaves out what came later, at its default: ids and digests from before it stay as they were."""
        data: dict[str, JsonValue] = fields(self)
        for name in ("vectorization", "checkpoint_minutes", "engine"):
            if getattr(self, name) == type(self).model_fields[name].default:
                data.pop(name, None)
        return data

    @property
    def asked_engine(self) -> AskedEngine:
        """What a config asks for: ``auto``, the compiled engine where it fits, unless it says ``engine``.

        It is decided before a run gets its id. A run that was written without an engine is SB3's: ids and
        records from before there were two stay as they were.
        """
        return self.engine if "engine" in self.model_fields_set else AUTO


class Evaluation(Frozen):
    """How the learning curve is measured."""

    every: PositiveInt
    """Environment steps between evaluations; there is one before the first and one after the last update."""
    episodes: Annotated[PositiveInt, at_most(100_000, "every evaluation plays them all")] = 10
    """Episodes of one evaluation, from the same start states for every strategy."""
    deterministic: bool = True
    """Whether the most likely action is taken instead of a drawn one."""
    success: str | None = Field(default=None, min_length=1)
    """Entry of an episode's last ``info`` that says whether it succeeded, such as ``is_success``; it is
    recorded beside the return."""
    diagnostics: bool = False
    """Whether the record says what is inside the network before and after training: dormant units, effective
    rank, distances, gradient agreement."""
    gaps: bool = False
    """Whether the record says how far apart source and target lie in every layer, before and after."""

    @model_serializer(mode="wrap")
    def _plain(self, fields: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """Leaves out what came later, at its default: ids from before it stay as they were."""
        data: dict[str, JsonValue] = fields(self)
        for name in ("success", "diagnostics", "gaps"):
            if getattr(self, name) == type(self).model_fields[name].default:
                data.pop(name, None)
        return data


def check_budget(algorithm: Algorithm, training: Training, evaluation: Evaluation) -> None:
    """Refuse budgets that SB3 would overshoot and evaluations that it could not stop at."""
    multiple = algorithm.step_multiple
    for key, value in (
        ("training.total_steps", training.total_steps),
        ("evaluation.every", evaluation.every),
    ):
        if value % multiple:
            lower, upper = value // multiple * multiple, (value // multiple + 1) * multiple
            near = f"{lower} or {upper}" if lower else str(upper)
            raise KeyedValueError(
                key,
                f"{key} is {value}, which is no multiple of the {multiple} environment steps that "
                f"{algorithm.name} collects between updates; use {near}",
            )
    if evaluation.every > training.total_steps:
        raise KeyedValueError(
            "evaluation.every",
            f"evaluation.every ({evaluation.every}) exceeds training.total_steps ({training.total_steps})",
            beside="training.total_steps",
        )
    if training.total_steps // evaluation.every >= MOST_EVALUATIONS:
        raise KeyedValueError(
            "evaluation.every",
            f"evaluation.every ({evaluation.every}) asks for more than {MOST_EVALUATIONS:,} evaluations in "
            f"{training.total_steps} steps; give a larger one",
            beside="training.total_steps",
        )


def check_vectorization(training: Training, strategy: StrategyVerbs) -> None:
    """Refuse batched environments under a strategy that wraps single ones.

    Args:
        training: the budget of the run.
        strategy: what the run transfers.

    Raises:
        KeyedValueError: at ``training.vectorization``.
    """
    wraps = [
        key
        for key, given in (("guide", strategy.guide), ("hooks.behaviour", strategy.hooks.get("behaviour")))
        if given is not None
    ]
    if training.vectorization == "batched" and wraps:
        raise KeyedValueError(
            "training.vectorization",
            f"training.vectorization is batched, but {wraps[0]} of the strategy wraps single environments; "
            "use sync",
        )


class RLRun(RunConfig):
    """One RL run, completely."""

    kind: Literal["rl"] = "rl"
    policy: Literal["trained", "random", "given", "scored"] = "trained"
    """Trained by this run, uniform-random actions, a policy that exists already, a source that is scored."""
    env: Environment
    algorithm: Algorithm | None = None
    training: Training | None = None
    evaluation: Evaluation
    given: str | None = None
    """Where a given policy lies; its digest, not its place, is its identity."""
    scores: PairScoring | None = None
    """How the source is scored, where this run does that."""
    engine_reason: str | None = None
    """Why the engine is the one that it is, where ``auto`` was asked for; for the record."""

    @model_serializer(mode="wrap")
    def _plain(self, fields: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """Leaves out what came later and is not there: what is written stays as it was."""
        data: dict[str, JsonValue] = fields(self)
        for name in ("engine_reason", "scores"):
            if getattr(self, name) is None:
                data.pop(name, None)
        return data

    @model_validator(mode="after")
    def _check(self) -> RLRun:
        if self.training is not None and self.strategy is not None:
            check_vectorization(self.training, self.strategy)
        return self

    @property
    def total_steps(self) -> int:
        """The budget in environment steps, of training or of scoring; 0 where a policy is only measured."""
        if self.scores is not None:
            return self.scores.steps
        return self.training.total_steps if self.training else 0

    @property
    def checkpoint_minutes(self) -> float:
        """Wall-clock minutes between two checkpoints of the run; 0: it has none."""
        return self.training.checkpoint_minutes if self.training else 0.0

    def with_total_steps(self, steps: int) -> RLRun:
        """The same run with another budget, in environment steps."""
        if self.training is None or self.algorithm is None:
            return self
        training = self.training.model_copy(update={"total_steps": steps})
        check_budget(self.algorithm, training, self.evaluation)
        return self.model_copy(update={"training": training})

    def on_engine(self, chosen: ChosenEngine) -> RLRun:
        """The same run on an engine.

        Args:
            chosen: for the task that it trains on.

        Returns:
            A run with another id where the engine is another one; one that trains nothing stays as it is.
        """
        if self.training is None:
            return self
        training = self.training.model_copy(update={"engine": chosen.name})
        return self.model_copy(update={"training": training, "engine_reason": chosen.reason})

    @property
    def engine(self) -> AskedEngine:
        """What trains it; where nothing is trained, what measures it."""
        return self.training.engine if self.training else SB3

    def identity(self) -> dict[str, Any]:
        """Everything but a given policy's place, checkpoints and reasons; import paths as they first were."""
        plain = self.plain()
        if plain["training"]:
            plain["training"].pop("checkpoint_minutes", None)
        return {key: under_first_paths(value) for key, value in plain.items() if key not in _UNHASHED}


_UNHASHED = ("given", "engine_reason")


class TrainConfig(SingleConfig):
    """``rl-transfer train``: one from-scratch run in one environment."""

    kind: Literal["rl"] = "rl"
    name: Name = "train"
    env: Environment
    """A Gymnasium environment and what is perturbed in it, or the name of a shipped target."""
    algorithm: Algorithm
    """What trains; hyperparameters are Stable-Baselines3's."""
    training: Training
    evaluation: Evaluation

    @model_validator(mode="after")
    def _check(self) -> TrainConfig:
        check_budget(self.algorithm, self.training, self.evaluation)
        return self

    def run(self) -> RLRun:
        """The run that this config describes."""
        return RLRun(
            env=self.env,
            algorithm=self.algorithm,
            training=self.training,
            evaluation=self.evaluation,
            strategy=StrategyVerbs(),
            root_seed=self.root_seed,
            seed=self.seed,
        )


class TransferConfig(TrainConfig, SingleTransferConfig):
    """``rl-transfer transfer``: one run in a target environment with one strategy."""

    name: Name = "transfer"
    strategy: StrategyConfig

    @model_validator(mode="after")
    def _check_strategy(self) -> TransferConfig:
        check_vectorization(self.training, self.strategy)
        return self

    def transfer_run(self, source: str | None, described: Mapping[str, Json] = NOTHING) -> RLRun:
        """The run of this config when it starts from a source.

        Args:
            source: a run id or ``digest:…``.
            described: ``algorithm``, the source's; a strategy that copies takes its network over where
                this config leaves it open.
        """
        verbs = self.strategy.verbs()
        algorithm = self.algorithm
        if verbs.copy_ and "algorithm" in described:
            algorithm = inherit(algorithm, parse(Algorithm, described["algorithm"]))
        return self.run().model_copy(
            update={
                "strategy": verbs,
                "source": source if verbs.needs_source else None,
                "algorithm": algorithm,
            }
        )
