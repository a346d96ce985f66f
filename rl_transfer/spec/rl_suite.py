"""The suite of the reinforcement-learning side: its sources, its targets, and the runs that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, SerializerFunctionWrapHandler, model_serializer, model_validator

from rl_transfer.spec.algorithms import Algorithm
from rl_transfer.spec.base import Frozen, JsonValue, KeyedValueError, Name, Score
from rl_transfer.spec.engine import ChosenEngine
from rl_transfer.spec.experiment import DECLARED, RunConfig, SourceConfig, TargetConfig, without_runs
from rl_transfer.spec.knobs import shared_knobs
from rl_transfer.spec.matrix import Entry, MatrixConfig
from rl_transfer.spec.network import inherit
from rl_transfer.spec.rl import Environment, Evaluation, RLRun, Training, check_budget, check_vectorization
from rl_transfer.spec.scores import PairScoring, Scores
from rl_transfer.spec.strategy import StrategyConfig, StrategyVerbs


class _OnAnEngine(Frozen):
    """A task of a suite, and the engine that was chosen for its runs; no config says the latter."""

    _engine: ChosenEngine | None = PrivateAttr(default=None)

    @property
    def engine(self) -> ChosenEngine | None:
        """What was chosen; None: what ``training.engine`` says already."""
        return self._engine

    def on_engine(self, chosen: ChosenEngine | None) -> Self:
        """The same task with an engine.

        Args:
            chosen: for all runs on it; None: ``training.engine`` decides.

        Returns:
            A copy; the suite puts the engine into its runs.
        """
        other = self.model_copy()
        other._engine = chosen
        return other

    @model_serializer(mode="wrap")
    def _with_engine(self, fields: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        data: dict[str, JsonValue] = fields(self)
        return data if self._engine is None else {**data, "engine": self._engine.plain()}


class RLSource(_OnAnEngine, SourceConfig):
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
    """Instead of the suite's."""
    evaluation: Evaluation | None = None
    """Instead of the suite's."""

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

    @model_serializer(mode="wrap")
    def _with_engine(self, fields: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """Leaves out what came later and is not given: manifests stay as they were."""
        return without_runs(super()._with_engine(fields))


class Success(Frozen):
    """When an episode on a target counts as a success: by its return, or because the environment says so."""

    return_: Score | None = Field(default=None, alias="return")
    """Least return of a successful episode; what finished runs recorded suffices."""
    info: str | None = Field(default=None, min_length=1)
    """Entry of the episode's last ``info``, such as ``is_success``; runs on the target record it."""

    @model_validator(mode="after")
    def _check(self) -> Success:
        if (self.return_ is None) == (self.info is None):
            raise ValueError(
                "success is either a return, {return: 475}, or an entry of info, {info: is_success}"
            )
        return self


class RLTarget(_OnAnEngine, TargetConfig):
    """A target environment of a suite; without a threshold it takes the environment's own."""

    env: Environment
    """The target environment."""
    training: Training | None = None
    """Instead of the suite's."""
    evaluation: Evaluation | None = None
    """Instead of the suite's."""
    success: Success | None = None
    """When an episode counts as a success; the report then has success rates."""
    axis: Name | None = None
    """Targets of one axis differ in severity; the report draws their gains over it."""
    severity: float | None = Field(default=None, gt=0, le=1)
    """Share of the way from defaults to bounds; a list in a suite stands for a target at each."""

    @model_validator(mode="after")
    def _check(self) -> RLTarget:
        if (self.axis is None) != (self.severity is None):
            raise KeyedValueError(
                "severity",
                "the severity of a target is a list such as [0.25, 0.5, 1.0], which makes a target of each; "
                "a single one stands in env.perturb, such as {length: {severity: 0.5, towards: high}}",
            )
        return self

    @model_serializer(mode="wrap")
    def _with_engine(self, fields: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """Leaves out what came later and is not given: manifests stay as they were."""
        data = super()._with_engine(fields)
        return {key: value for key, value in data.items() if key not in _LATER or value is not None}


_LATER = ("axis", "severity", "success", *DECLARED)


class RLSuite(MatrixConfig):
    """``rl-transfer sweep``: sources × targets × strategies × seeds."""

    kind: Literal["rl"] = "rl"
    algorithm: Algorithm
    """What trains; hyperparameters are Stable-Baselines3's."""
    training: Training
    evaluation: Evaluation
    sources: Mapping[Name, RLSource] = Field(min_length=1)
    targets: Mapping[Name, RLTarget] = Field(min_length=1)

    tuned_sections: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "algorithm": ("name", "policy", "policy_kwargs", "normalize", "use_sde")
    }

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
        run = RLRun(
            env=task.env,
            algorithm=self._algorithm(task),
            training=task.training or self.training,
            evaluation=self._evaluation(task),
            strategy=verbs,
            source=source,
            root_seed=self.root_seed,
            seed=seed,
        )
        return run if task.engine is None else run.on_engine(task.engine)

    def in_cell(self, run: RunConfig, cell: str) -> RunConfig:
        """The run with the network of the cell's source, wherever ``algorithm`` leaves it open.

        Where no strategy of the suite copies, the network is the suite's own.

        Args:
            run: on a target, as the suite alone has it.
            cell: name of the source.

        Returns:
            The same run for every source whose network the suite's algorithm has already.
        """
        copying = any(strategy.copy_ for strategy in self.strategies)
        if not isinstance(run, RLRun) or run.algorithm is None or not copying:
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
        evaluation = self._evaluation(target)
        return RLRun(
            env=target.env,
            policy="random",
            evaluation=evaluation.model_copy(update={"episodes": max(100, evaluation.episodes)}),
            root_seed=self.root_seed,
        )

    def scored_run(self, name: str, cell: str, scores: Scores, source: str, seed: int) -> RLRun:
        """The run that scores source ``cell`` on target ``name``, however training there is evaluated."""
        return RLRun(
            env=self.targets[name].env,
            policy="scored",
            evaluation=Evaluation(every=scores.steps),
            scores=PairScoring(steps=scores.steps, bar=self.sources[cell].bar),
            source=source,
            root_seed=self.root_seed,
            seed=seed,
        )

    def _evaluation(self, task: RLSource | RLTarget) -> Evaluation:
        """How runs on a task are evaluated; those on a target record what ``success.info`` names."""
        evaluation = task.evaluation or self.evaluation
        if not isinstance(task, RLTarget) or task.success is None or task.success.info is None:
            return evaluation
        return evaluation.model_copy(update={"success": task.success.info})

    def _algorithm(self, task: RLSource | RLTarget) -> Algorithm:
        return (task.algorithm if isinstance(task, RLSource) else None) or self.algorithm


def _task(entry: Entry) -> RLSource | RLTarget:
    if not isinstance(entry, RLSource | RLTarget):
        raise TypeError(f"an RL suite has RL sources and targets, not {type(entry).__name__}")
    return entry
