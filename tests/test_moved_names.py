"""What 0.1.0 wrote still loads: bundles, run folders, and the import paths that a YAML could name."""

from pathlib import Path

import numpy as np
import pytest

from rl_transfer.image.room import IMAGES
from rl_transfer.results import find_run
from rl_transfer.rl.policies.algorithms import import_object
from rl_transfer.rl.policies.bundle import load_policy
from rl_transfer.supervised.bundle import load_network

WRITTEN = Path(__file__).parent / "fixtures" / "written-by-0.1.0"
NAMEABLE = ("rl_transfer.rl.extractors:SmallCNN",)


def test_a_policy_with_an_extractor_named_by_its_old_path_loads_and_acts() -> None:
    policy = load_policy(WRITTEN / "pixel-policy")
    assert policy.algorithm.policy_kwargs.features_extractor == "rl_transfer.rl.extractors:SmallCNN"
    assert policy.act()(np.zeros((2, 1, 36, 36), dtype=np.uint8)).shape == (2,)


def test_a_classifier_loads() -> None:
    assert len(load_network(IMAGES, WRITTEN / "classifier").classes or ()) == 10


@pytest.mark.parametrize("name", ["pixel-policy", "classifier"])
def test_a_run_folder_is_read(name: str) -> None:
    folder = find_run(WRITTEN / name)
    assert folder.record()["versions"]["rl-transfer"] == "0.1.0"
    assert folder.curve()[-1]["step"] == folder.record()["total_steps"]


@pytest.mark.parametrize("path", NAMEABLE)
def test_every_nameable_path_of_0_1_0_imports(path: str) -> None:
    assert import_object(path, key="here") is not None
