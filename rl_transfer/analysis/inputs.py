"""What the analysis works on: the sweep's manifest, and of each run its record and learning curve.

Files are read and checked by :mod:`rl_transfer.results`. A run that cannot be used says why
(:attr:`Run.problem`) instead of vanishing: completeness gates the verdict.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from rl_transfer.analysis.arm_statistics import FloatArray
from rl_transfer.analysis.settings import StrategyInfo, read_settings, read_strategies
from rl_transfer.errors import StoreError
from rl_transfer.results import Labels, RunFolder, read_labels, read_manifest
from rl_transfer.results.looks import read_looks
from rl_transfer.results.scores import SCORES
from rl_transfer.results.tuning import TUNING
from rl_transfer.spec import Analysis, JsonObject

Role = Literal["source", "target", "random", "tuning", "scores"]

FARTHEST = 1e30
"""No return farther from 0 is analysed: squares would overflow, and TensorBoard knows 3e38 at most."""

_LARGE = ("spec", "plan", "frozen", "architecture", "files")
"""Parts of a record that no figure rests on; those of ten thousand runs would fill the memory."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A learning curve: evaluations k = 0 … n at ``steps[k]`` with ``returns[k][episode]``.

    Steps are in the sweep's unit (environment steps, epochs) and increase; returns are in its measure
    (episodic return; the accuracy, as a single entry, for images).
    """

    steps: FloatArray
    returns: tuple[FloatArray, ...]
    successes: tuple[FloatArray, ...] | None = None
    """``successes[k][episode]`` as 0 and 1, where every evaluation recorded them."""
    means: FloatArray = field(init=False)
    """J(t_k): mean over the evaluation's episodes; array [n+1]."""

    def __post_init__(self) -> None:
        if len(self.steps) == 0 or len(self.steps) != len(self.returns):
            raise ValueError(
                f"a curve needs one list of returns per evaluation: {len(self.steps)} steps, "
                f"{len(self.returns)} lists"
            )
        if (np.diff(self.steps) <= 0).any():
            raise ValueError(f"evaluation steps must increase, got {self.steps.tolist()}")
        if any(episodes.size == 0 or not np.isfinite(episodes).all() for episodes in self._blocks()):
            raise ValueError("every evaluation needs at least one return, all of them finite")
        means = np.concatenate([block.mean(axis=-1) for block in self._blocks()])
        object.__setattr__(self, "means", means)

    def _blocks(self) -> list[FloatArray]:
        """All evaluations as one array where they have as many episodes, which is quicker; else one each."""
        if len({episodes.size for episodes in self.returns}) == 1:
            return [np.array(self.returns)]
        return [episodes[None] for episodes in self.returns]

    @property
    def budget(self) -> float:
        """The step of the last evaluation."""
        return float(self.steps[-1])


@dataclass(frozen=True, eq=False)
class Run:
    """One row of ``sweep.json`` with what is on disk for it."""

    id: str
    role: Role
    source: str | None
    target: str | None
    strategy: str | None
    seed: int
    needs: tuple[str, ...] = ()
    record: JsonObject | None = None
    """The checked record without its largest parts: config, plan, frozen tensors, architecture, digests."""
    curve: Curve | None = None
    """The learning curve; None unless the run is finished, sound and measured."""
    problem: str | None = None
    """Why the run cannot be used; None if it can.

    ``unfinished``, ``failed: …``, ``damaged: …``, or ``skipped: …`` where the run that it needs failed.
    """
    on_trust: bool = False
    """Whether its record is of 0.1.0, without digests."""
    point: int | None = None
    """Of the tuning grid; None for what is judged."""

    @property
    def finished(self) -> bool:
        """Whether the record is there and sound, and the curve too where the run was measured."""
        return self.record is not None and (self.curve is not None or self.unmeasured)

    @property
    def unmeasured(self) -> bool:
        """Whether nothing was measured: a source of unknown score, or one that cannot act in a target."""
        of_source = self.target is None or self.role == SCORES
        return of_source and self.problem is None and _says_unmeasured(self.record)


@dataclass(frozen=True, eq=False)
class Sweep:
    """A sweep: its manifest (``sweep.json``) and every run that it plans."""

    manifest: JsonObject
    runs: tuple[Run, ...]
    """All but those that were only tuned by: whatever is judged, is judged by these."""
    tuning: tuple[Run, ...] = ()
    """Runs with tuning seeds."""

    @property
    def config(self) -> JsonObject:
        """The resolved config."""
        config: JsonObject = self.manifest.get("config") or {}
        return config

    @property
    def name(self) -> str:
        """The sweep's name."""
        return str(self.manifest.get("name", "sweep"))

    @property
    def labels(self) -> Labels:
        """What its numbers are called."""
        return read_labels(self.manifest)

    @property
    def baseline(self) -> str:
        """Name of the from-scratch strategy."""
        return str(self.config.get("baseline") or "scratch")

    @property
    def root_seed(self) -> int:
        """Root of every random stream."""
        return int(self.config.get("root_seed") or 0)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seed indices that every cell must have: those of the config, else those of the rows."""
        given = self.config.get("seeds")
        if isinstance(given, int):
            return tuple(range(given))
        if isinstance(given, list) and given:
            return tuple(int(seed) for seed in given)
        return tuple(sorted({run.seed for run in self.runs if run.role == "target"}))

    @property
    def first_look(self) -> tuple[int, ...]:
        """The seeds to be judged first, whatever came later; all seeds in a folder that does not say."""
        kept = {*read_looks(self.manifest)[0]}
        return tuple(seed for seed in self.seeds if seed in kept) or self.seeds

    @property
    def settings(self) -> Analysis:
        """The analysis settings."""
        return read_settings(self.config)

    @property
    def strategies(self) -> dict[str, StrategyInfo]:
        """The strategies in the config's order, then any that only rows name."""
        known = read_strategies(self.config)
        for run in self.runs:
            if run.strategy is not None:
                known.setdefault(run.strategy, StrategyInfo(run.strategy))
        return known

    def select(self, role: Role, **fields: str | None) -> tuple[Run, ...]:
        """The runs of ``role`` whose named fields have these values, by seed.

        Args:
            role: ``source``, ``target`` or ``random``.
            fields: names of :class:`Run` and the value that each must have.

        Returns:
            The runs that match, by seed.
        """
        places = self._places.get(role, {})
        rows = places.get(fields["target"], []) if "target" in fields else itertools.chain(*places.values())
        chosen = [run for run in rows if all(getattr(run, name) == value for name, value in fields.items())]
        return tuple(sorted(chosen, key=lambda run: run.seed))

    @cached_property
    def _places(self) -> dict[Role, dict[str | None, list[Run]]]:
        """Role → target → runs: looking through all runs for each of many targets would take long."""
        found: dict[Role, dict[str | None, list[Run]]] = {}
        for run in self.runs:
            found.setdefault(run.role, {}).setdefault(run.target, []).append(run)
        return found


