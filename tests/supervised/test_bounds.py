"""A classifier's bundle that describes a far larger network than its tensors form is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from rl_transfer.core import load_bundle, save_bundle
from rl_transfer.errors import BundleError
from rl_transfer.supervised.bundle import load_network
from support.cli import Call
from support.vectors_room import VECTORS


@pytest.mark.parametrize(
    "change",
    [
        {"num_classes": 10**10, "classes": None},
        {"num_classes": 2**70, "classes": None},
        {"model": {"name": "perceptron", "features": 10**9}},
    ],
)
def test_a_network_that_outgrows_its_tensors_is_refused(
    change: dict[str, Any], call: Call, tmp_path: Path
) -> None:
    assert call("train", "./rows.yaml", "-o", "source", "training.epochs=1").code == 0
    (folder,) = tmp_path.glob("source/runs/*/bundle")
    bundle = load_bundle(folder)
    metadata = {**json.loads(json.dumps(dict(bundle.metadata))), **change}
    save_bundle(tmp_path / "changed", bundle.state(), metadata, kind=bundle.kind)
    with pytest.raises(BundleError, match="the tensors do not fit the described network"):
        load_network(VECTORS, tmp_path / "changed")
    assert load_network(VECTORS, folder).state
