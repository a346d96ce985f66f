"""The configs of the reinforcement-learning side: one run, a source, a target, a suite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from rl_transfer.spec.algorithms import Algorithm
from rl_transfer.spec.base import (
    Frozen,
    Json,
    JsonValue,
    KeyedValueError,
    Name,
    PositiveInt,
    digest,
)
from rl_transfer.spec.experiment import (
    NOTHING,
    RunConfig,
    SingleConfig,
    SingleTransferConfig,
    SourceConfig,
    TargetConfig,
)
from rl_transfer.spec.knobs import shared_knobs
from rl_transfer.spec.load import parse
from rl_transfer.spec.matrix import Entry, MatrixConfig
from rl_transfer.spec.moved import under_first_paths
from rl_transfer.spec.network import inherit
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

    @model_serializer(mode="wrap")
    def _plain(self, fields: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """Leaves ``vectorization`` out at its default: ids and digests from before it stay as they were."""
        data: dict[str, JsonValue] = fields(self)
        if self.vectorization == "sync":
            data.pop("vectorization", None)
        return data


class Evaluation(Frozen):
    """How the learning curve is measured."""

    every: PositiveInt
    """Environment steps between evaluations; there is one before the first and one after the last update."""
    episodes: PositiveInt = 10
    deterministic: bool = True


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
    policy: Literal["trained", "random", "given"] = "trained"
    """Trained by this run, uniform-random actions, or a policy that exists already."""
    env: Environment
    algorithm: Algorithm | None = None
    training: Training | None = None
    evaluation: Evaluation
    given: str | None = None
    """Where a given policy lies; its digest, not its place, is its identity."""

    @model_validator(mode="after")
    def _check(self) -> RLRun:
        if self.training is not None and self.strategy is not None:
            check_vectorization(self.training, self.strategy)
        return self

    @property
    def total_steps(self) -> int:
        """The training budget in environment steps; 0 for the random policy."""
        return self.training.total_steps if self.training else 0

    def identity(self) -> dict[str, Any]:
        """Everything but the place of a given policy, moved import paths as they first were."""
        return {key: under_first_paths(value) for key, value in self.plain().items() if key != "given"}


class TrainConfig(SingleConfig):
    """``rl-transfer train``: one from-scratch run in one environment."""

    kind: Literal["rl"] = "rl"
    name: Name = "train"
    env: Environment
    algorithm: Algorithm
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
            described: ``algorithm``, the source's; its network is the target's where this config leaves
                it open.
        """
        verbs = self.strategy.verbs()
        algorithm = self.algorithm
        if "algorithm" in described:
            algorithm = inherit(algorithm, parse(Algorithm, described["algorithm"]))
        return self.run().model_copy(
            update={
                "strategy": verbs,
                "source": source if verbs.needs_source else None,
                "algorithm": algorithm,
            }
        )


class RLSource(SourceConfig):
    """A source of a suite: a task to train in, or a policy that exists."""

    env: Environment | None = None
    """The source environment; for a policy that exists it may be left out if its file tells."""
    policy: str | None = None
    """A policy that exists: bundle, run folder, SB3 zip or ``hf://…``; it feeds every seed."""
    digest: str | None = None
    """Digest that the policy must have; none: whatever it has."""
    algorithm: Algorithm | None = None
    """What trains the source; of a policy that exists, what its file says, filled in."""
    training: Training | None = None
    evaluation: Evaluation | None = None

    @model_validator(mode="after")
    def _check(self) -> RLSource:
        if self.env is None and self.policy is None:
            raise ValueError("a source needs an env to train in, or a policy that exists")
        if self.policy is not None and self.training is not None:
            raise KeyedValueError("training", "this source is a policy that exists; it is not trained")
        return self

    @property
    def exists(self) -> bool:
        """Whether the source is a policy that exists."""
        return self.policy is not None


class RLTarget(TargetConfig):
    """A target environment of a suite; without a threshold it takes the environment's own."""

    env: Environment
    training: Training | None = None
    evaluation: Evaluation | None = None


