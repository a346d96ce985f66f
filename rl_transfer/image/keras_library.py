"""Keras on its torch backend: imported, held to its defaults, and kept from whatever in files is not its own.

Nothing of a file runs: the architecture is read as data, and only classes of Keras (https://keras.io) are
built, none of which holds code.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Protocol

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from rl_transfer.errors import BundleError, ConfigError, MissingExtraError
from rl_transfer.spec.base import Json
from rl_transfer.spec.keras_files import EXTRA

_CODE = ("Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")
_OPERATIONS = (
    "TFOpLambda",
    "SlicingOpLambda",
    "TensorFlowOpLayer",
    "ClassMethod",
    "InstanceMethod",
    "InstanceProperty",
)
_FILES = ("StringLookup", "IntegerLookup", "TextVectorization")
_OWN = re.compile(
    r"builtins|keras|keras(\.src)?\.(layers|models|activations|initializers|regularizers|constraints|"
    r"dtype_policies|ops)(\.\w+)*"
)
_NOT_CLASSES = ("function", "__keras_tensor__", "__tuple__", "__slice__", "__ellipsis__", "__numpy__")


Values = Tensor | Sequence["Values"]
"""What layers take and give: a tensor, or several."""


class Variable(Protocol):
    """A tensor of Keras."""

    name: str
    path: str
    dtype: str
    shape: tuple[int, ...]
    trainable: bool

    @property
    def value(self) -> Tensor:
        """What it is now; of a variable that was never filled, a fresh draw from its initialiser."""


class KerasLayer(Protocol):
    """A layer of Keras."""

    name: str
    call: Callable[..., Values]
    weights: Sequence[Variable]
    trainable_weights: Sequence[Variable]
    non_trainable_weights: Sequence[Variable]
    variables: Sequence[Variable]
    trainable: bool
    quantization_mode: str | None

    def get_config(self) -> dict[str, Json]:
        """Its arguments as data."""

    @classmethod
    def from_config(cls, config: Mapping[str, Json]) -> KerasLayer:
        """A layer with these arguments."""


class KerasModel(KerasLayer, Protocol):
    """A model of Keras; it is a layer too."""

    layers: Sequence[KerasLayer]
    inputs: Sequence[Variable]
    outputs: Sequence[Variable]

    def __call__(self, inputs: Tensor, *, training: bool) -> Tensor:
        """Its output."""

    def load_weights(self, file: str) -> None:
        """Reads tensors from a file, by place and shape."""


def library() -> ModuleType:
    """Keras on its torch backend.

    Returns:
        The package.

    Raises:
        MissingExtraError: Keras or h5py is not installed.
        ConfigError: this process runs Keras on another backend already.
    """
    if sys.modules.get("keras") is None:
        try:
            with tempfile.TemporaryDirectory() as home, _environment(home):
                importlib.import_module("h5py")
                importlib.import_module("keras")
        except ImportError as error:
            raise MissingExtraError(
                f"a model of Keras needs keras and h5py, which are not installed ({error}); {EXTRA}",
                key="model",
            ) from None
    keras = sys.modules["keras"]
    backend = str(keras.config.backend())
    if backend != "torch":
        raise ConfigError(
            f"Keras is loaded in this process already, on the backend {backend}, and transfer needs torch. "
            "Set KERAS_BACKEND=torch before Keras is imported, or use another process",
            key="model",
        )
    return keras


@contextmanager
def _environment(home: str) -> Iterator[None]:
    """Of the import: our backend, and no settings written to the home of whoever has none of Keras."""
    wanted = {"KERAS_BACKEND": "torch", "KERAS_HOME": os.environ.get("KERAS_HOME", home)}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


@contextmanager
def plain_settings(keras: ModuleType) -> Iterator[None]:
    """The defaults of Keras, whatever its settings on this machine are: they stand in for what files omit.

    Args:
        keras: the package.
    """
    wanted = {"floatx": "float32", "image_data_format": "channels_last", "epsilon": 1e-7}
    before = {name: getattr(keras.config, name)() for name in wanted}
    try:
        for name, value in wanted.items():
            getattr(keras.config, f"set_{name}")(value)
        yield
    finally:
        for name, value in before.items():
            getattr(keras.config, f"set_{name}")(value)


@contextmanager
def stateless(known: Sequence[tuple[Variable, Tensor]] = ()) -> Iterator[Callable[[Variable], Tensor | None]]:
    """Have layers compute with other tensors than their own, and change none of these.

    Args:
        known: variable and what it is meanwhile.

    Yields:
        What a variable is by now; None for one that nobody set.
    """
    with library().StatelessScope(known, initialize_variables=False) as scope:
        yield scope.get_current_value


@contextmanager
def on_device_of(value: Values | None) -> Iterator[None]:
    """Have Keras compute where a tensor is; elsewhere is its own default.

    Args:
        value: an input, or several on one device; None for the CPU.
    """
    first = None if value is None else _first(value)
    with library().device("cpu" if first is None else str(first.device)):
        yield


def _first(value: Values) -> Tensor | None:
    return value if isinstance(value, Tensor) else next(map(_first, value), None)


def moved(value: Values, source: int, destination: int) -> Values:
    """Maps with their channels elsewhere; whatever is no batch of maps stays as it is.

    Args:
        value: one or more tensors.
        source: axis of the channels.
        destination: where they shall be.

    Returns:
        The same without copying.
    """
    if isinstance(value, list | tuple):
        return [moved(each, source, destination) for each in value]
    if isinstance(value, Tensor) and value.ndim == 4:
        return value.movedim(source, destination)
    return value


class Subsampling(TorchFunctionMode):
    """Strided 1×1 convolutions take every n-th pixel first, while it lasts; the numbers are the same.

    With up to 8 channels in Keras's order of axes, oneDNN 3 in torch 2.13 writes past its memory in their
    gradient on processors with AVX-512: the process dies.
    """

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: tuple[type, ...],
        args: tuple[Tensor, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Call a function of torch, on fewer pixels where that is the same."""
        named = dict(kwargs or {})
        stride = named.get("stride")
        if (
            func is torch.conv2d
            and isinstance(stride, tuple)
            and _is_pointwise(args[1], named.get("padding", 0))
        ):
            del named["stride"]
            args = (args[0][:, :, :: stride[0], :: stride[1]], *args[1:])
        return func(*args, **named)


