"""Optional packages: what is said where one is absent, and what is read of one that is there."""

import os
import sys
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from rl_transfer.errors import ConfigError, MissingExtraError
from rl_transfer.image.backbones import build_classifier
from rl_transfer.image.keras_library import library
from rl_transfer.image.room import IMAGES
from rl_transfer.spec.image_data import DigitsData, FacesData
from rl_transfer.spec.image_model import TimmConfig, named_model, named_weights
from rl_transfer.text.tokens import library as text_library

NO_NETWORK = TimmConfig(name="timm", architecture="x")
LIBRARIES: dict[str, tuple[str, Callable[[], object], str]] = {
    "timm": ("timm", lambda: build_classifier(NO_NETWORK, 2, 0), "'rl-transfer[timm]'"),
    "digits": ("sklearn.datasets", lambda: IMAGES.open_data(DigitsData(name="digits")), "scikit-learn"),
    "faces": ("skimage.data", lambda: IMAGES.open_data(FacesData(name="lfw-subset")), "scikit-image"),
    "texts": ("tokenizers", lambda: text_library("tokenizers"), "'rl-transfer[text]'"),
}
"""What is asked for → the module that is absent, how it is asked for, and what to install."""


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_missing_extra_has_one_line_of_remedy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, ask, package = LIBRARIES[name]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError) as found:
        ask()
    assert found.value.message.endswith(f"install it with: pip install {package}")


def test_digits_of_16_greys_and_faces_of_floats_become_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = SimpleNamespace(images=np.array([[[0.0, 4.0], [8.0, 16.0]]] * 10), target=np.arange(10))
    monkeypatch.setitem(sys.modules, "sklearn.datasets", SimpleNamespace(load_digits=lambda: digits))
    opened = IMAGES.open_data(DigitsData(name="digits"))
    # 255/16 of a grey, to the nearest whole number, halves to the even one.
    assert np.asarray(opened.pool.load(3)).tolist() == [[0, 64], [128, 255]]
    assert (opened.classes[3], opened.pool.labels.tolist()) == ("3", [*range(10)])
    faces = np.tile([[0.0, 0.2], [0.6, 1.2]], (200, 1, 1))
    monkeypatch.setitem(sys.modules, "skimage.data", SimpleNamespace(lfw_subset=lambda: faces))
    opened = IMAGES.open_data(FacesData(name="lfw-subset"))
    assert np.asarray(opened.pool.load(0)).tolist() == [[0, 51], [153, 255]]
    assert opened.classes == ("face", "no face")
    assert np.bincount(opened.pool.labels).tolist() == [100, 100]


def test_another_backend_or_no_keras_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    other = SimpleNamespace(config=SimpleNamespace(backend=lambda: "jax"))
    monkeypatch.setitem(sys.modules, "keras", other)
    with pytest.raises(ConfigError, match=r"already, on the backend jax, .* Set KERAS_BACKEND=torch before"):
        library()
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(MissingExtraError, match=r"install it with: pip install 'rl-transfer\[keras\]'"):
        library()
    assert os.environ["KERAS_BACKEND"] == "jax"


def test_architecture_and_weights_may_both_lie_in_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(type(IMAGES), "load_pretrained", lambda *given: seen.append(given[1:]))
    IMAGES.find_pretrained("keras:package://one/a.json:package://two/b.h5")
    model, weights = named_model("keras:package://one/a.json"), named_weights("package://two/b.h5")
    assert seen == [(model, weights)]
