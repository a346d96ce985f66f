"""Sweeps in memory with curves written out by hand."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from rl_transfer.analysis import Curve, Matrix, Run, Sweep, analyse
from rl_transfer.results.tuning import TUNING, ArmPlace, TuningRecord
from rl_transfer.spec.base import Json

STEPS = (0, 100, 200, 300, 400, 500)
SLOW = (0, 0, 50, 100, 100, 100)
"""From scratch: final 100, area (0 + 25 + 75 + 100 + 100) / 5 = 60."""
FAST = (20, 60, 100, 100, 100, 100)
"""Transfer: final 100, area (40 + 80 + 100 + 100 + 100) / 5 = 84."""

CONTROL = {"control": True, "control_for": ["frozen"], "freeze": ["trunk"]}


def curve(means: Sequence[float], steps: Sequence[float] = STEPS) -> Curve:
    return Curve(np.array(steps, dtype=float), tuple(np.array([mean], dtype=float) for mean in means))


def run(
    role: Literal["source", "target", "random", "tuning"],
    seed: int,
    means: Sequence[float] | None,
    *,
    source: str | None = None,
    target: str | None = None,
    strategy: str | None = None,
    steps: Sequence[float] = STEPS,
    **record: Any,
) -> Run:
    identity = "/".join(str(part) for part in (role, source, target, strategy, seed))
    if means is None:
        return Run(identity, role, source, target, strategy, seed, problem="failed: boom")
    fed = {"source_run": f"{source}-{seed}", "source_steps": 1000, "source_score": 90.0} if source else {}
    return Run(
        identity,
        role,
        source,
        target,
        strategy,
        seed,
        record={"versions": {"torch": "2.13"}, **fed, **record},
        curve=curve(means, steps),
    )


def shifted(means: Sequence[float], by: float) -> tuple[float, ...]:
    return tuple(mean + by for mean in means)


def spread(means: Sequence[float], runs: int = 4, by: float = 2.0) -> list[tuple[float, ...]]:
    """Curves about ``means``, ``by`` apart: an arm whose runs all lie within 2δ would get no verdict."""
    return [shifted(means, by * (place - (runs - 1) / 2)) for place in range(runs)]


HARDLY = 0.002
"""A spread that no table shows, above 2δ with :data:`STRICT`."""
STRICT = 1e-6


def sweep(
    arms: Mapping[tuple[str | None, str, str], Sequence[Run]],
    *,
    random: Mapping[str, Sequence[float]] | None = None,
    seeds: int = 4,
    strategies: Mapping[str, Mapping[str, Any]] | None = None,
    bar: float | None = None,
    threshold: float | None = None,
    **analysis: Any,
) -> Sweep:
    """A sweep of these arms; the random policy's return is 0 on every target unless given, and δ 2 %."""
    targets = list(dict.fromkeys(target for _, target, _ in arms))
    sources = list(dict.fromkeys(source for source, _, _ in arms if source))
    measured = {target: [0.0] for target in targets} if random is None else random
    rows = [
        Run(f"random/{target}", "random", None, target, None, 0, record={}, curve=curve([value[0]], [0]))
        for target, value in measured.items()
    ]
    config = {
        "baseline": "scratch",
        "seeds": list(range(seeds)),
        "strategies": dict(strategies or {}),
        "sources": {name: {"bar": bar} for name in sources},
        "targets": {name: {"reward_threshold": threshold} for name in targets},
        "analysis": {"bootstrap": 50, "delta": 0.02, **analysis},
    }
    return Sweep(
        {"schema": 1, "name": "by hand", "config": config},
        (*rows, *(entry for arm in arms.values() for entry in arm)),
    )


def arm(
    key: tuple[str | None, str, str], curves: Sequence[Sequence[float] | None], **record: Any
) -> tuple[Run, ...]:
    source, target, strategy = key
    return tuple(
        run("target", seed, means, source=source, target=target, strategy=strategy, **record)
        for seed, means in enumerate(curves)
    )


