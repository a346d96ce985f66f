"""The matrix as data: one JSON object per cell."""

from __future__ import annotations

import math
from dataclasses import asdict

from rl_transfer.analysis.arm_statistics import Interval
from rl_transfer.analysis.attribution import Attribution, Summand
from rl_transfer.analysis.cells import Estimate, Metric
from rl_transfer.analysis.comparison import JUDGED, Comparison
from rl_transfer.analysis.longer import BesideLonger
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.metrics import final_window
from rl_transfer.analysis.model import Cell, Matrix
from rl_transfer.analysis.selection import Best
from rl_transfer.analysis.source_policies import Fed
from rl_transfer.analysis.tuning_words import tuning_of
from rl_transfer.spec import JsonObject


def summary(matrix: Matrix) -> list[JsonObject]:
    """One JSON object per cell; None stands where a figure is undefined (strict JSON has no NaN).

    ``verdict`` and ``interval`` are keyed by the judged metric; the interval is in the unit that the verdict
    was decided in (``comparisons.*.unit``). ``metrics`` holds every metric with mean, interval and the value
    of each seed, in its own unit and as a score.

    Args:
        matrix: a finished analysis.
    """
    return [_cell(cell, matrix) for cell in matrix.cells]


def _cell(cell: Cell, matrix: Matrix) -> JsonObject:
    target = matrix.targets[cell.target]
    scale = target.scale
    return {
        "source": cell.source,
        "target": cell.target,
        "strategy": cell.strategy,
        "kind": cell.kind,
        "estimand": None if cell.fed is None else cell.fed.estimand,
        "steps": _number(cell.budget),
        "engine": target.engine,
        "unit": matrix.unit,
        "measure": matrix.measure,
        "seeds": list(cell.seeds),
        "finished": list(cell.finished),
        "verdict": {name: str(entry.verdict) for name, entry in cell.comparisons.items()},
        "interval": {name: _limits(entry.gain) for name, entry in cell.comparisons.items()},
        "metrics": {name: _metric(cell.metrics[name]) for name in METRICS if name in cell.metrics},
        "comparisons": {name: _comparison(entry) for name, entry in cell.comparisons.items()},
        "reference": {
            "mode": scale.mode,
            "random": _number(scale.random),
            "reference": _number(scale.reference),
            "delta": _number(scale.delta),
            "raw_delta": _number(scale.raw_delta),
            "delta_basis": scale.tolerance.basis,
            "reason": scale.reason or None,
        },
        "threshold": {
            "value": _number(target.threshold.value),
            "origin": target.threshold.origin,
            "seeds": list(target.threshold.seeds),
        },
        "final_window": {
            "evaluations": final_window(target.evaluations, matrix.settings.final_share),
            "of": target.evaluations,
        },
        "ranks": {
            name: asdict(matrix.ranks[cell.key, name]) for name in JUDGED if (cell.key, name) in matrix.ranks
        },
        "best": [_best(entry) for entry in matrix.best if entry.key == cell.key],
        "parts": [
            {"from": first, "to": last, "sign": sign}
            for first, last, sign in (cell.parting.stretches if cell.parting else ())
        ],
        "flags": [{"code": flag.code, "message": flag.message} for flag in cell.flags],
        **({"inside": _inside(cell)} if cell.inside else {}),
        **({"gaps": _gaps(cell)} if cell.gaps else {}),
        **tuning_of(cell, matrix),
    }


def _inside(cell: Cell) -> JsonObject:
    return {
        name: {
            "role": part.role,
            **{figure: _estimate(estimate) for figure, estimate in part.figures.items()},
        }
        for name, part in cell.inside.items()
    }


def _gaps(cell: Cell) -> JsonObject:
    return {
        name: {
            **{figure: _estimate(estimate) for figure, estimate in layer.figures.items()},
            "median_p": dict(layer.p),
        }
        for name, layer in cell.gaps.items()
    }


def _best(entry: Best) -> JsonObject:
    return {
        "metric": entry.metric,
        "among": entry.of,
        "of": "every target" if entry.target is None else "the target",
        "unit": entry.unit,
        "gain": _number(entry.gain.point),
        "simultaneous_interval": _limits(entry.gain),
        "held_out": _number(entry.held_out),
        "chosen_again": entry.again,
        "seeds": entry.seeds,
    }


