"""Event files of a run: what TensorBoard itself reads of them, and that there need be none."""

import os
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rl_transfer.frame.events import EventWriter
from rl_transfer.results import RunFolder


def read(folder: RunFolder) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder.tensorboard))
    accumulator.Reload()
    return accumulator


def scalars(folder: RunFolder, tag: str) -> list[tuple[int, float]]:
    return [(each.step, each.value) for each in read(folder).Scalars(tag)]


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    events = EventWriter(folder)
    events.add_scalars({"evaluation/mean_return": 9.5, "train/loss": 0.25}, 0)
    events.add_scalars({"evaluation/mean_return": 12.0}, 256)
    assert scalars(folder, "evaluation/mean_return") == [(0, 9.5), (256, 12.0)], (
        "while it is still written to"
    )
    events.add_image("predictions", np.zeros((4, 6, 3), np.uint8), 256)
    events.close()
    assert scalars(folder, "train/loss") == [(0, 0.25)]
    (picture,) = read(folder).Images("predictions")
    assert (picture.step, picture.height, picture.width) == (256, 4, 6)


def test_events_after_the_step_that_a_run_goes_on_from_are_taken_back(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    first = EventWriter(folder)
    for step in (0, 100, 200, 300):
        first.add_scalars({"loss": float(step)}, step)
    first.close()
    second = EventWriter(folder, purge_step=101)
    second.add_scalars({"loss": -1.0}, 200)
    second.close()
    assert len(os.listdir(folder.tensorboard)) == 2
    assert scalars(folder, "loss") == [(0, 0.0), (100, 100.0), (200, -1.0)]


def test_a_run_without_events_writes_nothing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, events=False)
    events = EventWriter(folder)
    events.add_scalars({"loss": 1.0}, 0)
    events.add_image("predictions", np.zeros((4, 6, 3), np.uint8), 0)
    events.close()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_numbers_that_a_chart_cannot_show_are_no_error(tmp_path: Path, value: float) -> None:
    folder = RunFolder(tmp_path)
    events = EventWriter(folder)
    events.add_scalars({"loss": value}, 0)
    events.close()
    assert len(scalars(folder, "loss")) == 1