SCRATCH: ArmPlace = (None, "task", "scratch")
FINE: ArmPlace = ("base", "task", "fine-tune")
Curves = Sequence[Sequence[float] | None]


def sweep_of(curves: Mapping[ArmPlace, Curves], **options: Any) -> Sweep:
    """A sweep of arms with these curves, curve i for seed i."""
    arms = {key: arm(key, each) for key, each in curves.items()}
    return sweep(arms, **{"seeds": max(map(len, curves.values())), **options})


def on_targets(curves: Mapping[str, tuple[Curves, Curves]], **options: Any) -> Sweep:
    """Fine-tuning from ``base`` and from scratch on each of these targets."""
    arms: dict[ArmPlace, Curves] = {}
    for target, (transfer, scratch) in curves.items():
        arms |= {(None, target, "scratch"): scratch, ("base", target, "fine-tune"): transfer}
    return sweep_of(arms, **options)


def two_arms(transfer: Curves, scratch: Curves, record: Mapping[str, Any] = {}, **options: Any) -> Sweep:
    """One target: fine-tuning from ``base``, with ``record``, against scratch."""
    arms = {SCRATCH: arm(SCRATCH, scratch), FINE: arm(FINE, transfer, **record)}
    return sweep(arms, seeds=max(len(transfer), len(scratch)), **options)


def changed(given: Sweep, change: Callable[[Run], Run | None]) -> Sweep:
    """The sweep with every run changed; without those that become None."""
    return Sweep(given.manifest, tuple(run for run in map(change, given.runs) if run is not None))


def lost(given: Sweep, problem: str = "failed: boom", **fields: Any) -> Sweep:
    """The sweep whose runs with these fields have no record, for this reason."""

    def end(run: Run) -> Run:
        hit = all(getattr(run, name) == value for name, value in fields.items())
        return replace(run, record=None, curve=None, problem=problem) if hit else run

    return changed(given, end)


def recorded(runs: Sequence[Run], **entries: Sequence[Any]) -> tuple[Run, ...]:
    """The runs with these entries in their records, the i-th value in that of run i."""
    values = [dict(zip(entries, each, strict=True)) for each in zip(*entries.values(), strict=True)]
    pairs = zip(runs, values, strict=True)
    return tuple(run if run.record is None else replace(run, record={**run.record, **v}) for run, v in pairs)


def transfer_cell(given: Sweep | Matrix) -> Any:
    """The only cell of a strategy."""
    (cell,) = (given if isinstance(given, Matrix) else analyse(given)).select(kind="transfer")
    return cell


RATES: Sequence[Mapping[str, Json]] = [{"algorithm.learning_rate": rate} for rate in (0.001, 0.01, 0.1)]
TUNING_SEEDS = (1_000_000_000, 1_000_000_001)


def tuned(
    levels: Mapping[ArmPlace, Sequence[Sequence[float | None]]],
    chosen: Mapping[ArmPlace, int],
    points: Sequence[Mapping[str, Json]] = RATES,
    by: str = "auc",
    untuned: Collection[ArmPlace] = (),
    *,
    late: bool = False,
) -> Sweep:
    """A judged sweep with tuning runs: arm → for each point the level of each tuning seed's flat curve."""
    judged = two_arms(spread(FAST), spread(SLOW))
    runs: list[Run] = []
    for (source, target, strategy), scores in levels.items():
        for point, there in enumerate(scores):
            for seed, level in zip(TUNING_SEEDS, there, strict=True):
                curve = None if level is None else [level] * 6
                one = run("tuning", seed, curve, source=source, target=target, strategy=strategy)
                runs.append(replace(one, id=f"{one.id}/{point}", point=point))
    record = TuningRecord(by, tuple(points), TUNING_SEEDS, chosen, frozenset(untuned), late)
    return Sweep({**judged.manifest, TUNING: record.plain()}, judged.runs, tuple(runs))
