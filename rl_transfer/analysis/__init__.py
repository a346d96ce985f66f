"""From records to verdicts: curves → metrics → intervals → verdicts → tables.

    matrix = analyse(read_sweep("results/quickstart"))
    print(text_table(matrix))

Reads records only and never imports torch, gymnasium or stable-baselines3. Every figure is defined in
docs/metrics.md.
"""

from rl_transfer.analysis.csv_table import csv_text
from rl_transfer.analysis.inputs import Curve, Run, Sweep, read_sweep
from rl_transfer.analysis.looks import analyse, undecided
from rl_transfer.analysis.model import Cell, Matrix
from rl_transfer.analysis.ranking_words import ranking_data
from rl_transfer.analysis.tables import summary
from rl_transfer.analysis.terminal import text_table
from rl_transfer.analysis.tidy import TIDY_CURVE, TIDY_TEXTS, tidy_cells, tidy_curves, tidy_seeds
from rl_transfer.analysis.tuning import choices
from rl_transfer.analysis.verdict import Verdict
from rl_transfer.analysis.words import headlines

__all__ = [
    "TIDY_CURVE",
    "TIDY_TEXTS",
    "Cell",
    "Curve",
    "Matrix",
    "Run",
    "Sweep",
    "Verdict",
    "analyse",
    "choices",
    "csv_text",
    "headlines",
    "ranking_data",
    "read_sweep",
    "summary",
    "text_table",
    "tidy_cells",
    "tidy_curves",
    "tidy_seeds",
    "undecided",
]
