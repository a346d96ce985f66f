"""Classifiers scored on labelled items of other data before anything is trained."""

import json
from pathlib import Path

import numpy as np
import pytest

from rl_transfer.errors import ConfigError
from rl_transfer.frame.scores import ScoringRequest
from rl_transfer.image.room import ROOM
from rl_transfer.sweep.dispatch import room
from support.image import TRAINING, Execute


def data_file(folder: Path, arrays: Path, **more: object) -> str:
    path = folder / f"data-{len(more)}.yaml"
    path.write_text(json.dumps({"data": {"name": "arrays", "path": str(arrays), **more}}), encoding="utf-8")
    return str(path)


def test_a_trained_classifier_beats_an_untrained_one(run: Execute, arrays: Path, tmp_path: Path) -> None:
    known = run(training={**TRAINING, "epochs": 16})
    still = {"epochs": 1, "optimizer": {"name": "SGD", "learning_rate": 1e-9}}
    fresh = run(training=still, evaluation={"every": 1})
    request = ScoringRequest(data_file(tmp_path, arrays), 30)
    found = ROOM.score_sources([str(known.path), str(fresh.path)], request)
    assert [each.steps for each in found] == [30, 30]
    good, bad = (each.scores for each in found)
    for name in ("leep", "logme", "zero_shot_return"):
        assert good[name].value is not None
        assert bad[name].value is not None
        assert good[name].value > bad[name].value, name  # type: ignore[operator]
    assert good["leep"].value <= 0  # type: ignore[operator]
    assert np.isfinite(good["logme"].value)  # type: ignore[arg-type]
    assert (good["source_budget"].value, bad["source_budget"].value) == (16, 1)
    assert "scores tell memory too" in found[0].notes[0], "these are the data that it was trained on"
    again = ROOM.score_sources([str(known.path)], request)[0]
    assert again.plain() == found[0].plain()


def test_what_tells_no_source_from_another_is_refused(run: Execute, arrays: Path, tmp_path: Path) -> None:
    source = run(training={"epochs": 1}, evaluation={"every": 1})
    with pytest.raises(ConfigError, match="1 labelled images of the target are of one class"):
        room("image").score_sources([str(source.path)], ScoringRequest(data_file(tmp_path, arrays), 1))
