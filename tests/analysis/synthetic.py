"""Synthetic sweep folders: realistic learning curves in the on-disk formats, without training anything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rl_transfer.results.seal import SCHEMA, sealed
from support.records import write_record

VERSIONS = {"gymnasium": "1.4.0", "stable_baselines3": "2.9.0", "torch": "2.13.0", "numpy": "2.4.0"}


@dataclass(frozen=True)
class Shape:
    """A logistic learning curve from ``start`` to ``final``, half-way at ``middle`` of the budget."""

    start: float
    final: float
    middle: float = 0.4
    spread: float = 0.06
    """Standard deviation over seeds, as a share of the range 0 … top."""


QUICKSTART: Mapping[str, Mapping[str, Shape]] = {
    "longer-pole": {
        "scratch": Shape(20, 330, 0.55),
        "fine-tune": Shape(410, 480, 0.2),
        "frozen-trunk-new-head": Shape(40, 470, 0.25),
        "random-frozen": Shape(20, 150, 0.6),
    },
    "weaker-motor": {
        "scratch": Shape(22, 300, 0.5, 0.12),
        "fine-tune": Shape(180, 305, 0.4, 0.12),
        "frozen-trunk-new-head": Shape(50, 420, 0.3),
        "random-frozen": Shape(25, 120, 0.6),
    },
    "reversed-actions": {
        "scratch": Shape(21, 320, 0.5),
        "fine-tune": Shape(9, 12, 0.9, 0.005),
        "frozen-trunk-new-head": Shape(60, 480, 0.2),
        "random-frozen": Shape(22, 140, 0.6),
    },
}

STRATEGIES: tuple[dict[str, Any], ...] = (
    {"name": "scratch", "summary": "Train from a fresh initialisation; the baseline."},
    {"name": "fine-tune", "summary": "Copy everything, train all of it.", "copy": ["all"]},
    {
        "name": "frozen-trunk-new-head",
        "summary": "Copy and freeze the trunk; train a new head.",
        "copy": ["trunk"],
        "freeze": ["trunk"],
    },
    {
        "name": "random-frozen",
        "summary": "Freeze a random trunk.",
        "freeze": ["trunk"],
        "control": True,
        "control_for": ["frozen-trunk-new-head"],
    },
)


@dataclass
class SyntheticSweep:
    """A sweep to be written; every field may be changed before :meth:`write`."""

    shapes: Mapping[str, Mapping[str, Shape]] = field(default_factory=lambda: dict(QUICKSTART))
    sources: Sequence[str] = ("cartpole",)
    strategies: Sequence[Mapping[str, Any]] = STRATEGIES
    seeds: int = 5
    budget: int = 6144
    every: int = 512
    episodes: int = 10
    top: float = 500.0
    bottom: float = 22.0
    """Return of the random policy."""
    bar: float | None = 400.0
    source_final: float = 495.0
    thresholds: Mapping[str, float] = field(default_factory=dict)
    analysis: Mapping[str, Any] = field(default_factory=lambda: {"bootstrap": 500})
    unit: str = "environment steps"
    measure: str = "mean episodic return"
    kind: str = "rl"
    failed: Sequence[str] = ()
    """Run ids that failed."""
    unfinished: Sequence[str] = ()
    """Run ids that have no record yet."""

    def config(self) -> dict[str, Any]:
        return {
            "name": "synthetic",
            "kind": self.kind,
            "baseline": "scratch",
            "seeds": list(range(self.seeds)),
            "root_seed": 0,
            "strategies": [dict(strategy) for strategy in self.strategies],
            "sources": {name: {"bar": self.bar} for name in self.sources},
            "targets": {name: {"reward_threshold": self.thresholds.get(name)} for name in self.shapes},
            "analysis": dict(self.analysis),
        }

    def rows(self) -> list[dict[str, Any]]:
        rows = [
            _row(f"source-{name}-{seed}", "source", name, None, None, seed)
            for name in self.sources
            for seed in range(self.seeds)
        ]
        rows += [_row(f"random-{name}", "random", None, name, None, 0) for name in self.shapes]
        for strategy in self.strategies:
            needs_source = bool(strategy.get("copy"))
            for source in self.sources if needs_source else (None,):
                for target in self.shapes:
                    for seed in range(self.seeds):
                        parts = [*([source] if source else []), target, strategy["name"], str(seed)]
                        needs = [f"source-{source}-{seed}"] if source else []
                        rows.append(
                            _row("-".join(parts), "target", source, target, strategy["name"], seed, needs)
                        )
        return rows

    def write(self, folder: Path) -> Path:
        rows = self.rows()
        manifest = {
            "schema": SCHEMA,
            "name": "synthetic",
            "kind": self.kind,
            "config": self.config(),
            "unit": self.unit,
            "measure": self.measure,
            "runs": rows,
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sweep.json").write_text(json.dumps(sealed(manifest)))
        for row in rows:
            run = folder / "runs" / row["id"]
            run.mkdir(parents=True)
            if row["id"] in self.failed:
                (run / "failure.json").write_text(json.dumps({"message": "ValueError: boom\nmore"}))
            elif row["id"] not in self.unfinished:
                self._write_run(run, row)
        return folder

    def finish(self, folder: Path, identifier: str) -> None:
        """Write what a run of the sweep leaves that was unfinished so far."""
        row = next(each for each in self.rows() if each["id"] == identifier)
        self._write_run(folder / "runs" / identifier, row)

    def _write_run(self, folder: Path, row: Mapping[str, Any]) -> None:
        rng = np.random.default_rng([*row["id"].encode()])
        if row["role"] == "random":
            steps = np.array([0])
            returns = rng.normal(self.bottom, self.bottom * 0.4 + 0.01, size=(1, 100))
        elif row["role"] == "source":
            steps = np.arange(0, 51200 + 1, 5120)
            returns = self._returns(Shape(20, self.source_final, 0.2, 0.01), steps, rng)
        else:
            steps = np.arange(0, self.budget + 1, self.every)
            returns = self._returns(self.shapes[row["target"]][row["strategy"]], steps, rng)
        lines = [
            json.dumps({"evaluation": k, "step": int(step), "returns": list(values), "lengths": []})
            for k, (step, values) in enumerate(zip(steps, returns.tolist(), strict=True))
        ]
        (folder / "curve.jsonl").write_text("\n".join(lines) + "\n")
        write_record(folder, self._record(row, int(steps[-1]), returns))

    def _returns(self, shape: Shape, steps: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        progress = steps / steps[-1]
        rise = 1 / (1 + np.exp(-12 * (progress - shape.middle)))
        rise = (rise - rise[0]) / (rise[-1] - rise[0])
        height = shape.final + rng.normal(0, shape.spread * self.top)
        mean = shape.start + (height - shape.start) * rise
        wobble = rng.normal(0, shape.spread * self.top * 0.4, size=mean.shape)
        episodes = rng.normal(0, shape.spread * self.top, size=(len(steps), self.episodes))
        returns: np.ndarray = np.clip((mean + wobble)[:, None] + episodes, 0, self.top)
        return returns

    def _record(self, row: Mapping[str, Any], steps: int, returns: np.ndarray) -> dict[str, Any]:
        fed = bool(row["needs"])
        return {
            "id": row["id"],
            "kind": self.kind,
            "spec": {},
            "total_steps": steps,
            "wall_seconds": 4.2,
            "source_run": row["needs"][0] if fed else None,
            "source_steps": 51200 if fed else None,
            "source_score": self.source_final if fed else None,
            "zero_shot": {"returns": returns[0].tolist()} if fed else None,
            "retention": {"returns": [100.0, 120.0], "source_returns": [500.0, 480.0]} if fed else None,
            "parameters": {"total": 9155, "trainable": 387},
            "frozen": None,
            "plan": None,
            "versions": VERSIONS,
            "started": "2026-01-01T00:00:00+00:00",
            "finished": "2026-01-01T00:00:10+00:00",
        }


def _row(
    identity: str,
    role: str,
    source: str | None,
    target: str | None,
    strategy: str | None,
    seed: int,
    needs: Sequence[str] = (),
) -> dict[str, Any]:
    return {
        "id": identity,
        "role": role,
        "source": source,
        "target": target,
        "strategy": strategy,
        "seed": seed,
        "needs": list(needs),
    }
