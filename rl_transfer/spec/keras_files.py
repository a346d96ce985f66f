"""Files of Keras: what one is, by its first bytes, and the architecture that it describes."""

from __future__ import annotations

import importlib
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import Literal

from rl_transfer import bounded
from rl_transfer.errors import BundleError, MissingExtraError
from rl_transfer.spec.base import JsonObject, canonical_json

ENDINGS = (".keras", ".h5", ".hdf5", ".json")
EXTRA = "install it with: pip install 'rl-transfer[keras]'"
MOST_CONFIG_BYTES = 2**25
"""Of a description; that of EfficientNet-B7 takes half a MiB."""
_HDF5, _PICKLES = b"\x89HDF\r\n\x1a\n", (b"\x80", b"\x93NUMPY", b"cnumpy", b"cjoblib")
_DAMAGED = (
    OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error,
    lzma.LZMAError,
)  # fmt: skip
"""What zipfile and h5py raise on damaged files."""
_KEPT = ("class_name", "config", "module", "registered_name")

FileFormat = Literal["archive", "hdf5", "json"]


def file_format(path: Path, key: str) -> FileFormat:
    """What a file of Keras is, whatever it is called.

    Args:
        path: the file.
        key: config path of it, for errors.

    Returns:
        ``archive`` (a ``.keras`` file), ``hdf5`` (a whole model, or weights), ``json`` (an architecture).

    Raises:
        BundleError: it is not there, or something else; the message says what leads on.
    """
    if path.is_dir():
        saved = any((path / name).exists() for name in ("saved_model.pb", "saved_model.pbtxt"))
        what = "a SavedModel of TensorFlow" if saved else "a folder"
        raise BundleError(f"{path} is {what}, and {_EXPECTED}. {_CONVERT}", key=key)
    try:
        bounded.regular_size(path)
        with path.open("rb") as stream:
            start = stream.read(16)
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}; correct {key}", key=key) from None
    if start.startswith(b"PK\x03\x04"):
        return "archive"
    if start.startswith(_HDF5):
        return "hdf5"
    if start.lstrip().startswith(b"{"):
        return "json"
    if start.startswith(_PICKLES) or path.suffix in (".pkl", ".pickle", ".joblib", ".npy"):
        raise BundleError(
            f"{path} is pickled, and unpickling runs whatever code it holds; it is not read. Load it where "
            "you trust it and write model.save('model.keras')",
            key=key,
        )
    raise BundleError(f"{path} is something else: {_EXPECTED}. {_CONVERT}", key=key)


_EXPECTED = "expected a .keras or HDF5 file of Keras, or the architecture as .json"
_CONVERT = (
    "SavedModel, TF Hub and TFLite models are turned into a .keras file where TensorFlow is "
    "(docs/tensorflow.md has the lines)"
)


def read_architecture(path: Path, key: str) -> JsonObject:
    """The architecture that a file describes, as its author's Keras wrote it.

    Args:
        path: a ``.keras`` file, a whole model in HDF5, or a ``.json`` of ``model.to_json()``.
        key: config path of it, for errors.

    Returns:
        ``class_name`` and ``config``, and what else names the class.

    Raises:
        BundleError: it is damaged, something else, or holds weights alone.
        MissingExtraError: h5py is not installed.
    """
    form = file_format(path, key)
    try:
        if form == "archive":
            with zipfile.ZipFile(path) as archive:
                content = archive.open("config.json").read(MOST_CONFIG_BYTES + 1)
        elif form == "hdf5":
            content = _attribute(path)
        else:
            content = bounded.read_bytes(path, MOST_CONFIG_BYTES)
        found = _parsed(content)
        canonical_json(found)
    except _DAMAGED as error:
        raise BundleError(f"{path} cannot be read as a model of Keras: {error}", key=key) from None
    if not isinstance(found, dict) or not found:
        raise BundleError(
            f"{path} holds weights and no architecture; name that as the model: a .keras file, the .json of "
            "model.to_json(), or a network of keras.applications (keras:MobileNetV2)",
            key=key,
        )
    if not isinstance(found.get("class_name"), str) or not isinstance(found.get("config"), dict | list):
        raise BundleError(f"{path} describes no model of Keras: class_name and config are missing", key=key)
    return {name: found[name] for name in _KEPT if name in found}


def _parsed(content: bytes) -> object:
    if len(content) > MOST_CONFIG_BYTES:
        raise ValueError(f"its description is larger than {MOST_CONFIG_BYTES >> 20} MiB")
    return bounded.parse_json(content) if content else {}


def _attribute(path: Path) -> bytes:
    """What HDF5 files of whole models say of the architecture; nothing for weights alone."""
    try:
        h5py = importlib.import_module("h5py")
    except ImportError as error:
        raise MissingExtraError(f"{path} needs h5py, which is not installed ({error}); {EXTRA}") from None
    with h5py.File(path, "r") as file:
        found = file.attrs.get("model_config", b"")
    if isinstance(found, str):
        return found.encode()
    if not isinstance(found, bytes):
        raise ValueError("its attribute model_config is no text")
    return found
