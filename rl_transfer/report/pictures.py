"""Pictures that runs left beside their records: predictions and confusion matrices of image classifiers."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rl_transfer.analysis.inputs import Sweep
from rl_transfer.analysis.model import Cell, Matrix
from rl_transfer.report.markup import Html, esc, joined, tag

NAMES = {"predictions": "predictions with their confidences", "confusion": "confusion matrix"}
"""File stem → what the picture shows."""
MOST_BYTES = 1_000_000
"""A larger picture is named, not embedded: the page is to stay moderate in size."""


@dataclass(frozen=True)
class RunPicture:
    """One PNG file of one run; ``title`` says which arm and seed it is of."""

    target: str
    title: str
    path: Path


def run_pictures(folder: Path, sweep: Sweep, matrix: Matrix) -> list[RunPicture]:
    """Per target, the pictures of training from scratch and of the strategy with the best final performance.

    Of each the first finished seed. Runs without pictures (every RL run) have none.

    Args:
        folder: the sweep's folder.
        sweep: its runs.
        matrix: their analysis, which says what is best.

    Returns:
        Pictures that exist, by target; the best strategy before training from scratch.
    """
    chosen = [cell for target in matrix.targets for cell in _shown(matrix, target)]
    return [picture for cell in chosen for picture in _of_cell(folder, sweep, cell)]


def _shown(matrix: Matrix, target: str) -> list[Cell]:
    transfers = [
        cell
        for cell in matrix.select(target=target, kind="transfer")
        if math.isfinite(cell.metrics["final_performance"].value.mean)
    ]
    best = max(transfers, key=lambda cell: cell.metrics["final_performance"].value.mean, default=None)
    return [*([best] if best else []), *matrix.select(target=target, kind="baseline")]


def _of_cell(folder: Path, sweep: Sweep, cell: Cell) -> list[RunPicture]:
    rows = sweep.select("target", source=cell.source, target=cell.target, strategy=cell.strategy)
    run = next((run for run in rows if run.finished), None)
    if run is None:
        return []
    arm = f"{cell.strategy} from {cell.source}" if cell.source else cell.strategy
    files = {name: folder / "runs" / run.id / "figures" / f"{name}.png" for name in NAMES}
    return [
        RunPicture(cell.target, f"{arm}, seed {run.seed}: {NAMES[name]}", path)
        for name, path in files.items()
        if path.is_file()
    ]


def section(pictures: Sequence[RunPicture]) -> Html:
    """The pictures as part of the page, embedded.

    Args:
        pictures: what :func:`run_pictures` found.

    Returns:
        A section with its heading; nothing where there are no pictures.
    """
    if not pictures:
        return Html("")
    parts = [
        tag("h2", "Predictions"),
        tag(
            "p",
            "Of the strategy with the best mean final performance, and from scratch; the first seed of each.",
            class_="muted",
        ),
    ]
    for target in dict.fromkeys(picture.target for picture in pictures):
        figures = [_figure(picture) for picture in pictures if picture.target == target]
        parts += [tag("h3", target), tag("div", joined(figures), class_="grid")]
    return joined(parts)


def _figure(picture: RunPicture) -> Html:
    size = picture.path.stat().st_size
    if size > MOST_BYTES:
        place = "/".join(picture.path.parts[-4:])
        return tag("figure", tag("figcaption", f"{picture.title}: {size / 1e6:.1f} MB, see {place}"))
    data = base64.b64encode(picture.path.read_bytes()).decode("ascii")
    image = Html(f'<img alt="{esc(picture.title)}" src="data:image/png;base64,{data}">')
    return tag("figure", image, tag("figcaption", picture.title))
