"""Files of Keras that are refused, and what each refusal says."""

import importlib
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from rl_transfer.errors import BundleError, ConfigError, RLTransferError, TransferError
from rl_transfer.image.room import IMAGES
from rl_transfer.spec.image_model import WeightsConfig, named_model, named_weights
from support.keras_models import adapted, loaded, tiny

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")


def archive(folder: Path, layers: list[dict[str, Any]]) -> Path:
    """A ``.keras`` file with such layers behind an input, and without weights."""
    first = {"class_name": "InputLayer", "module": "keras.layers", "config": {"batch_shape": [None, 8, 8, 1]}}
    config = {
        "class_name": "Sequential",
        "module": "keras",
        "config": {"name": "s", "layers": [first, *layers]},
    }
    with zipfile.ZipFile(folder / "crafted.keras", "w") as file:
        file.writestr("config.json", json.dumps(config))
    return folder / "crafted.keras"


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        ({"class_name": "Lambda", "module": "keras.layers", "config": {}}, "Lambda, which holds code"),
        ({"class_name": "TorchModuleWrapper", "module": "keras.layers", "config": {}}, "which holds code"),
        ({"class_name": "Popen", "module": "subprocess", "config": {}}, "a Popen of subprocess"),
        ({"class_name": "Mine", "config": {}, "registered_name": "Custom>Mine"}, "no layer of Keras"),
        ({"class_name": "get_file", "module": "keras.utils", "config": {}}, "a get_file of keras.utils"),
        (
            {"class_name": "Dense", "module": "keras.layers",
             "config": {"units": 2, "kernel_initializer": {"class_name": "__lambda__", "config": {}}}},
            "lambda, which holds code",
        ),
        ({"class_name": ["Dense"], "config": {}}, "a class_name that is no text: .'Dense'"),
        ({"class_name": "Conv2D", "module": "keras.layers", "config": {}}, "cannot build this model"),
        (
            {"class_name": "Conv2D", "module": "keras.layers",
             "config": {"filters": 2**40, "kernel_size": 1}},
            "more than the 1,073,741,824",
        ),
    ],
)  # fmt: skip
def test_what_is_not_keras_alone_or_far_too_large_is_refused(layer: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises((BundleError, ConfigError), match=says):
        loaded(archive(tmp_path, [layer]))


def test_other_files_are_refused_with_the_way_out(files: Path, tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"\x08\x01")
    (tmp_path / "model.tflite").write_bytes(b"\x1c\x00\x00\x00TFL3")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"weights": [1.0]}))
    (tmp_path / "damaged.keras").write_bytes((files / "tiny.keras").read_bytes()[:500])
    for name, says in {
        "saved": "a SavedModel of TensorFlow.*docs/tensorflow.md",
        "model.tflite": "SavedModel, TF Hub and TFLite models are turned",
        "model.pkl": "is pickled, and unpickling runs whatever code it holds",
        "damaged.keras": "cannot be read as a model of Keras",
        "nowhere.keras": "No such file",
    }.items():
        with pytest.raises(BundleError, match=says):
            loaded(tmp_path / name)
    with pytest.raises(BundleError, match="holds weights and no architecture; name that as the model"):
        loaded(files / "tiny.weights.h5")
    with pytest.raises(BundleError, match="it holds no weights"):
        loaded(files / "tiny.json")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("member", ["config.json", "model.weights.h5"])
def test_archives_with_damaged_members_are_refused(
    member: str, method: int, files: Path, tmp_path: Path
) -> None:
    path = tmp_path / "damaged.keras"
    with zipfile.ZipFile(files / "tiny.keras") as good, zipfile.ZipFile(path, "w", method) as file:
        for name in good.namelist():
            file.writestr(name, good.read(name))
    with zipfile.ZipFile(path) as file:
        start = file.getinfo(member).header_offset + 30 + len(member)
    content = bytearray(path.read_bytes())
    content[start : start + 40] = bytes(each ^ 0xFF for each in content[start : start + 40])
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"cannot be read as a model of Keras|does not fit the model"):
        loaded(path)


