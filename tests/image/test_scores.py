"""Classifiers scored on labelled items of other data before anything is trained."""

import json
from pathlib import Path

import numpy as np
import pytest

from rl_transfer.analysis import analyse, read_sweep
from rl_transfer.errors import ConfigError
from rl_transfer.frame.scores import ScoringRequest
from rl_transfer.image.room import IMAGES, ROOM
from rl_transfer.report import write_report
from rl_transfer.results import RunFolder
from rl_transfer.spec import parse
from rl_transfer.spec.image import ImageSuite
from rl_transfer.spec.image_data import ArrayData
from rl_transfer.supervised.scores import LabelledTarget, _probe
from rl_transfer.sweep.dispatch import room
from rl_transfer.sweep.graph import build_graph
from rl_transfer.sweep.sweep import prepare, run_sweep
from support.image import SMALL, TRAINING, Execute, save_arrays
from support.sweeps import InThisProcess


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
    for name in ("leep", "logme", "zero_shot_return", "source_quality"):
        assert good[name].value is not None
        assert bad[name].value is not None
        assert good[name].value > bad[name].value, name  # type: ignore[operator]
    assert good["leep"].value <= 0  # type: ignore[operator]
    assert np.isfinite(good["logme"].value)  # type: ignore[arg-type]
    assert (good["source_budget"].value, bad["source_budget"].value) == (16, 1)
    assert "scores tell memory too" in found[0].notes[0], "these are the data that it was trained on"
    assert good["linear_probe"].value == 1
    assert good["domain_gap"].value == pytest.approx(0, abs=0.2), "they are its own data"
    accuracy = known.curve()[-1]["returns"][0]
    assert good["source_quality"].value == pytest.approx((accuracy - 1 / 3) / (1 - 1 / 3))
    again = ROOM.score_sources([str(known.path)], request)[0]
    assert again.plain() == found[0].plain()


def test_what_tells_no_source_from_another_is_refused(run: Execute, arrays: Path, tmp_path: Path) -> None:
    source = run(training={"epochs": 1}, evaluation={"every": 1})
    with pytest.raises(ConfigError, match="1 labelled images of the target are of one class"):
        room("image").score_sources([str(source.path)], ScoringRequest(data_file(tmp_path, arrays), 1))


def labelled(path: Path, items: int, root_seed: int = 0) -> LabelledTarget:
    data = ArrayData.model_validate({"name": "arrays", "path": str(path)})
    return LabelledTarget(IMAGES, data, items, root_seed)


def test_other_pictures_are_farther_away(run: Execute, arrays: Path, inverted: Path, tmp_path: Path) -> None:
    source = str(run(training={**TRAINING, "epochs": 8}).path)
    requests = (
        ScoringRequest(data_file(tmp_path, arrays), 30),
        ScoringRequest(data_file(tmp_path, inverted, test=0.4), 30),
    )
    gaps = [ROOM.score_sources([source], each)[0].scores["domain_gap"] for each in requests]
    assert gaps[1].value > gaps[0].value + 0.2  # type: ignore[operator]
    assert gaps[1].plain("domain_gap")["higher_is_better"] is False


def test_a_probe_is_told_on_items_that_it_was_not_fitted_to(arrays: Path) -> None:
    target, rng = labelled(arrays, 30), np.random.default_rng(0)
    labels = np.arange(30) % 3
    noise = _probe(rng.normal(size=(30, 60)), labels, target)
    assert noise.value is not None
    assert noise.value < 0.7, "30 items in 60 dimensions are told apart for certain by a probe that saw them"
    told = _probe(np.eye(3)[labels] + 0.01 * rng.normal(size=(30, 3)), labels, target)
    assert (told.value, told.details) == (1, {"folds": 5})
    assert "one labelled item" in _probe(np.eye(3), np.arange(3), target).reason
    assert "are probed at most" in _probe(np.zeros((30, 200_000)), labels, target).reason


@pytest.mark.parametrize("items", [2, 3, 7])
def test_any_two_items_are_of_two_classes(items: int, arrays: Path) -> None:
    for seed in range(10):
        found = labelled(arrays, items, seed)
        assert len(found.items) == items
        assert len({*found.items.labels.tolist()}) >= 2


def suite(tmp_path: Path, **changes: object) -> ImageSuite:
    """Two sources, one of which is trained on the target's kind of pictures."""
    near, far = (save_arrays(tmp_path / f"{name}.npz", invert=name == "far") for name in ("near", "far"))
    data = {name: {"name": "arrays", "path": str(path)} for name, path in (("near", near), ("far", far))}
    content: dict[str, object] = {
        "kind": "image",
        "name": "scored",
        "seeds": 2,
        "model": SMALL,
        "training": {**TRAINING, "epochs": 2},
        "sources": {name: {"data": each, "bar": 0.9} for name, each in data.items()},
        "targets": {"few": {"data": {**data["near"], "shots": 4, "test": 0.4}}},
        "strategies": [{"name": "scratch"}, {"name": "fine-tune", "copy": ["all"]}],
        "scores": {"steps": 2048},
        **changes,
    }
    found: ImageSuite = parse(ImageSuite, content)
    return found


@pytest.mark.full
def test_a_suite_scores_every_source_on_shots_before_training(tmp_path: Path) -> None:
    asked = suite(tmp_path)
    plan = prepare(asked, tmp_path / "out")
    state = run_sweep(plan, InThisProcess, lambda *_: None)
    assert not state.failed, state.failed
    rows = [row for row in plan.graph.rows if row.role == "scores"]
    assert [(row.source, row.seed) for row in rows] == [("near", 0), ("near", 1), ("far", 0), ("far", 1)]
    for row in rows:
        record = RunFolder(tmp_path / "out" / "runs" / row.id).record()
        found = record["source_scores"]
        assert found["steps"] == 3 * 4, "the shots, and no item of the test part"
        assert found["scores"]["source_quality"]["bar"] == 0.9
        assert (record["measured"], record["total_steps"]) == (False, 0)
        assert record["spec"]["scores"] == {"steps": 2048, "bar": 0.9}
    matrix = analyse(read_sweep(tmp_path / "out"))
    names = {each.name for each in matrix.rankings[0].scores}
    assert names == {
        "zero_shot_return", "logme", "leep", "linear_probe", "domain_gap", "source_quality", "source_budget",
    }  # fmt: skip
    assert {each.score.steps for each in matrix.rankings[0].scores} == {12.0}
    page = write_report(tmp_path / "out").page.read_text(encoding="utf-8")
    assert "Choosing the source" in page
    assert "linear probe" in page


def test_no_other_run_of_a_suite_changes(tmp_path: Path) -> None:
    asked, plain = (build_graph(suite(tmp_path, **more)) for more in ({}, {"scores": None}))
    assert tuple(row for row in asked.rows if row.role != "scores") == plain.rows
    assert not any("scores" in run.plain() for run in plain.specs.values())


def test_what_scores_nothing_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"scores\.steps: 1 labelled item is of one class"):
        suite(tmp_path, scores={"steps": 1})
