"""Gaps between domains: how often do the tests say "apart", where nothing is and where something is?

    python -m benchmarks.validity.gaps                  # the tables of docs/validity.md
    python -m benchmarks.validity.gaps --draws 60       # a quick look

Samples are of four Gaussian features. Independent rows have one of two classes, which moves their features;
given the class is the conditional gap. Steps of environments follow a first-order autoregression (0.9 from
one row to the next) with an action, the first feature and noise; given its stratum is the conditional gap.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from rl_transfer.core.measured_gaps import DomainGap, FeatureSample, measured_gap, measured_gap_by_label
from rl_transfer.core.strata import action_strata

LEVEL, FEATURES, MEMORY = 0.05, 4, 0.9
ALIKE = (0.0, 1.0)
APART = {"means 0.4 apart": (0.4, 1.0), "means 0.8 apart": (0.8, 1.0),
         "1.3 times as wide": (0.0, 1.3), "1.6 times as wide": (0.0, 1.6)}  # fmt: skip
"""How a target lies apart → what is added to its features, and what they are multiplied by."""
COLUMNS = ("MMD², marginal", "CORAL, marginal", "MMD², conditional", "CORAL, conditional")
ROWS = (20, 60, 120)
STEPS = ((4, 16), (8, 16), (8, 32))
"""Environments of each side, and rows of each."""


def independent(generator: np.random.Generator, rows: int, change: tuple[float, float]) -> FeatureSample:
    """One side of independent rows with classes."""
    labels = generator.integers(2, size=rows)
    features = (generator.normal(size=(rows, FEATURES)) + labels[:, None]) * change[1] + change[0]
    return FeatureSample(torch.as_tensor(features), torch.as_tensor(labels))


def steps(
    generator: np.random.Generator, shape: tuple[int, int], change: tuple[float, float]
) -> tuple[FeatureSample, NDArray[np.float64]]:
    """One side of several environments, and the actions of its rows."""
    envs, rows = shape
    state = generator.normal(size=(envs, FEATURES))
    found = []
    for _ in range(rows):
        found.append(state)
        fresh = generator.normal(size=(envs, FEATURES))
        state = MEMORY * state + np.sqrt(1 - MEMORY**2) * fresh
    features = np.stack(found).reshape(-1, FEATURES)
    actions = features[:, :1] + 0.5 * generator.normal(size=(len(features), 1))
    groups = torch.as_tensor(np.tile(np.arange(envs), rows))
    return FeatureSample(torch.as_tensor(features * change[1] + change[0]), None, groups), actions


def both(
    source: FeatureSample, target: FeatureSample, generator: np.random.Generator
) -> tuple[float, float, float, float]:
    """The p-values of a pair of samples, in the order of :data:`COLUMNS`; 1 where no label is shared."""
    found: list[DomainGap | None] = [
        measured_gap(source, target, generator), measured_gap_by_label(source, target, generator),
    ]  # fmt: skip
    marginal, given = ((1.0, 1.0) if each is None else (each.p, each.coral_p) for each in found)
    return *marginal, *given


def of_rows(rows: int, change: tuple[float, float], draws: int) -> NDArray[np.bool_]:
    """Where the tests of independent rows reject, ``[draw, column]``."""
    generator = np.random.default_rng([rows, *_digits(change)])
    pairs = (
        (independent(generator, rows, ALIKE), independent(generator, rows, change)) for _ in range(draws)
    )
    return np.array([both(*pair, generator) for pair in pairs]) <= LEVEL


def of_steps(
    shape: tuple[int, int], change: tuple[float, float], draws: int, grouped: bool = True
) -> NDArray[np.bool_]:
    """Where the tests of steps of environments reject, ``[draw, column]``."""
    generator = np.random.default_rng([*shape, *_digits(change)])
    found = []
    for _ in range(draws):
        pair = steps(generator, shape, ALIKE), steps(generator, shape, change)
        labels = action_strata(*(torch.as_tensor(actions) for _, actions in pair))
        samples = [
            replace(side, labels=label, groups=side.groups if grouped else None)
            for (side, _), label in zip(pair, labels, strict=True)
        ]
        found.append(both(samples[0], samples[1], generator))
    return np.array(found) <= LEVEL


def of_other_actions(rows: int, shift: float, strata: bool, draws: int) -> float:
    """How often MMD² given the action says "apart" where only the actions are."""
    generator = np.random.default_rng([rows, round(100 * shift)])
    found = []
    for _ in range(draws):
        actions = [generator.normal(size=(rows, 1)) + each for each in (0.0, shift)]
        features = [torch.as_tensor(each + generator.normal(size=(rows, FEATURES))) for each in actions]
        if not strata:
            samples = [FeatureSample(each) for each in features]
            found.append(measured_gap(samples[0], samples[1], generator).p)
            continue
        labels = action_strata(*(torch.as_tensor(each) for each in actions))
        sides = [FeatureSample(each, label) for each, label in zip(features, labels, strict=True)]
        given = measured_gap_by_label(sides[0], sides[1], generator)
        found.append(1.0 if given is None else given.p)
    return float(np.mean(np.array(found) <= LEVEL))


def _digits(change: tuple[float, float]) -> tuple[int, int]:
    return round(100 * change[0]), round(100 * change[1])


def _line(name: str, size: str, rejected: NDArray[np.bool_]) -> str:
    return f"| {name} | {size} | {' | '.join(f'{share:.3f}' for share in rejected.mean(axis=0))} |"


def false_alarms(draws: int) -> Iterator[str]:
    """The table of nothing apart."""
    yield from _head("rows")
    for rows in ROWS:
        yield _line("independent", str(rows), of_rows(rows, ALIKE, draws))
    for shape in STEPS:
        size = f"{shape[0]} × {shape[1]}"
        yield _line("steps, environments permuted", size, of_steps(shape, ALIKE, draws))
    for shape in STEPS:
        size = f"{shape[0]} × {shape[1]}"
        yield _line("steps, rows permuted", size, of_steps(shape, ALIKE, draws // 4, grouped=False))


def power(draws: int) -> Iterator[str]:
    """The table of domains that lie apart."""
    yield from _head("apart")
    for name, change in APART.items():
        for rows in ROWS:
            yield _line(name, f"{rows} independent", of_rows(rows, change, draws))
        for shape in STEPS:
            yield _line(name, f"{shape[0]} × {shape[1]} steps", of_steps(shape, change, draws))


def other_actions(draws: int) -> Iterator[str]:
    """The table of what strata leave of other actions."""
    yield "| actions apart by | rows | marginal | given the stratum |"
    yield "|---|---|---|---|"
    for shift in (0.25, 0.5, 1.0):
        for rows in ROWS[1:]:
            shares = [of_other_actions(rows, shift, strata, draws) for strata in (False, True)]
            yield f"| {shift} | {rows} | {shares[0]:.3f} | {shares[1]:.3f} |"


def _head(first: str) -> Sequence[str]:
    return f"| {first} | of each side | {' | '.join(COLUMNS)} |", f"|{'---|' * (2 + len(COLUMNS))}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=240)
    draws = parser.parse_args().draws
    torch.set_num_threads(1)
    for lines in (false_alarms(draws), power(draws // 5), other_actions(draws // 3)):
        for line in lines:
            print(line, flush=True)
        print(flush=True)


if __name__ == "__main__":
    main()