def _is_pointwise(kernel: Tensor, padding: object) -> bool:
    padded = any(padding) if isinstance(padding, list | tuple) else padding != 0
    return kernel.shape[2:] == (1, 1) and not padded


def refuse_foreign(keras: ModuleType, architecture: dict[str, Json]) -> None:
    """Refuse an architecture with what is not Keras's own, or holds code or names of files.

    Seeds in it are forgotten: they would give every seed of a study the same initial weights.

    Args:
        keras: the package.
        architecture: from a file; changed in place.

    Raises:
        BundleError: with the name of the class.
    """
    known = {name for module in ("layers", "initializers", "regularizers", "constraints", "models")
             for name in dir(getattr(keras, module))} | {"Functional", *_NOT_CLASSES}  # fmt: skip
    waiting: list[Json] = [architecture]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            waiting += each.values()
            if "seed" in each:
                each["seed"] = None
            name, module = each.get("class_name"), each.get("module")
            if name is None:
                continue
            if not isinstance(name, str):
                raise BundleError(
                    f"the model has a class_name that is no text: {str(name)[:80]}; the file is damaged",
                    key="model.file",
                )
            if name in _CODE:
                raise BundleError(
                    f"the model has a layer of class {name.strip('_')}, which holds code; code in files "
                    "is never run. Where you trust the model, build it with layers of Keras in that place "
                    "(Rescaling, Activation, keras.ops …) and save it again",
                    key="model.file",
                )
            if name in _OPERATIONS:
                config = each.get("config")
                function = str(config.get("function") if isinstance(config, dict) else name)[:80]
                raise BundleError(
                    f"the model has TensorFlow's operation {function} in place of a layer, which runs in "
                    "TensorFlow alone; write a layer of Keras there, or take the same network of "
                    "keras.applications with the weights of this file (docs/tensorflow.md)",
                    key="model.file",
                )
            foreign = name not in known if module is None else _OWN.fullmatch(str(module)) is None
            if foreign or name in _FILES or ">" in str(each.get("registered_name")):
                raise BundleError(
                    f"the model has a {name}{f' of {module}' if module else ''}, which is no layer of Keras "
                    "that pictures need; only such are built, for other code is not in the file",
                    key="model.file",
                )
