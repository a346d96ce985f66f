"""What suites of every kind share: seeds, sources × targets × strategies, baseline, analysis settings."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from rl_transfer.spec.analysis import Analysis
from rl_transfer.spec.base import (
    Frozen,
    JsonValue,
    KeyedValueError,
    Name,
    Seed,
    canonical_json,
)
from rl_transfer.spec.experiment import RunConfig, SourceConfig, TargetConfig
from rl_transfer.spec.explain import explain
from rl_transfer.spec.scores import Scores
from rl_transfer.spec.seeds import TOO_MANY, SeedPlan, Seeds
from rl_transfer.spec.strategy import StrategyConfig, StrategyVerbs
from rl_transfer.spec.tune import RESERVED, Tune, point_words, split_key, with_values
from rl_transfer.spec.yaml_map import Document
from rl_transfer.wording import shortened

Entry = SourceConfig | TargetConfig
MOST_PLACES = 1_000_000
"""Of one matrix."""


class MatrixConfig(Frozen, ABC):
    """A suite of any kind: what it declares, and the runs that it stands for.

    A kind adds its task settings, says what makes a run of an entry (:meth:`trained_run`,
    :meth:`given_run`, :meth:`random_run`) and which budgets are impossible (:meth:`check_entry`).
    """

    kind: str
    """``rl``, ``image`` or ``text``."""
    name: Name
    """What it is called; without ``--output`` the results lie in ``results/NAME``."""
    summary: str = ""
    """One line for people."""
    seeds: Seeds = (0, 1, 2, 3, 4)
    """Seed indices; a number n in YAML means 0 … n−1; ``{plan: [5, 10, 20]}`` adds them look by look."""
    root_seed: Seed = 0
    """Number that all random streams descend from."""
    strategies: tuple[StrategyConfig, ...] = Field(min_length=1)
    """Names of shipped ones, paths of YAML files, or the strategies themselves."""
    baseline: str = "scratch"
    """Name of the from-scratch strategy that differences are taken against."""
    sources: Mapping[Name, SourceConfig] = Field(min_length=1)
    """What is transferred, by name."""
    targets: Mapping[Name, TargetConfig] = Field(min_length=1)
    """Where to, by name: a shipped target's name, a path of a YAML file, or the target itself."""
    analysis: Analysis = Analysis()
    tune: Tune | None = None
    """Hyperparameters that every arm chooses by seeds of its own before it is judged; none: as they are."""
    scores: Scores | None = None
    """That every source is scored on every target, and from how many samples of it; none: they are not."""

    tuned_sections: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Sections of the suite that tuning may change → keys of them that it may not."""

    @model_serializer(mode="wrap")
    def _plain(self, fields: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """Leaves out what nobody asks for: manifests stay as they were."""
        data: dict[str, JsonValue] = fields(self)
        for name in ("tune", "scores"):
            if getattr(self, name) is None:
                data.pop(name, None)
        return data

    @property
    def stages(self) -> tuple[tuple[int, ...], ...]:
        """The seed indices that each look at the results adds; one look without a plan."""
        return self.seeds.stages if isinstance(self.seeds, SeedPlan) else (self.seeds,)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """Every seed index, those of later looks included."""
        return tuple(itertools.chain.from_iterable(self.stages))

    @model_validator(mode="after")
    def _check(self) -> MatrixConfig:
        shape = [len(self.sources), len(self.targets), len(self.strategies), len(self.all_seeds)]
        if math.prod(shape) > MOST_PLACES:
            counts = " × ".join(f"{each:,}" for each in shape)
            raise ValueError(
                f"sources × targets × strategies × seeds is {counts}, expected at most {MOST_PLACES:,} "
                f"places: {TOO_MANY}"
            )
        if len(set(self.all_seeds)) != len(self.all_seeds):
            raise KeyedValueError("seeds", f"seeds has duplicates: {shortened(str(list(self.all_seeds)))}")
        names = [strategy.name for strategy in self.strategies]
        if len(set(names)) != len(names):
            raise KeyedValueError("strategies", f"strategies has two of the same name: {names}")
        by_name = {strategy.name: strategy for strategy in self.strategies}
        if self.baseline not in by_name:
            raise KeyedValueError(
                "baseline",
                f"baseline is {self.baseline!r}, but strategies has only {', '.join(names)}; "
                "without a from-scratch arm nothing can be claimed",
            )
        baseline = by_name[self.baseline]
        longer = next((each.name for each in self.strategies if each.with_source_steps), None)
        given = next((name for name, source in self.sources.items() if source.exists), None)
        if baseline.with_source_steps:
            raise KeyedValueError("baseline", "the baseline trains for the target's budget alone")
        if longer is not None and given is not None:
            raise KeyedValueError(
                "strategies",
                f"strategy {longer!r} trains for the source's steps too, but {given!r} exists already: "
                "nobody knows how many it took; leave the strategy out, or train the source here",
            )
        if baseline.needs_source or baseline.freeze:
            raise KeyedValueError(
                "baseline",
                f"the baseline {self.baseline!r} copies or freezes parts; a baseline trains from scratch",
            )
        for strategy in self.strategies:
            unknown = [name for name in strategy.control_for if name not in by_name]
            if strategy.control_for and len(unknown) == len(strategy.control_for):
                raise KeyedValueError(
                    "strategies",
                    f"strategy {strategy.name!r} is a control for {', '.join(unknown)}, none of which "
                    "is in strategies",
                )
        return self

    @model_validator(mode="after")
    def _check_budgets(self) -> MatrixConfig:
        entries: list[tuple[str, str, Entry]] = [
            *(("sources", name, source) for name, source in self.sources.items() if not source.exists),
            *(("targets", name, target) for name, target in self.targets.items()),
        ]
        for name, strategy, cell in itertools.product(self.targets, self.strategies, self.sources):
            if strategy.with_source_steps:
                try:
                    self.target_run(name, strategy, cell, None, self.all_seeds[0])
                except KeyedValueError as error:
                    key = f"strategies.{self.strategies.index(strategy)}.with_source_steps"
                    text = f"strategy {strategy.name!r} on {name} with the steps of {cell}: {error}"
                    raise KeyedValueError(key, text) from None
        for group, name, entry in entries:
            try:
                self.check_entry(entry)
            except KeyedValueError as error:
                own = getattr(entry, str(error.key[0])) is not None
                key = ".".join(map(str, (group, name, *error.key) if own else error.key))
                raise KeyedValueError(key, f"{group[:-1]} {name!r}: {error}", error.beside) from None
        return self

    @model_validator(mode="after")
    def _check_tune(self) -> MatrixConfig:
        taken = [seed for seed in self.all_seeds if seed in RESERVED]
        if taken:
            raise KeyedValueError(
                "seeds",
                f"seed {taken[0]} is one of those that tuning reserves ({RESERVED.start} to "
                f"{RESERVED.stop - 1}); judged seeds are never tuning seeds",
            )
        if self.tune is None:
            return self
        places = len(self.sources) * len(self.targets) * len(self.strategies)
        if places * len(self.tune.points) * self.tune.seeds > MOST_PLACES:
            raise KeyedValueError(
                "tune", f"sources × targets × strategies × points × seeds exceeds {MOST_PLACES:,}: {TOO_MANY}"
            )
        self.grid_suites()
        return self

    def grid_suites(self) -> tuple[Self, ...]:
        """This suite at every point of its tuning grid; sources stay as they are.

        Returns:
            Suites without ``tune``, in the order of the grid's points.

        Raises:
            KeyedValueError: a key or a value is impossible; the key is relative to the suite.
        """
        if self.tune is None:
            return ()
        found: dict[str, tuple[Mapping[str, JsonValue], Self]] = {}
        for point in self.tune.points:
            try:
                suite = self._at(point)
            except ValueError as error:
                key = next((key for key in point if self._is_wrong({key: point[key]})), next(iter(point)))
                index = self.tune.grid[key].index(point[key])
                raise KeyedValueError(f"tune.grid.{key}.{index}", f"{point_words(point)}: {error}") from None
            other = found.setdefault(canonical_json(suite.plain()), (point, suite))[0]
            if other is not point:
                raise KeyedValueError(
                    "tune.grid", f"{point_words(other)} and {point_words(point)} are the same to every run"
                )
        return tuple(suite for _, suite in found.values())

    def for_tuning(self) -> Self:
        """This suite as its tuning runs are made: measured on nothing that judged runs are measured on.

        Returns:
            Itself, where other seeds suffice for that.
        """
        return self

    def _is_wrong(self, point: Mapping[str, JsonValue]) -> bool:
        try:
            self._at(point)
        except ValueError:
            return True
        return False

    def _at(self, point: Mapping[str, JsonValue]) -> Self:
        """This suite at one point of a grid."""
        names = [strategy.name for strategy in self.strategies]
        changes: dict[tuple[str, ...], list[tuple[list[str], JsonValue]]] = {}
        for key, value in point.items():
            section, *rest = split_key(key, self.tuned_sections, names)
            place = (section, rest.pop(0)) if section == "strategies" else (section,)
            changes.setdefault(place, []).append((rest, value))
        fields = {name: getattr(self, name) for name in self.model_fields_set - {"tune"}}
        strategies = [*self.strategies]
        for (section, *named), values in changes.items():
            if named:
                which = names.index(named[0])
                strategies[which] = with_values(strategies[which], values)
                if strategies[which].needs_source != self.strategies[which].needs_source:
                    raise ValueError(f"whether {named[0]} uses a source makes another strategy of it")
                fields["strategies"] = tuple(strategies)
                continue
            fields[section] = with_values(getattr(self, section), values)
            fields["sources"] = {name: self._untuned(each, section) for name, each in self.sources.items()}
            fields["targets"] = {
                name: each
                if getattr(each, section, None) is None
                else each.model_copy(update={section: with_values(getattr(each, section), values)})
                for name, each in self.targets.items()
            }
        try:
            return type(self)(**fields)
        except ValidationError as error:
            raise ValueError(explain(error, type(self), Document({}, {}))) from None

    def _untuned(self, source: SourceConfig, section: str) -> SourceConfig:
        """A source that says itself what it took from the suite: it is trained as without tuning."""
        if source.exists or getattr(source, section) is not None:
            return source
        return source.model_copy(update={section: getattr(self, section)})

    @abstractmethod
    def check_entry(self, entry: Entry) -> None:
        """Refuse a trained source or a target whose budget or evaluation is impossible.

        Args:
            entry: of this suite; what it leaves out, the suite fills in.

        Raises:
            KeyedValueError: with the key relative to the entry.
        """

    @abstractmethod
    def trained_run(self, entry: Entry, verbs: StrategyVerbs, source: str | None, seed: int) -> RunConfig:
        """The run that trains on an entry's task.

        Seed and source enter its fields ``seed`` and ``source`` and nothing else of it: the runs of a
        cell are made from one of them.

        Args:
            entry: a source or a target of this suite.
            verbs: the strategy; an empty one trains from scratch.
            source: run id of the source that it starts from, or ``digest:…``.
            seed: seed index.

        Returns:
            The run with everything that the suite fills in.
        """

    @abstractmethod
    def given_run(self, name: str, source: SourceConfig) -> RunConfig:
        """The run that takes a source as it is; it feeds every seed.

        Args:
            name: of the source, for errors.
            source: one that exists already.

        Returns:
            A run that measures the source and keeps it as its bundle.
        """

    @abstractmethod
    def random_run(self, name: str) -> RunConfig:
        """The run that measures what needs no knowledge (random actions, chance).

        Args:
            name: of the target.

        Returns:
            One run for all seeds and strategies of the target.
        """

    @abstractmethod
    def scored_run(self, name: str, cell: str, scores: Scores, source: str, seed: int) -> RunConfig:
        """The run that scores a source on a target before anything is trained there.

        Args:
            name: of the target.
            cell: name of the source.
            scores: what the scoring may use.
            source: id of the run that makes the source.
            seed: seed index of that run.

        Returns:
            A run of policy ``scored``.
        """

    def source_seed(self, name: str, place: int) -> int:
        """The seed index of the source run that feeds a seed: its own, or in turn one of a source's few.

        Args:
            name: of a source that is trained.
            place: of the seed in :attr:`all_seeds`.

        Returns:
            A seed index of this suite.
        """
        runs = self.sources[name].runs
        return self.all_seeds[place if runs is None else place % runs]

    def source_run(self, name: str, seed: int) -> RunConfig:
        """The run that makes a source.

        Args:
            name: of the source.
            seed: seed index; a source that exists already is one run for all of them.

        Returns:
            The run whose bundle strategies with a source start from.
        """
        source = self.sources[name]
        if source.exists:
            return self.given_run(name, source)
        return self.trained_run(source, StrategyVerbs(), None, seed)

    def target_run(
        self, name: str, strategy: StrategyConfig, cell: str, source: str | None, seed: int
    ) -> RunConfig:
        """The run of a strategy on a target, in the cells of one source.

        Args:
            name: of the target.
            strategy: of this suite.
            cell: name of the source, whether the strategy needs one or not.
            source: id of the run that feeds it; left out where the strategy needs no source.
            seed: seed index.

        Returns:
            The run with everything that the suite and the source's task fill in.
        """
        origin = source if strategy.needs_source else None
        run = self.trained_run(self.targets[name], strategy.verbs(), origin, seed)
        if strategy.with_source_steps:
            run = run.with_total_steps(run.total_steps + self.source_run(cell, seed).total_steps)
        return self.in_cell(run, cell)

    def in_cell(self, run: RunConfig, cell: str) -> RunConfig:
        """What a target run takes over from the source of its cell, whatever its strategy.

        Args:
            run: on a target, as the suite alone has it.
            cell: name of the source.

        Returns:
            The run as it is, unless a kind of suite says otherwise.
        """
        return run
