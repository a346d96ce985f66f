"""Pictures that runs left beside their records: predictions and confusion matrices of image classifiers."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from rl_transfer.analysis.inputs import Sweep
from rl_transfer.report.markup import Html, joined, tag

MOST_PER_TARGET = 4
NAMES = {"predictions": "predictions with their confidences", "confusion": "confusion matrix"}


@dataclass(frozen=True)
class RunPicture:
    """One PNG file of one run; ``title`` says which arm and seed it is of."""

    target: str
    title: str
    path: Path


def run_pictures(folder: Path, sweep: Sweep) -> list[RunPicture]:
    """The pictures of each target's first-seed runs, at most ``MOST_PER_TARGET`` arms per target.

    Runs without pictures (every RL run) have none.
    """
    arms: dict[str, dict[str, list[RunPicture]]] = {}
    for run in sorted(sweep.runs, key=lambda each: each.seed):
        if run.role != "target" or run.record is None:
            continue
        arm = f"{run.strategy} from {run.source}" if run.source else str(run.strategy)
        held = arms.setdefault(str(run.target), {})
        files = {name: folder / "runs" / run.id / "figures" / f"{name}.png" for name in NAMES}
        if arm in held or len(held) >= MOST_PER_TARGET or not all(path.is_file() for path in files.values()):
            continue
        held[arm] = [
            RunPicture(str(run.target), f"{arm}, seed {run.seed}: {NAMES[name]}", path)
            for name, path in files.items()
        ]
    return [picture for held in arms.values() for pictures in held.values() for picture in pictures]


def section(pictures: list[RunPicture]) -> Html:
    """The pictures as part of the page, embedded; nothing where there are none."""
    parts: list[Html] = []
    for target in dict.fromkeys(picture.target for picture in pictures):
        figures = [
            tag("figure", _embedded(picture), tag("figcaption", picture.title))
            for picture in pictures
            if picture.target == target
        ]
        parts += [tag("h3", target), tag("div", joined(figures), class_="grid wide")]
    return joined([tag("h2", "Predictions"), *parts]) if parts else Html("")


def _embedded(picture: RunPicture) -> Html:
    data = base64.b64encode(picture.path.read_bytes()).decode("ascii")
    return tag("img", src=f"data:image/png;base64,{data}", alt=picture.title, style="max-width:100%")
