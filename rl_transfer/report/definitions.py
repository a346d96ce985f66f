"""What the report says about its own figures: one sentence per metric, and how to read a verdict."""

from __future__ import annotations

from collections.abc import Mapping

METRIC_DEFINITIONS: Mapping[str, str] = {
    "zero_shot": "J of the source policy as it is, no part replaced, on the target.",
    "start_performance": "J(0): before the first step and update on the target; parts are copied or reset.",
    "jump_start": "J(0) minus that of the from-scratch arm. Untrained networks scatter widely: no verdict.",
    "jump_start_over_random": "J(0) minus J of the uniform-random policy.",
    "final_performance": "Mean of J over the last evaluations of a run (10 %, at least three).",
    "asymptotic_gain": "Difference of final performance to the from-scratch arm: final quality.",
    "auc": "Trapezoid area under J(t), divided by the budget; a mean of J.",
    "auc_gain": "Difference of that area to the from-scratch arm: sample efficiency.",
    "transfer_ratio": "AUC gain as a share of the from-scratch area, on scores; undefined near 0.",
    "forward_transfer": "AUC gain as a share of what the from-scratch arm leaves open, on scores in [0, 1].",
    "time_to_threshold": "Start of the first three evaluations whose mean is ≥ θ; the budget if none is.",
    "threshold_reached": "Share of runs that reached θ.",
    "steps_saved": "Difference of mean times to threshold, cut at the budget (from scratch − transfer).",
    "speed_up": "Ratio of those times (from scratch / transfer); ≥ or ≤ where runs never reached θ.",
    "break_even": "Steps saved on this one target, as a share of the source's training cost.",
    "break_even_targets": "Number of such targets that win back the source's cost; none if nothing is saved.",
    "retention": "Return of the final policy back in the source task, minus the source policy's own.",
}
"""Metric → its definition in one sentence; in full in docs/metrics.md."""

IMAGE_METRIC_DEFINITIONS: Mapping[str, str] = {
    "linear_probe": "Accuracy of a converged linear classifier on the features that training starts from."
}
"""The same for metrics of images, shown where a cell has them."""

READING: tuple[str, ...] = (
    "A <b>score</b> of 0 is the random policy, 1 the reference (by default the from-scratch arm's own final "
    "performance). Gains are differences of scores between a strategy and training from scratch on the same "
    "target, with the same algorithm, budget, seeds and evaluation episodes.",
    "<b>▲ positive</b>: the corrected test is significant, the whole interval lies above 0 and the gain is "
    "at least δ. <b>▼ negative</b>: the mirror image, negative transfer. <b>≈ equivalent</b>: the whole "
    "interval lies within ±δ. <b>? inconclusive</b>: anything else, and every cell with missing runs.",
    "Intervals are Welch t intervals over seeds. p-values come from the exact permutation test, corrected "
    "with Benjamini–Hochberg over the cells of the matrix, one family per metric; controls are not in the "
    "family.",
    "A gain that a <b>control</b> shows too (such as the same parts frozen at random values) is the effect "
    "of training fewer parameters, not of knowledge from the source.",
    "Verdicts hold <b>at the budget they were measured at</b>: negative transfer at a short budget can turn "
    "positive at a longer one. Final performance is an asymptote only where the from-scratch curve has "
    "flattened.",
)
"""Paragraphs of *How to read this page*; trusted HTML."""