class RLSuite(MatrixConfig):
    """``rl-transfer sweep``: sources × targets × strategies × seeds."""

    kind: Literal["rl"] = "rl"
    algorithm: Algorithm
    training: Training
    evaluation: Evaluation
    sources: Mapping[Name, RLSource] = Field(min_length=1)
    targets: Mapping[Name, RLTarget] = Field(min_length=1)

    def check_entry(self, entry: Entry) -> None:
        """Refuse budgets that SB3 would overshoot and evaluations that it could not stop at."""
        task = _task(entry)
        check_budget(
            self._algorithm(task), task.training or self.training, task.evaluation or self.evaluation
        )

    @model_validator(mode="after")
    def _check_vectorizations(self) -> RLSuite:
        for name, target in self.targets.items():
            for strategy in self.strategies:
                try:
                    check_vectorization(target.training or self.training, strategy)
                except KeyedValueError as error:
                    own = ("targets", name) if target.training is not None else ()
                    key = ".".join(map(str, (*own, *error.key)))
                    raise KeyedValueError(key, f"strategy {strategy.name!r}: {error}") from None
        return self

    def fair_strategies(self) -> tuple[StrategyConfig, ...]:
        """The strategies, controls with the knobs of what they control, wherever these matter.

        Returns:
            As many strategies in the same order.

        Raises:
            KeyedValueError: a control serves strategies whose knobs differ.
        """
        return tuple(self._fair(index, each) for index, each in enumerate(self.strategies))

    def _fair(self, index: int, strategy: StrategyConfig) -> StrategyConfig:
        served = [each for each in self.strategies if strategy.is_control_of(each)]
        found = {each.name: shared_knobs(strategy, each, self.algorithm) for each in served}
        first = next(iter(found.values()), strategy)
        other = next((name for name, each in found.items() if each != first), None)
        if other is not None:
            raise KeyedValueError(
                f"strategies.{index}",
                f"strategy {strategy.name!r} is a control for {served[0].name} and {other}, which train with "
                "different knobs; give each a control of its own, with control_for",
            )
        return first

    @model_validator(mode="after")
    def _check_controls(self) -> RLSuite:
        self.fair_strategies()
        return self

    def trained_run(self, entry: Entry, verbs: StrategyVerbs, source: str | None, seed: int) -> RLRun:
        """The run that trains in an entry's environment."""
        task = _task(entry)
        if task.env is None:
            raise ValueError("an entry has no environment; resolve the suite first")
        return RLRun(
            env=task.env,
            algorithm=self._algorithm(task),
            training=task.training or self.training,
            evaluation=task.evaluation or self.evaluation,
            strategy=verbs,
            source=source,
            root_seed=self.root_seed,
            seed=seed,
        )

    def in_cell(self, run: RunConfig, cell: str) -> RunConfig:
        """The run with the network of the cell's source, wherever ``algorithm`` leaves it open.

        Args:
            run: on a target, as the suite alone has it.
            cell: name of the source.

        Returns:
            The same run for every source whose network the suite's algorithm has already.
        """
        if not isinstance(run, RLRun) or run.algorithm is None:
            return run
        source = self.sources[cell].algorithm or self.algorithm
        return run.model_copy(update={"algorithm": inherit(run.algorithm, source)})

    def given_run(self, name: str, source: SourceConfig) -> RLRun:
        """The run that measures a policy that exists."""
        task = _task(source)
        if not isinstance(task, RLSource) or task.env is None:
            raise ValueError(f"source {name!r} has no environment; resolve the suite first")
        return RLRun(
            policy="given",
            env=task.env,
            evaluation=task.evaluation or self.evaluation,
            source=f"digest:{task.digest}",
            given=task.policy,
            root_seed=self.root_seed,
        )

    def random_run(self, name: str) -> RLRun:
        """The run that measures the uniform-random policy on target ``name``, over 100 episodes at least."""
        target = self.targets[name]
        evaluation = target.evaluation or self.evaluation
        return RLRun(
            env=target.env,
            policy="random",
            evaluation=evaluation.model_copy(update={"episodes": max(100, evaluation.episodes)}),
            root_seed=self.root_seed,
        )

    def _algorithm(self, task: RLSource | RLTarget) -> Algorithm:
        return (task.algorithm if isinstance(task, RLSource) else None) or self.algorithm


def _task(entry: Entry) -> RLSource | RLTarget:
    if not isinstance(entry, RLSource | RLTarget):
        raise TypeError(f"an RL suite has RL sources and targets, not {type(entry).__name__}")
    return entry