def _metric(metric: Metric) -> JsonObject:
    return {
        "unit": metric.info.unit,
        **_estimate(metric.value),
        "bound": metric.bound or None,
        "score": None if metric.score is None else _estimate(metric.score),
    }


def _estimate(estimate: Estimate) -> JsonObject:
    return {
        "mean": _number(estimate.mean),
        "low": _number(estimate.low),
        "high": _number(estimate.high),
        "n": estimate.n,
        "per_seed": {str(seed): _number(value) for seed, value in estimate.per_seed.items()},
    }


def _comparison(entry: Comparison) -> JsonObject:
    advice = entry.fresh_seeds
    return {
        "unit": entry.unit,
        "gain": _number(entry.gain.point),
        "low": _number(entry.gain.low),
        "high": _number(entry.gain.high),
        "delta": _number(entry.delta),
        "raw": {
            "gain": _number(entry.raw.point),
            "low": _number(entry.raw.low),
            "high": _number(entry.raw.high),
            "delta": _number(entry.raw_delta),
        },
        "p": _number(entry.p),
        "adjusted_p": _number(entry.adjusted_p),
        "equivalence_p": _number(entry.equivalence_p),
        "adjusted_equivalence_p": _number(entry.adjusted_equivalence_p),
        "verdict": str(entry.verdict),
        "reason": entry.reason,
        "outcome": entry.outcome,
        "source_policies": None if entry.fed is None else _fed(entry.fed),
        "baseline_below_chance": entry.weak_baseline,
        "probability_of_improvement": _number(entry.improvement),
        "cohens_d": _number(entry.cohens_d),
        "hedges_g": _number(entry.hedges_g),
        "iqm_gain": _number(entry.iqm_gain.point),
        "iqm_interval": _limits(entry.iqm_gain),
        "fresh_seeds": None if advice is None else [advice.least, advice.most],
        "verdict_seeds": None if entry.look is None else entry.look.seeds,
        "look": None if entry.look is None else asdict(entry.look),
        "exploratory": None
        if entry.exploratory is None
        else {
            "seeds": entry.exploratory.seeds,
            "gain": _number(entry.exploratory.gain.point),
            "interval": _limits(entry.exploratory.gain),
            "p": _number(entry.exploratory.p),
        },
        "longer_scratch": None if entry.longer is None else _longer(entry.longer),
        "knowledge": None if entry.attribution is None else entry.attribution.finding,
        "attribution": None if entry.attribution is None else _attribution(entry.attribution),
    }


def _attribution(said: Attribution) -> JsonObject:
    return {
        "finding": said.finding,
        "p": _number(said.p),
        "adjusted_p": _number(said.adjusted_p),
        "absence_p": _number(said.absence_p),
        "adjusted_absence_p": _number(said.adjusted_absence_p),
        "controls": [
            {
                "control": check.control,
                "knowledge": _summand(check.knowledge),
                "rest": _summand(check.rest),
                "paired": check.paired,
                "problem": check.problem or None,
            }
            for check in said.checks
        ],
    }


def _longer(found: BesideLonger) -> JsonObject:
    return {
        "strategy": found.strategy,
        "steps": _number(found.steps),
        "final_performance": _number(found.final),
        "over": _summand(found.over),
        "adjusted_p": _number(found.adjusted_p),
        "verdict": str(found.verdict),
        "problem": found.problem or None,
    }


def _summand(part: Summand) -> JsonObject:
    return {
        "gain": _number(part.gain.point),
        "interval": _limits(part.gain),
        "raw": {"gain": _number(part.raw.point), "interval": _limits(part.raw)},
        "p": _number(part.p),
    }


def _fed(fed: Fed) -> JsonObject:
    return {
        "estimand": fed.estimand,
        "policies": fed.policies,
        "runs": fed.runs,
        "compared": "policies" if fed.pooled else "runs",
        "intraclass_correlation": _number(fed.correlation.point),
        "interval": _limits(fed.correlation),
    }


def _limits(interval: Interval) -> list[float | None]:
    return [_number(interval.low), _number(interval.high)]


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
