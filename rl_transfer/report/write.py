"""Recompute everything that people read, from the records of a sweep alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rl_transfer.analysis import analyse, csv_text, ranking_data, read_sweep, summary, text_table
from rl_transfer.analysis.inputs import Sweep
from rl_transfer.analysis.model import Matrix
from rl_transfer.errors import StoreError
from rl_transfer.report.beside import Beside
from rl_transfer.report.figures import all_figures
from rl_transfer.report.page import page
from rl_transfer.report.pictures import run_pictures, section
from rl_transfer.report.provenance_view import provenance_section
from rl_transfer.report.runs_view import failures_section, of_cells
from rl_transfer.report.seeds_view import write_seeds
from rl_transfer.report.style import png, svg
from rl_transfer.report.tasks_view import tasks_section
from rl_transfer.report.tensorboard import write_tensorboard
from rl_transfer.results import SEEDS, make_folder, write_json, write_text
from rl_transfer.results.locks import alone
from rl_transfer.results.manifest import read_config_text
from rl_transfer.results.portraits import read_portraits


@dataclass(frozen=True)
class ReportPaths:
    """What :func:`write_report` wrote."""

    table: str
    """The verdicts as text for a terminal."""
    summary: Path
    """``summary.json``: one object per cell."""
    csv: Path
    """``summary.csv``: one line per cell."""
    page: Path
    """``report/index.html``."""
    figures: Path
    """``report/figures``: every figure as PNG and SVG."""
    tensorboard: Path
    """``tensorboard``: one run per strategy, with means, intervals, gains and verdicts."""
    seeds: Path
    """``tensorboard-seeds``: the runs' own event files by target, strategy and seed."""
    matrix: Matrix
    """The analysis itself."""


def write_report(folder: str | Path) -> ReportPaths:
    """Analyse the sweep in ``folder`` and write tables, figures, page and aggregate TensorBoard runs.

    Reads records only, finished or not: cells with missing runs are inconclusive. Running it again
    replaces what an earlier report wrote, and nothing else. Two at a time wait for each other.

    Args:
        folder: a sweep folder.

    Returns:
        Where everything lies, and the analysis itself.

    Raises:
        StoreError: ``folder`` is no sweep folder, or cannot be written to.
    """
    folder = Path(folder)
    sweep = read_sweep(folder)
    matrix = analyse(sweep)
    with alone(make_folder(folder / "report")):
        return _write(folder, sweep, matrix)


def _write(folder: Path, sweep: Sweep, matrix: Matrix) -> ReportPaths:
    report = folder / "report"
    figure_folder = make_folder(report / "figures")
    paths = ReportPaths(
        table=text_table(matrix),
        summary=folder / "summary.json",
        csv=folder / "summary.csv",
        page=report / "index.html",
        figures=figure_folder,
        tensorboard=folder / "tensorboard",
        seeds=folder / SEEDS,
        matrix=matrix,
    )
    write_json(paths.summary, summary(matrix))
    write_text(paths.csv, csv_text(matrix))
    if matrix.rankings:
        write_json(folder / "ranking.json", ranking_data(matrix))
    try:
        pictures = _write_figures_and_page(matrix, paths, read_beside(folder, sweep, matrix))
        write_tensorboard(matrix, paths.tensorboard, pictures)
        write_seeds(sweep, matrix, folder, paths.seeds)
    except OSError as error:
        raise StoreError(f"the report in {folder} cannot be written: {error}") from error
    return paths


def read_beside(folder: Path, sweep: Sweep, matrix: Matrix) -> Beside:
    """What the page shows beside the analysis.

    Args:
        folder: the sweep's.
        sweep: its runs.
        matrix: their analysis.

    Returns:
        Sections.
    """
    return Beside(
        tasks=tasks_section(matrix, read_portraits(folder), sweep.config),
        failures=failures_section(folder, sweep),
        predictions=section(run_pictures(folder, sweep, matrix)),
        provenance=provenance_section(sweep, matrix, read_config_text(folder)),
        of_cell=of_cells(folder, sweep, matrix),
    )


def _write_figures_and_page(matrix: Matrix, paths: ReportPaths, beside: Beside) -> dict[str, bytes]:
    """Returns file stem → PNG file."""
    for old in [*paths.figures.glob("*.png"), *paths.figures.glob("*.svg")]:
        old.unlink()
    drawings, pictures = {}, {}
    for name, figure in all_figures(matrix):
        pictures[name] = png(figure)
        drawings[name] = svg(figure, name)
        (paths.figures / f"{name}.png").write_bytes(pictures[name])
        (paths.figures / f"{name}.svg").write_text(drawings[name], encoding="utf-8")
    write_text(paths.page, page(matrix, drawings, beside))
    return pictures
