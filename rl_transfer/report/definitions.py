"""What the report says about itself: how to read scores, verdicts and controls."""

from __future__ import annotations

from rl_transfer.results import Labels


def reading(labels: Labels) -> tuple[str, ...]:
    """Paragraphs of *How to read this page*.

    Args:
        labels: what the sweep's numbers are called.

    Returns:
        Trusted HTML.
    """
    return (
        f"A <b>score</b> of 0 is {labels.the_chance}, 1 the reference (by default the from-scratch arm's own "
        "final performance). Gains are differences of scores between a strategy and training from scratch on "
        f"the same target, with the same {labels.method}, budget, seeds and {labels.samples}.",
        *_READING,
    )


_READING: tuple[str, ...] = (
    "<b>▲ positive</b>: the corrected test is significant, the whole interval lies above 0 and the gain is "
    "at least δ. <b>▼ negative</b>: the mirror image, negative transfer. <b>≈ equivalent</b>: the whole "
    "interval lies within ±δ. <b>? inconclusive</b>: anything else, and every cell with missing runs.",
    "<b>this checkpoint</b> beside a symbol (&dagger; in the matrix): one to three source networks feed all "
    "seeds, so that the verdict holds for them and says nothing of others of the source task. Four or more "
    "that feed several runs each count once, with the mean over their runs.",
    "Intervals are Welch t intervals over seeds. p-values come from the exact permutation test, corrected "
    "with Benjamini–Hochberg over the cells of the matrix, one family per metric; controls are not in the "
    "family.",
    "A <b>control</b> has all of a strategy but the source's knowledge: its weights shuffled, or random "
    "ones, under the same frozen parts. A gain is the sum of strategy − control, what knowledge adds, and "
    "of control − scratch, what architecture, scale and training fewer parameters do alone. <b>Knowledge "
    "helps</b> (or <b>hurts</b>) where the strategy is clearly above (below) every control; <b>not "
    "knowledge</b>: a part of knowledge as large as δ is ruled out; else it is unclear.",
    "Verdicts hold <b>at the budget they were measured at</b>: negative transfer at a short budget can turn "
    "positive at a longer one. Final performance is an asymptote only where the from-scratch curve has "
    "flattened.",
)
"""What is the same for every kind of run; trusted HTML."""
