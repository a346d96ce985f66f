"""Gaps in records of image classifiers."""

from pathlib import Path

import pytest

from rl_transfer.core.parts import PartMap
from rl_transfer.image.room import IMAGES
from rl_transfer.results import RunFolder
from rl_transfer.supervised.bundle import load_network
from rl_transfer.supervised.gaps import MOST_LAYERS, looked_at
from support.image import Execute

COPIED = {"copy": ["all"]}
MEASURED = {"gaps": True}


@pytest.fixture
def source(run: Execute) -> RunFolder:
    return run()


def test_inverted_pictures_are_apart_and_training_does_not_know(
    run: Execute, source: RunFolder, inverted: Path
) -> None:
    plain = run(inverted, source=source, strategy=COPIED)
    looked = run(inverted, source=source, strategy=COPIED, evaluation=MEASURED)
    assert plain.record()["weights_digest"] == looked.record()["weights_digest"]
    assert plain.curve() == looked.curve()
    gaps = looked.record()["gaps"]
    layers = gaps["layers"]
    assert next(iter(layers)) == "input"
    assert layers["input"]["start"] == layers["input"]["end"]
    assert layers["input"]["start"]["marginal"]["p"] == 1 / 500
    assert layers["input"]["start"]["marginal"]["mmd"] > 0.3
    assert gaps["states"] == {"rows": 15, "items": "test items of both", "labels": "classes"}
    assert layers["input"]["start"]["conditional"]["labels"] == {"0": [5, 5], "1": [5, 5], "2": [5, 5]}
    # Numbers are those of plain torch: the last layer before the head, before training.
    assert all(each["start"] != each["end"] for name, each in layers.items() if name != "input")


def test_without_a_source_there_is_a_reason(run: Execute) -> None:
    found = run(evaluation=MEASURED).record()["gaps"]
    assert "no source" in found["left_out"]


def test_large_trunks_are_looked_at_part_by_part(source: RunFolder) -> None:
    parts = load_network(IMAGES, source.bundle).parts
    assert isinstance(parts, PartMap)
    assert 1 < len(looked_at(parts)) <= MOST_LAYERS
