"""What every metric of a cell is called, measured in, and means: one row each, for all who show metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rl_transfer.results import Labels
from rl_transfer.spec import Analysis

Unit = Literal["measure", "steps", "ratio"]
"""The sweep's measure (a return, an accuracy), its steps (environment steps, epochs), or a pure number."""


@dataclass(frozen=True)
class MetricInfo:
    """One metric of a cell, as tables, figures and the report speak of it."""

    name: str
    """Its key in ``summary.json``, and the start of its columns in ``summary.csv``."""
    label: str
    """What people read."""
    unit: Unit
    definition: str
    """One sentence for the report, names of labels and settings in braces; in full in docs/metrics.md."""
    signed: bool = False
    """Whether it is a difference that can be below 0, and is shown with its sign."""
    higher_is_better: bool = True
    bounded: bool = False
    """Whether it is a mere bound (≥, ≤, ≷) where runs never reached the threshold."""
    claim: str = ""
    """What a verdict on it speaks of; empty for metrics that get none."""
    everywhere: bool = True
    """Whether every sweep has its columns; else only cells whose records hold it (images, guides)."""

    def defined(self, labels: Labels, settings: Analysis) -> str:
        """The definition in the words of a kind of run, under the settings of a sweep.

        Args:
            labels: what the sweep's numbers are called.
            settings: what the sweep was analysed with.
        """
        return self.definition.format(
            network=labels.network,
            the_chance=labels.the_chance,
            final_share=f"{100 * settings.final_share:g} %",
        )

    @property
    def anchor(self) -> str:
        """Its id in docs/metrics.md and in the report's definitions: ``auc-gain``."""
        return self.name.replace("_", "-")


_ROWS = (
    MetricInfo(
        "zero_shot",
        "zero-shot performance",
        "measure",
        "J of the source {network} as it is, no part replaced, on the target.",
    ),
    MetricInfo(
        "zero_shot_gap",
        "zero-shot gap",
        "measure",
        "J of the source {network} as it is on the target, minus its J in its own task on the same seeds.",
        signed=True,
    ),
    MetricInfo(
        "start_performance",
        "performance at step 0",
        "measure",
        "J(0): before the first step and update on the target; parts are copied or reset.",
    ),
    MetricInfo(
        "jump_start",
        "jump-start",
        "measure",
        "J(0) minus that of the from-scratch arm. Untrained networks scatter widely: no verdict.",
        signed=True,
    ),
    MetricInfo(
        "jump_start_over_random",
        "jump-start over random",
        "measure",
        "J(0) minus J of {the_chance}.",
        signed=True,
    ),
    MetricInfo(
        "final_performance",
        "final performance",
        "measure",
        "Mean of J over a run's last evaluations: {final_share} of them, at least three, at most a third.",
    ),
    MetricInfo(
        "asymptotic_gain",
        "asymptotic gain",
        "measure",
        "Difference of final performance to the from-scratch arm: final quality.",
        signed=True,
        claim="final quality",
    ),
    MetricInfo(
        "auc",
        "area under the curve",
        "measure",
        "Trapezoid area under J(t), divided by the budget; a mean of J.",
    ),
    MetricInfo(
        "auc_gain",
        "AUC gain",
        "measure",
        "Difference of that area to the from-scratch arm: sample efficiency.",
        signed=True,
        claim="sample efficiency",
    ),
    MetricInfo(
        "transfer_ratio",
        "transfer ratio",
        "ratio",
        "AUC gain as a share of the from-scratch area, on scores; undefined near 0.",
        signed=True,
    ),
    MetricInfo(
        "forward_transfer",
        "forward transfer",
        "ratio",
        "AUC gain as a share of what the from-scratch arm leaves open, on scores in [0, 1].",
        signed=True,
    ),
    MetricInfo(
        "time_to_threshold",
        "time to threshold",
        "steps",
        "First step from which three evaluations in a row are all ≥ θ; the budget if there is none.",
        higher_is_better=False,
        bounded=True,
    ),
    MetricInfo(
        "threshold_reached",
        "share of runs that reach the threshold",
        "ratio",
        "Share of runs that reached θ, with a Wilson interval.",
    ),
    MetricInfo(
        "steps_saved",
        "steps saved",
        "steps",
        "Difference of mean times to threshold, cut at the budget (from scratch − transfer); ≥, ≤ or ≷ "
        "(either side) where runs never reached θ.",
        signed=True,
        bounded=True,
    ),
    MetricInfo(
        "speed_up",
        "speed-up",
        "ratio",
        "Ratio of those mean times (from scratch / transfer), marked alike.",
        bounded=True,
    ),
    MetricInfo(
        "break_even",
        "share of the source's cost won back",
        "ratio",
        "Steps saved on this one target, as a share of the source's training cost.",
        bounded=True,
    ),
    MetricInfo(
        "break_even_targets",
        "targets until break-even",
        "ratio",
        "Number of such targets that win back the source's cost; none unless the saving is clear.",
        higher_is_better=False,
        bounded=True,
    ),
    MetricInfo(
        "retention",
        "retention in the source",
        "measure",
        "J of the final {network} back in the source task, minus the source {network}'s own.",
        signed=True,
    ),
    MetricInfo(
        "linear_probe",
        "converged linear probe",
        "measure",
        "Accuracy of a converged linear classifier on the features that training starts from.",
        everywhere=False,
    ),
    MetricInfo(
        "reference_accuracy",
        "simple reference model",
        "measure",
        "Accuracy of a simple model of another kind on the same labels (texts: TF-IDF, logistic regression).",
        everywhere=False,
    ),
    MetricInfo(
        "success_rate",
        "success rate",
        "ratio",
        "Share of successful episodes in the last evaluations, with an interval over runs, not episodes.",
        everywhere=False,
    ),
    MetricInfo(
        "guide_share",
        "guide's share of the budget",
        "ratio",
        "Environment steps that the source policy took as a guide, as a share of the training budget.",
        higher_is_better=False,
        everywhere=False,
    ),
)

METRICS: Mapping[str, MetricInfo] = {info.name: info for info in _ROWS}
"""Every metric of a cell by name, in reading order."""