def test_an_architecture_that_is_no_text_is_refused(tmp_path: Path) -> None:
    h5py = importlib.import_module("h5py")
    for value in (h5py.Empty("S10"), 7):
        with h5py.File(tmp_path / "crafted.h5", "w") as file:
            file.attrs["model_config"] = value
        with pytest.raises(BundleError, match="its attribute model_config is no text"):
            loaded(tmp_path / "crafted.h5")


def test_weights_of_another_model_do_not_fit(keras: Any, files: Path, tmp_path: Path) -> None:
    layers = keras.layers
    longer = keras.Sequential(
        [keras.Input((8, 8, 1)), *tiny(keras).layers[:-1], layers.Dense(5), layers.Dense(3)]
    )
    longer.save_weights(tmp_path / "longer.weights.h5")
    longer.save(tmp_path / "longer.h5")
    for name in ("longer.weights.h5", "longer.h5"):
        with pytest.raises(BundleError, match="does not fit the model"):
            loaded(f"{files / 'tiny.json'}:{tmp_path / name}")
    for name in ("tiny.weights.h5", "tiny.h5"):
        with pytest.raises(BundleError, match="does not fit the model"):
            loaded(f"{tmp_path / 'longer.h5'}:{files / name}")


def test_tensors_beyond_those_of_the_model_are_noticed(keras: Any, files: Path, tmp_path: Path) -> None:
    layers = keras.layers
    more = keras.Sequential(
        [keras.Input((8, 8, 1)), *tiny(keras).layers, layers.Flatten(), layers.Embedding(3, 2)]
    )
    more.save_weights(tmp_path / "more.weights.h5")
    with pytest.raises(BundleError, match="it holds 11 tensors, the model has 10"):
        loaded(f"{files / 'tiny.json'}:{tmp_path / 'more.weights.h5'}")


def test_a_file_is_measured_before_it_is_read(files: Path, tmp_path: Path) -> None:
    h5py = importlib.import_module("h5py")
    for name, group in {"tiny.weights.h5": "layers/huge", "tiny.h5": "model_weights/huge"}.items():
        path = tmp_path / name
        path.write_bytes((files / name).read_bytes())
        with h5py.File(path, "r+") as file:
            file.create_dataset(group, shape=(10**5, 10**5), dtype="f4", chunks=(1000, 1000))
        assert path.stat().st_size < 2**20
        with pytest.raises(BundleError, match=r"it holds 10,000,000,\d+ numbers, the model has"):
            loaded(f"{files / 'tiny.json'}:{path}")
        with h5py.File(path, "r+") as file:
            del file[group]
            file[group] = h5py.ExternalLink(str(files / "tiny.h5"), "/model_weights")
        with pytest.raises(BundleError, match="huge is a link to somewhere else"):
            loaded(f"{files / 'tiny.json'}:{path}")


def test_a_counter_hides_no_tensor_too_many(keras: Any, tmp_path: Path) -> None:
    h5py = importlib.import_module("h5py")
    path, made = adapted(keras, tmp_path)
    made.save_weights(tmp_path / "more.weights.h5")
    with h5py.File(tmp_path / "more.weights.h5", "r+") as file:
        file.create_dataset("layers/other/vars/0", data=[[1.0]])
    with pytest.raises(BundleError, match="it holds 7 tensors, the model has 6"):
        loaded(f"{path}:{tmp_path / 'more.weights.h5'}")


def test_weights_are_what_the_config_promises(files: Path) -> None:
    model, path = named_model(f"keras:{files / 'tiny.keras'}"), str(files / "tiny.keras")
    named = IMAGES.load_pretrained(model, WeightsConfig(file=path, classes=("x", "y", "z")))
    assert named.classes == ("x", "y", "z")
    for weights, says in {
        WeightsConfig(file=path, sha256="0" * 8): "not the file that the config promises",
        WeightsConfig(file=path, classes=("x", "y")): "its head has 3 outputs",
        named_weights("DEFAULT"): "weights of Keras are a file",
    }.items():
        with pytest.raises(RLTransferError, match=says):
            IMAGES.load_pretrained(model, weights)
    with pytest.raises(
        TransferError, match=r"no dense layer or convolution 'anser'; it has first, second, answer"
    ):
        IMAGES.build_classifier(model.model_copy(update={"head": "anser"}), 2, 0)
