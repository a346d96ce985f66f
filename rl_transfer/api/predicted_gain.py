"""What finished sweeps say of sources that nobody has transferred: gains as a function of contexts.

A Gaussian process over pairs of contexts (source, target), fitted to the gains that a calibration file
keeps, as model-based transfer learning has it (Cho et al. 2024, NeurIPS). It knows a source by the
environment that it was trained in and by nothing else. What it is worth: docs/choosing-a-source.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from rl_transfer.analysis.gaussian_process import GaussianProcess, fit_process
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.source_ranking import MOST_PAIRS
from rl_transfer.api.known_gains import FloatArray, KnownGains
from rl_transfer.frame.scores import (
    PREDICTED,
    ContextValues,
    PredictGain,
    Resolve,
    SourceScores,
    TransferScore,
)
from rl_transfer.spec import Environment
from rl_transfer.wording import in_words, listing

LEAST = 3
"""Contexts of sources, and of targets, from which a process is fitted."""
LIMIT = 1.96
"""Standard deviations of the normal distribution within which 95 % lie."""


class _NoPredictionError(Exception):
    """Why nothing can be said, in words."""


class Surface:
    """Gains over contexts, fitted to one sweep.

    Each parameter that varies in the sweep is a dimension, by its logarithm where all values are positive,
    from 0 to 1 over the sources and targets of the sweep.

    Args:
        known: the sweep.
        sources: contexts of its sources.
        targets: those of its targets.

    Raises:
        _NoPredictionError: there is nothing to fit.
    """

    def __init__(
        self, known: KnownGains, sources: Sequence[ContextValues], targets: Sequence[ContextValues]
    ) -> None:
        everything = [*sources, *targets]
        self._defaults = {name: value for each in everything for name, value in each.defaults.items()}
        names = list(dict.fromkeys(name for each in everything for name in each.values))
        table = np.array([[self._value(each, name) for name in names] for each in everything])
        table = table.reshape(len(everything), len(names))
        varied = np.ptp(table, axis=0) > 0
        self._same = {name: table[0, i] for i, name in enumerate(names) if not varied[i]}
        self._names = [name for i, name in enumerate(names) if varied[i]]
        self._logarithmic = (table[:, varied] > 0).all(axis=0)
        table = self._transformed(table[:, varied])
        self._low, self._width = table.min(axis=0), np.ptp(table, axis=0)
        points = (table - self._low) / self._width
        self.known, self._sources = known, points[: len(sources)]
        self._process = self._fitted(points[len(sources) :])

    def _fitted(self, targets: FloatArray) -> GaussianProcess:
        gains, sources = self.known.gains, self._sources
        finished = np.isfinite(gains)
        counts = [
            len(np.unique(points[finished.any(axis=axis)], axis=0))
            for points, axis in ((sources, 1), (targets, 0))
        ]
        if not self._names or min(counts) < LEAST:
            raise _NoPredictionError(
                f"its finished pairs have {counts[0]} different contexts of sources and {counts[1]} of "
                f"targets, and a process is fitted from {LEAST} of each"
            )
        if finished.sum() > MOST_PAIRS:
            raise _NoPredictionError(
                f"it has {int(finished.sum())} pairs, and a process of more than {MOST_PAIRS} takes too long"
            )
        if np.ptp(gains[finished]) == 0:
            raise _NoPredictionError("all its pairs have the same gain, which says nothing of others")
        i, j = np.nonzero(finished)
        return fit_process(np.concatenate([sources[i], targets[j]], axis=1), gains[i, j])

    def _value(self, context: ContextValues, name: str) -> float:
        value = context.values.get(name, self._defaults.get(name, context.defaults.get(name)))
        if value is None:
            raise _NoPredictionError(f"{name} is set in one environment, and has no default for the others")
        return value

    def _transformed(self, table: FloatArray) -> FloatArray:
        positive = np.where(self._logarithmic, table, 1.0)
        found: FloatArray = np.where(self._logarithmic, np.log(positive), table)
        return found

    def _point(self, context: ContextValues) -> FloatArray:
        """Where an environment lies, [dimension]; outside [0, 1] beyond what the sweep has."""
        for name, value in context.values.items():
            seen = name in self._names or name in self._same
            own = self._same.get(name, math.nan) if seen else context.defaults.get(name)
            if name not in self._names and value != own:
                said = f"is {own:g} everywhere in the sweep" if seen else "is never changed in the sweep"
                raise _NoPredictionError(f"{name} {said} and {value:g} here")
        for name, same in self._same.items():
            if self._value(context, name) != same:
                raise _NoPredictionError(
                    f"{name} is {same:g} everywhere in the sweep and {self._value(context, name):g} here"
                )
        row = np.array([self._value(context, name) for name in self._names])
        if (self._logarithmic & (row <= 0)).any():
            name = self._names[int(np.argmax(self._logarithmic & (row <= 0)))]
            raise _NoPredictionError(f"{name} counts by its logarithm in the sweep, and is not positive here")
        point: FloatArray = (self._transformed(row) - self._low) / self._width
        return point

    def predict(self, source: ContextValues, target: ContextValues) -> TransferScore:
        """The gain of a pair.

        Args:
            source: context of the source.
            target: context of the target.

        Returns:
            The posterior mean, in the unit of the gains, with the standard deviation of a gain that is
            measured as the sweep's were (``sd``), 95 % limits, and what they rest on.

        Raises:
            _NoPredictionError: one of them lies beside what the sweep varied.
        """
        points = [self._point(each) for each in (source, target)]
        mean, spread = self._process.predict(np.concatenate(points)[None])
        sd = math.sqrt(float(spread[0]) ** 2 + self._process.noise * self._process.variance)
        beyond = np.any([(each < -1e-9) | (each > 1 + 1e-9) for each in points], axis=0)
        rows = np.isfinite(self.known.gains).any(axis=1)
        met = bool(np.isclose(self._sources[rows], points[0]).all(axis=1).any())
        return TransferScore.of(
            float(mean[0]),
            sd=sd,
            low=float(mean[0]) - LIMIT * sd,
            high=float(mean[0]) + LIMIT * sd,
            sweep=self.known.sweep,
            strategy=self.known.strategy,
            metric=self.known.metric,
            pairs=int(np.isfinite(self.known.gains).sum()),
            known_source=met,
            beyond=[name for name, out in zip(self._names, beyond, strict=True) if out],
        )


def gain_predictor(sweeps: Sequence[KnownGains]) -> PredictGain:
    """What several sweeps say of a pair: the one of the most pairs among those that say anything.

    Gains of different sweeps are not fitted together: budgets and algorithms may differ.

    Args:
        sweeps: of a calibration file.

    Returns:
        A function of source, target and what makes contexts of them. A score that has no value says why.
    """
    surfaces: dict[tuple[int, str], Surface | str] = {}

    def surface(index: int, target: Environment, resolve: Resolve) -> Surface:
        key = index, target.digest
        if key not in surfaces:
            try:
                surfaces[key] = _surface(sweeps[index], target, resolve)
            except _NoPredictionError as why:
                surfaces[key] = str(why)
        found = surfaces[key]
        if isinstance(found, str):
            raise _NoPredictionError(found)
        return found

    def predict(source: Environment, target: Environment, resolve: Resolve) -> TransferScore:
        try:
            here, there = (_context(each, resolve) for each in (source, target))
            if here.base != there.base:
                raise _NoPredictionError(f"{here.base} and {there.base} are different environments")
        except _NoPredictionError as why:
            return TransferScore.none(str(why))
        found, reasons = list[tuple[int, TransferScore]](), list[str]()
        for index, known in enumerate(sweeps):
            try:
                score = surface(index, target, resolve).predict(here, there)
                found.append((int(np.isfinite(known.gains).sum()), score))
            except _NoPredictionError as why:
                reasons.append(f"{known.sweep}: {why}")
        if found:
            return max(found, key=lambda each: each[0])[1]
        return TransferScore.none(listing(reasons, separator="; "))

    return predict


def _context(env: Environment, resolve: Resolve) -> ContextValues:
    found = resolve(env)
    if isinstance(found, str):
        raise _NoPredictionError(found)
    return found


def _surface(known: KnownGains, target: Environment, resolve: Resolve) -> Surface:
    """Fitted where sweep, source and target share the environment beneath.

    A file names modules that would be imported: those that the user's own target names, and no others.
    """
    here = _context(target, resolve).base
    contexts = []
    for each in [*known.sources, *known.targets]:
        if _module(each) != _module(target):
            raise _NoPredictionError(f"its environments are others than {here}")
        contexts.append(_context(each, resolve))
    others = sorted({each.base for each in contexts} - {here})
    if others:
        raise _NoPredictionError(f"it is of {in_words(others)}, and the target is {here}")
    return Surface(known, contexts[: len(known.sources)], contexts[len(known.sources) :])


def _module(env: Environment) -> tuple[str | None, str]:
    return env.env_module, env.id.rpartition(":")[0]


def predicted_lines(scored: Mapping[str, SourceScores]) -> list[str]:
    """The predicted gain of every source that has one, with its uncertainty and what it rests on.

    Args:
        scored: name of the source → its scores.

    Returns:
        A line per such source.
    """
    lines = []
    for name, scores in scored.items():
        gain = scores.scores.get(PREDICTED)
        if gain is None or gain.value is None:
            continue
        found = gain.details
        line = (
            f"  {name}: predicted gain {gain.value:+.4g}, 95 % from {found['low']:+.4g} to "
            f"{found['high']:+.4g} ({METRICS[str(found['metric'])].label} of {found['strategy']}, "
            f"{found['pairs']} pairs of {found['sweep']})"
        )
        beyond = found["beyond"]
        if isinstance(beyond, list) and beyond:
            line += f"; it lies beyond that sweep in {in_words([str(each) for each in beyond])}"
        if not found["known_source"]:
            line += "; no source of that sweep was trained where this one was: a guess from its neighbours"
        lines.append(line)
    return lines
