"""Data sets that lie in packages: digits of scikit-learn, faces of scikit-image."""

import numpy as np

from rl_transfer.image.room import IMAGES
from rl_transfer.spec import load
from rl_transfer.spec.image_data import DigitsData, FacesData
from rl_transfer.sweep.dispatch import SUITES
from support.untyped import untyped


def test_digits_and_faces_come_from_their_packages() -> None:
    digits = IMAGES.open_data(DigitsData(name="digits"))
    assert len(digits.pool) == 1797
    assert digits.pool.load(0).size == (8, 8)
    faces = IMAGES.open_data(FacesData(name="lfw-subset"))
    assert np.bincount(faces.pool.labels).tolist() == [100, 100]


def test_shipped_image_configs_are_sound() -> None:
    suite = untyped(load("image-pretrained", SUITES, "suites").config)
    for target in suite.targets.values():
        splits = IMAGES.split(target.data, suite.root_seed, 0)
        assert np.bincount(splits.train.labels).min() >= 1