def read_sweep(folder: str | Path) -> Sweep:
    """Read ``sweep.json`` and, per run, ``record.json`` and ``curve.jsonl``.

    Args:
        folder: a sweep folder (docs/architecture.md).

    Returns:
        The manifest and every run that it plans; runs that cannot be used say why.

    Raises:
        StoreError: the folder is no sweep folder, its manifest is damaged, changed or of another schema, or
            a newer version wrote a record; or it is tuned and nothing has been chosen yet.
    """
    found = load_sweep(Path(folder), read_manifest(Path(folder)))
    if found.tuning and not found.runs:
        done = sum(run.finished for run in {run.id: run for run in found.tuning}.values())
        raise StoreError(
            f"{folder} is still being tuned ({done} of {len({run.id for run in found.tuning})} tuning runs "
            "finished): no arm has chosen yet, and nothing is judged. The same sweep goes on from here"
        )
    return found


def load_sweep(folder: Path, manifest: JsonObject) -> Sweep:
    """Read the runs that a manifest plans.

    Args:
        folder: where they lie.
        manifest: the content of a ``sweep.json``, not necessarily the one there.

    Returns:
        The manifest and every run that it plans; runs that cannot be used say why.

    Raises:
        StoreError: a newer version wrote a record.
    """
    loaded: dict[str, Run] = {}
    runs = []
    for row in manifest["runs"]:
        identity = Run(
            id=row["id"],
            role=row["role"],
            source=row.get("source"),
            target=row.get("target"),
            strategy=row.get("strategy"),
            seed=row["seed"],
            needs=tuple(row.get("needs") or ()),
            point=row.get("point"),
        )
        if identity.id not in loaded:
            loaded[identity.id] = _read_run(identity, folder)
        found = loaded[identity.id]
        problem = found.problem
        if found.curve is None and problem is None and identity.target and identity.role != SCORES:
            problem = "damaged: only a source may be without a curve.jsonl"
        runs.append(
            replace(
                identity, record=found.record, curve=found.curve, problem=problem, on_trust=found.on_trust
            )
        )
    problems = {run.id: run.problem for run in runs}
    runs = [_skipped(run, problems) for run in runs]
    judged, tuning = ([run for run in runs if (run.role == TUNING) is tuned] for tuned in (False, True))
    return Sweep(manifest, tuple(judged), tuple(tuning))


def _skipped(run: Run, problems: Mapping[str, str | None]) -> Run:
    """A run that waits for a failed one will not come: its problem says so."""
    causes = [text for need in run.needs if (text := problems.get(need)) and text != "unfinished"]
    if run.problem != "unfinished" or not causes:
        return run
    return replace(run, problem=f"skipped: its source run {causes[0]}")


def _read_run(run: Run, folder: Path) -> Run:
    reading = RunFolder(folder / "runs" / run.id).read()
    curve = None if reading.curve is None else curve_of(reading.curve)
    record = reading.record and {key: part for key, part in reading.record.items() if key not in _LARGE}
    problem = reading.problem
    if curve is not None and (most := max(float(np.abs(each).max()) for each in curve.returns)) > FARTHEST:
        problem, curve = f"failed: its returns reach {most:.3g} in size, and {FARTHEST:g} is the most", None
    return replace(run, record=record, curve=curve, problem=problem, on_trust=reading.on_trust)


def curve_of(points: Sequence[JsonObject]) -> Curve:
    """The learning curve that lines of a ``curve.jsonl`` tell.

    Args:
        points: an object per evaluation, checked.

    Returns:
        Its steps, returns and successes.
    """
    returns = [point["returns"] for point in points]
    steps = np.array([point["step"] for point in points], dtype=np.float64)
    said = [point.get("successes") for point in points]
    successes = None if None in said else tuple(np.array(each, dtype=np.float64) for each in said)
    if len({len(episodes) for episodes in returns}) == 1:
        return Curve(steps, tuple(np.array(returns, dtype=np.float64)), successes)
    return Curve(steps, tuple(np.array(episodes, dtype=np.float64) for episodes in returns), successes)


def _says_unmeasured(record: JsonObject | None) -> bool:
    return record is not None and record.get("measured") is False
