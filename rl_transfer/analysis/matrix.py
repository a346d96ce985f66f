"""From a sweep to its transfer matrix: arms, cells, tests over the family, controls, aggregates."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np

from rl_transfer.analysis import aggregate as aggregates
from rl_transfer.analysis import comparison as compare
from rl_transfer.analysis import gaps, overview, selection
from rl_transfer.analysis.arm_statistics import benjamini_hochberg
from rl_transfer.analysis.arms import Arm, arm_band, build_arm, source_info
from rl_transfer.analysis.attribution import ControlCheck, Question, Summand, attribute, control_check
from rl_transfer.analysis.attribution_words import doubts, in_short, longer
from rl_transfer.analysis.cells import arm_metrics, gain_metrics
from rl_transfer.analysis.comparison import JUDGED, Comparison, Judged
from rl_transfer.analysis.contrast import Contrast, contrast, in_one_block, paired_contrast, studentised
from rl_transfer.analysis.controls import Controls
from rl_transfer.analysis.flags import (
    Obstacle,
    arm_flags,
    control_knobs,
    no_arm_left_chance,
    no_control,
    obstacle,
)
from rl_transfer.analysis.guard import below_chance, left_chance
from rl_transfer.analysis.inputs import Run, Sweep
from rl_transfer.analysis.inside import inside
from rl_transfer.analysis.longer import Rival, beside_longer
from rl_transfer.analysis.look_design import LookDesign
from rl_transfer.analysis.metrics import GAINS, final_performance, has_plateaued
from rl_transfer.analysis.model import Cell, CellKey, Kind, Matrix, TargetInfo
from rl_transfer.analysis.parting import DifferenceBand, difference_band
from rl_transfer.analysis.power import smallest_seeds
from rl_transfer.analysis.score_scale import ScoreScale, score_scale
from rl_transfer.analysis.settings import read_dose, read_engine, read_number, read_range
from rl_transfer.analysis.success import read_success
from rl_transfer.analysis.threshold import threshold_of
from rl_transfer.analysis.tolerance import read_tolerance
from rl_transfer.seeding import generator


class Steps:
    """The steps from records to the matrix, each taken once.

    Args:
        sweep: the manifest and its runs.
        part: the look of a seed plan for which these are the runs; None: nobody looks before the end.

    Attributes:
        arms: of every (source, target, strategy).
        family: the transfer cells, which are corrected together.
    """

    def __init__(self, sweep: Sweep, part: LookDesign | None = None) -> None:
        self.sweep, self.part = sweep, part
        self.settings = sweep.settings if part is None else part.settings(sweep.settings)
        self.strategies = overview.ordered_strategies(sweep)
        self.sources = {
            name: source_info(sweep, name, read_number(sweep.config, "sources", name, "bar"))
            for name in overview.names(sweep, "source")
        }
        self.random = {name: self._random_run(name) for name in overview.names(sweep, "target")}
        self.scales = {name: self._norm(name) for name in self.random}
        self.thresholds = {
            name: threshold_of(sweep, name, self._scratch_rows(name), random)
            for name, random in self.random.items()
        }
        arms = self._arms()
        self.longer = {key: arm for key, arm in arms.items() if self.strategies[key[2]].longer}
        self.arms = {key: arm for key, arm in arms.items() if key not in self.longer}
        self.kinds: dict[CellKey, Kind] = {key: self._kind(key) for key in self.arms}
        self.on_target: dict[str, list[CellKey]] = {name: [] for name in self.scales}
        for key in self.arms:
            self.on_target[key[1]].append(key)
        self.obstacles = {key: self._obstacle(key) for key in self.arms if self.kinds[key] != "baseline"}
        self.controls = Controls(self.kinds, self.strategies)
        self.family = [key for key, kind in self.kinds.items() if kind == "transfer"]

    def _random_run(self, target: str) -> Run | None:
        rows = self.sweep.select("random", target=target)
        return rows[0] if rows else None

    def _scratch_rows(self, target: str) -> tuple[Run, ...]:
        return self.sweep.select("target", target=target, strategy=self.sweep.baseline)

    def _norm(self, target: str) -> ScoreScale:
        random = self.random[target]
        config, labels = self.sweep.config, self.sweep.labels
        finals = {
            run.id: final_performance(run.curve.means, self.settings.final_share)
            for run in self._scratch_rows(target)
            if run.curve
        }
        returns = np.concatenate(random.curve.returns) if random and random.curve else ()
        threshold = read_number(config, "targets", target, "reward_threshold")
        scale = score_scale(returns, finals, self.settings, threshold, labels)
        rows = self.sweep.select("target", target=target)
        apart = {name for name, info in self.strategies.items() if info.longer}
        there = [run.curve for run in rows if run.curve and run.strategy not in apart]
        tolerance = read_tolerance(self.sweep.manifest, target, scale.random, spans=scale.mode == "scratch")
        seen = [np.array([scale.random]), *(run.curve.means for run in rows if run.curve)]
        return replace(
            scale,
            tolerance=tolerance,
            best=max((float(curve.means.max()) for curve in there), default=math.nan),
        ).within(read_range(config, target, labels), np.concatenate(seen))

    def _arms(self) -> dict[CellKey, Arm]:
        rows: dict[CellKey, list[Run]] = {}
        for run in self.sweep.runs:
            if run.role == "target" and run.target is not None and run.strategy is not None:
                rows.setdefault((run.source, run.target, run.strategy), []).append(run)
        order = {name: place for place, name in enumerate(self.strategies)}
        targets = {name: place for place, name in enumerate(self.scales)}
        sources = {name: place for place, name in enumerate([None, *self.sources])}
        keys = sorted(rows, key=lambda key: (order[key[2]], targets[key[1]], sources[key[0]]))
        return {
            key: build_arm(
                rows[key],
                self.sweep.seeds if self.part is None else self.part.seeds(key),
                self.scales[key[1]],
                self.settings,
                self.thresholds[key[1]].value,
                read_success(self.sweep.config, key[1]),
            )
            for key in keys
        }

    def _kind(self, key: CellKey) -> Kind:
        if key[2] == self.sweep.baseline:
            return "baseline"
        return "control" if self.strategies[key[2]].control else "transfer"

    def _scratch(self, key: CellKey) -> Arm | None:
        """The from-scratch arm of a cell: its source's own where sources have different networks."""
        source, target, _ = key
        own = self.arms.get((source, target, self.sweep.baseline))
        return own or self.arms.get((None, target, self.sweep.baseline))

    def _obstacle(self, key: CellKey) -> Obstacle | None:
        random = self.random[key[1]]
        problem = "not planned" if random is None else random.problem
        if self.part is not None and not self.part.taken:
            return self.part.too_early
        return obstacle(self.arms[key], self._scratch(key), problem, self.sweep)

    def _stream(self, purpose: str, metric: Judged, key: CellKey) -> np.random.Generator:
        return generator(self.sweep.root_seed, purpose, metric, *(part or "" for part in key))

    @cached_property
    def comparisons(self) -> dict[CellKey, dict[Judged, Comparison]]:
        """Every non-baseline cell on every judged metric, corrected and checked by controls."""
        found: dict[CellKey, dict[Judged, Comparison]] = {key: {} for key in self.obstacles}
        for metric in JUDGED:
            held = self._held(metric)
            pairs = {key: self.contrast(metric, key) for key in self.obstacles if key not in held}
            if self.part is not None:
                pairs = {key: self.part.repeated(pair, key, metric) for key, pair in pairs.items()}
            # A cell without a verdict stays in its family with p = 1: a crash must not help its neighbours.
            entries: Mapping[CellKey, Contrast | Comparison] = {**held, **pairs}
            obstacles = {key: entry.obstacle for key, entry in held.items()}
            obstacles |= {key: self.obstacles[key] or self._at_chance(metric, key) for key in pairs}
            blocked = {key for key, entry in entries.items() if obstacles[key] or math.isnan(entry.p)}
            both = {
                key: (1.0, 1.0) if key in blocked else (entry.p, entry.equivalence_p)
                for key, entry in entries.items()
            }
            differs, within = (self._corrected({key: p[i] for key, p in both.items()}) for i in (0, 1))
            for key, entry in held.items():
                found[key][metric] = entry
            for key, pair in pairs.items():
                found[key][metric] = compare.judge(
                    metric,
                    pair,
                    self.scales[key[1]],
                    self.settings,
                    self._stream("bootstrap", metric, key),
                    family=compare.Corrected(differs[key], within[key], len(self.family))
                    if key in differs
                    else None,
                    obstacle=obstacles[key],
                    weak_baseline=self._weak_baseline(key),
                    arms=(self.arms[key], self._scratch(key)),
                )
                if self.part is not None:
                    found[key][metric] = self.part.judged(found[key][metric])
            for key, entry in self._attributed(found, metric).items():
                found[key][metric] = entry
        for key, beside in beside_longer(dict(self._rivals()), self.settings.q).items():
            entry = found[key]["asymptotic_gain"]
            found[key]["asymptotic_gain"] = replace(entry, longer=entry.longer or beside)
        return found

    def _rivals(self) -> Iterator[tuple[CellKey, Rival]]:
        """What each transfer cell is compared with that also had the steps of its source."""
        for key, arm in itertools.product(self.family, self.longer.values()):
            if arm.target == key[1] and arm.source in (None, key[0]):
                pair = self.contrast("asymptotic_gain", key, arm)
                missing = each.reason if (each := self.obstacles[key]) else ""
                yield key, Rival(arm, pair, self.scales[key[1]].raw_delta, missing)

    def _corrected(self, p: Mapping[CellKey, float]) -> dict[CellKey, float]:
        """P of the cells in the family after correction."""
        adjusted = benjamini_hochberg([p[key] for key in self.family])
        return dict(zip(self.family, adjusted.tolist(), strict=True))

    def _held(self, metric: Judged) -> Mapping[CellKey, Comparison]:
        """What an earlier look decided of the family; controls are only compared with."""
        decided = {} if self.part is None else self.part.held(metric)
        return {key: entry for key, entry in decided.items() if self.kinds[key] == "transfer"}

    def contrast(self, metric: Judged, key: CellKey, other: Arm | None = None) -> Contrast:
        """An arm against another one on a judged metric.

        Args:
            metric: the judged metric.
            key: of the arm in question.
            other: what it is compared with; None: the from-scratch arm of its cell.
        """
        arm, scale, figure = self.arms[key], self.scales[key[1]], GAINS[metric]
        against = other or self._scratch(key) or replace(arm, runs=(), metrics=())
        names, confidence = (arm.strategy, against.strategy), self.settings.confidence
        if pairs := arm.pairs(against, figure):
            found = paired_contrast(*pairs, scale, confidence, names)
            return found if self.part is None else self.part.weighed(found)
        arms = arm.observations(figure), against.observations(figure)
        stream = self._stream(f"permutation-{against.strategy}", metric, key)
        pooled = arm.pooled or against.pooled
        if self.part is None:
            test = studentised() if pooled else in_one_block
            return contrast(*arms, scale, confidence, stream, names, test)
        seeds = None if pooled else {run.id: run.seed for run in (*arm.runs, *against.runs)}
        test = self.part.test(seeds, cells=len(self.family), q=self.settings.q)
        return self.part.weighed(contrast(*arms, scale, confidence, stream, names, test))

    def seeds(self, key: CellKey) -> int:
        """Finished runs of the smaller of both arms of a cell.

        Args:
            key: of the arm in question.
        """
        return min(len(arm.runs) for arm in (self.arms[key], self._scratch(key)) if arm is not None)

    def _at_chance(self, metric: Judged, key: CellKey) -> Obstacle | None:
        return no_arm_left_chance(
            self.arms[key], self._scratch(key), GAINS[metric], self.scales[key[1]], self.sweep.labels
        )

    def _weak_baseline(self, key: CellKey) -> bool:
        scratch = self._scratch(key)
        return scratch is not None and below_chance(
            scratch.by_run(GAINS["asymptotic_gain"]), self.scales[key[1]]
        )

    def _attributed(
        self, found: Mapping[CellKey, Mapping[Judged, Comparison]], metric: Judged
    ) -> dict[CellKey, Comparison]:
        """The comparisons of the cells that have controls, with what these say."""
        questions = {}
        for key in self.family:
            entry, controls = found[key][metric], self.controls.of(key)
            if controls:
                checks = () if entry.attribution is None else entry.attribution.checks
                checks = checks or tuple(
                    self._beside(metric, key, each, found[each][metric]) for each in controls
                )
                questions[key] = Question(checks, entry.sign, entry.raw_delta, entry.attribution)
        said = attribute(questions, self.settings.q)
        return {key: replace(found[key][metric], attribution=each) for key, each in said.items()}

    def _beside(self, metric: Judged, key: CellKey, other: CellKey, entry: Comparison) -> ControlCheck:
        control, figure, scale = self.arms[other], GAINS[metric], self.scales[key[1]]
        obstacles = (self.obstacles[key], self.obstacles[other])
        problem = next((each.reason for each in obstacles if each is not None), "")
        if not problem and self._at_chance(metric, key) and not left_chance(control.by_run(figure), scale):
            problem = "no arm left chance"
        rest = Summand(entry.gain, entry.raw, entry.p)
        return control_check(other[2], self.contrast(metric, key, control), rest, problem)

    def companions(self, key: CellKey) -> Iterator[CellKey]:
        """The arms that a cell is compared with, which go on with it.

        Args:
            key: of a transfer cell.

        Yields:
            The from-scratch arm, its controls, and controls on its target that serve no strategy by name.
        """
        source, target, _ = key
        own = (source, target, self.sweep.baseline)
        yield own if own in self.arms else (None, target, self.sweep.baseline)
        yield from self.controls.beside(key)

    def matrix(self) -> Matrix:
        """Put everything together."""
        comparisons = self.comparisons
        seeds = smallest_seeds(len(self.family), self.settings.q)
        able = {key: arm for key, arm in self.arms.items() if self.kinds[key] != "control"}
        contenders = [(self.arms[key], self._scratch(key), self.scales[key[1]]) for key in self.family]
        groups: dict[tuple[str | None, str], list[Arm]] = {}
        for (source, _, strategy), arm in self.arms.items():
            groups.setdefault((source, strategy), []).append(arm)
        return Matrix(
            name=self.sweep.name,
            summary=str(self.sweep.config.get("summary") or ""),
            labels=self.sweep.labels,
            baseline=self.sweep.baseline,
            settings=self.settings,
            strategies=self.strategies,
            sources=self.sources,
            targets={name: self._target(name) for name in self.scales},
            cells=tuple(map(self.cell, self.arms)),
            aggregates=aggregates.aggregate(groups, self.scales, self.settings, self.sweep.root_seed),
            best=selection.best_cells(contenders, self.settings.confidence),
            ranks=selection.ranks(able, self.scales, self.settings.confidence),
            family=len(self.family),
            smallest_seeds=seeds,
            warnings=overview.warnings(self.sweep, [comparisons[key] for key in self.family], seeds),
            versions=overview.versions(self.sweep.runs),
            counts=overview.counts(self.sweep.runs),
        )

    def _target(self, name: str) -> TargetInfo:
        there = self.on_target[name]
        scratch = [self.arms[key] for key in there if self.kinds[key] == "baseline"]
        budgets = [self.arms[key].budget for key in there if self.arms[key].runs]
        finished = [run for key in there for run in self.arms[key].runs]
        return TargetInfo(
            name=name,
            scale=self.scales[name],
            threshold=self.thresholds[name],
            budget=max(budgets, default=math.nan),
            plateaued=bool(scratch) and all(map(self._plateaued, scratch)),
            evaluations=max((len(run.curve.steps) for run in finished if run.curve), default=0),
            dose=read_dose(self.sweep.config, name),
            engine=read_engine(self.sweep.config, name),
        )

    def _parting(self, key: CellKey) -> DifferenceBand | None:
        arm, scratch = self.arms[key], self._scratch(key)
        if scratch is None or arm.steps is None or arm.steps != scratch.steps:
            return None
        stream = generator(self.sweep.root_seed, "parting", *(part or "" for part in key))
        curves = arm.curves(), scratch.curves()
        return difference_band(np.array(arm.steps), *curves, self.settings.confidence, stream)

    def _plateaued(self, arm: Arm) -> bool:
        curves = [run.curve.means for run in arm.runs if run.curve]
        scale = self.scales[arm.target]
        margin = scale.delta * (1.0 if scale.is_raw else scale.span)
        return arm.steps is not None and has_plateaued(
            np.array(arm.steps), curves, self.settings.confidence, margin
        )

    def cell(self, key: CellKey) -> Cell:
        """One cell in full.

        Args:
            key: of any arm.
        """
        comparisons = self.comparisons.get(key, {})
        arm, scale, scratch = self.arms[key], self.scales[key[1]], self._scratch(key)
        kind, confidence = self.kinds[key], self.settings.confidence
        metrics = arm_metrics(arm, scale, confidence)
        if kind != "baseline" and scratch is not None:
            metrics |= gain_metrics(arm, scratch, scale, confidence)
        flags = arm_flags(arm, scratch, self.sources.get(key[0] or ""), scale, self.sweep.labels)
        controls = self.controls.of(key)
        flags += doubts(comparisons.values(), self.sweep.labels)
        flags += [flag for other in controls for flag in control_knobs(arm, self.arms[other])]
        flags += no_control(self.strategies[key[2]]) if kind == "transfer" and not controls else []
        return Cell(
            source=key[0],
            target=key[1],
            strategy=key[2],
            kind=kind,
            seeds=arm.seeds,
            finished=tuple(run.seed for run in arm.runs),
            budget=arm.budget,
            metrics=metrics,
            comparisons=comparisons,
            flags=tuple(flags),
            band=arm_band(arm, confidence),
            parting=self._parting(key) if kind != "baseline" else None,
            scale=scale,
            inside=inside(arm, confidence),
            gaps=gaps.gaps(arm, confidence),
            knowledge=(
                *in_short(comparisons.values(), self.sweep.labels),
                *(text for each in comparisons.values() if (text := longer(each, self.sweep.labels.unit))),
            ),
        )
