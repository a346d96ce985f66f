"""Models of Keras as graphs of layers: built from an architecture without memory, ending with logits."""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import cast

from torch import Tensor, nn

from rl_transfer.errors import ConfigError, RLTransferError, TransferError
from rl_transfer.frame.state import Stateless
from rl_transfer.image.keras_legacy import translated
from rl_transfer.image.keras_library import (
    KerasLayer,
    KerasModel,
    Subsampling,
    Values,
    library,
    moved,
    on_device_of,
    plain_settings,
    refuse_foreign,
    stateless,
)
from rl_transfer.spec.image_model import KerasConfig
from rl_transfer.wording import did_you_mean, listing

_SHAPING = (
    "GlobalAveragePooling2D", "GlobalMaxPooling2D", "AveragePooling2D", "MaxPooling2D", "Flatten", "Reshape",
    "Dropout",
)  # fmt: skip
_SQUASHING = ("Activation", "Softmax", "Sigmoid")
"""What may stand behind a head; its activation is taken off, for the loss wants logits."""
_ANSWERS = (None, "linear", "softmax", "sigmoid")


class KerasGraph(Stateless):
    """A model of Keras whose layers compute with tensors of modules; it holds no numbers of its own.

    Args:
        model: to be run; its own variables are empty.
        filed: as the file has it, without a head that was added here.
        layers: path → layer, from input to output; layers of models inside the model too.
        head: path of the classifier.
        outputs: its number of logits.
        trained: for :func:`every_layer` of ``filed``, whether it was trainable when the file was written.

    Attributes:
        added: whether the model came without a head.
        channels_last: whether pictures are [height, width, channels] here.
    """

    def __init__(
        self, model: KerasModel, filed: KerasModel, layers: Mapping[str, KerasLayer], head: str, outputs: int,
        trained: Sequence[bool],
    ) -> None:  # fmt: skip
        self.trained = trained
        self.model, self.filed, self.layers = model, filed, layers
        self.head, self.outputs, self.added = head, outputs, model is not filed
        self._modules: Mapping[str, nn.Module] = {}
        orders = [getattr(each, "data_format", None) for each in layers.values()]
        self.channels_last = next((each for each in orders if each), "channels_last") == "channels_last"

    @property
    def picture(self) -> tuple[int | None, int | None, int | None]:
        """(channels, height, width) of an input; None where the model takes any."""
        first, second, third = self.model.inputs[0].shape[1:]
        return (third, first, second) if self.channels_last else (first, second, third)

    @property
    def rescales(self) -> bool:
        """Whether pictures are rescaled in the model, before its first other layer with weights."""
        for layer in self.layers.values():
            if _kind(layer) in ("Rescaling", "Normalization"):
                return True
            if layer.weights:
                return False
        return False

    def run(self, modules: Mapping[str, nn.Module], inputs: Tensor, training: bool) -> Tensor:
        """The model's output, each layer computed by its module.

        Args:
            modules: path → module.
            inputs: a batch in the model's own order of axes.
            training: the mode of the network.
        """
        before, self._modules = self._modules, modules
        try:
            with on_device_of(inputs), Subsampling():
                return self.model(inputs, training=training)
        finally:
            self._modules = before

    def call(self, path: str, *inputs: Values, **options: object) -> Values:
        """Stands in for the ``call`` of a layer; its module has the channels of maps first, as torch's have.

        Args:
            path: of the layer.
            inputs: as Keras gives them.
            options: masks and modes.
        """
        if not self.channels_last:
            output: Values = self._modules[path](*inputs, **options)
            return output
        return moved(self._modules[path](*(moved(each, -1, 1) for each in inputs), **options), 1, -1)


def build_graph(config: KerasConfig, outputs: int | None) -> KerasGraph:
    """Build a model without its numbers, ending with logits.

    Draws the seeds of its initialisers from Python's global generator
    (call inside :func:`rl_transfer.core.isolated`).

    Args:
        config: the architecture, as :meth:`KerasConfig.found` gives it.
        outputs: of the head; None: those that the model has, or 1 where it has no head.

    Returns:
        The model; what came without a head has a pooling and a dense one.

    Raises:
        RLTransferError: it cannot be built, holds code, or is no classifier of pictures.
    """
    keras = library()
    with plain_settings(keras), stateless():
        filed = _as_filed(keras, config)
        head = _head(filed, config)
        try:
            return _with_head(keras, filed, head, outputs)
        except RLTransferError:
            raise
        except Exception as error:  # noqa: BLE001 - what a library makes of arguments that nobody foresaw
            raise _unbuildable(error, "model") from None


def layers_of(model: KerasModel) -> list[tuple[str, KerasLayer]]:
    """The layers of a model and of the models inside it, from input to output.

    Args:
        model: of Keras.

    Returns:
        Full name → layer; names of inner models stand before those of their layers.
    """
    return [(name, step) for name, step in _steps_of(model) if _is_layer(step)]


def every_layer(model: KerasModel) -> Iterator[KerasLayer]:
    """The layers of a model, inner models before their own.

    Args:
        model: of Keras.
    """
    for layer in model.layers:
        yield layer
        if _kind(layer) in ("Functional", "Sequential"):
            yield from every_layer(cast(KerasModel, layer))


def _steps_of(model: KerasModel) -> list[tuple[str, KerasLayer]]:
    """Layers, and operations (``x + y``, ``keras.ops.relu(x)``), which have a name and a config only."""
    found: list[tuple[str, KerasLayer]] = []
    for step in getattr(model, "operations", model.layers):
        if _kind(step) in ("Functional", "Sequential") and _is_layer(step):
            found += [(f"{step.name}_{name}", each) for name, each in _steps_of(cast(KerasModel, step))]
        elif _kind(step) != "InputLayer":
            found.append((step.name, step))
    return found


def _is_layer(step: KerasLayer) -> bool:
    return isinstance(step, library().layers.Layer)


def _as_is(inputs: Values, mask: object = None) -> Values:
    return inputs


def _kind(layer: object) -> str:
    return type(layer).__name__


def _unbuildable(error: Exception, key: str) -> ConfigError:
    says = " ".join(str(error).split()).rpartition("Exception encountered: ")[2] or type(error).__name__
    layer = re.search(r"class '(\w+)'", str(error))
    says = f"{layer[1]}: {says[:400]}" if layer else says[:400]
    return ConfigError(f"Keras {sys.modules['keras'].__version__} cannot build this model: {says}", key=key)


def _as_filed(keras: ModuleType, config: KerasConfig) -> KerasModel:
    if config.application is not None:
        names = [name for name in dir(keras.applications) if name[0].isupper()]
        if config.application not in names:
            raise ConfigError(
                f"keras.applications has no {config.application!r}."
                f"{did_you_mean(config.application, names)} A file is written as keras:PATH",
                key="model.application",
            )
        size = config.input.size
        shape = {} if size is None else {"input_shape": (size, size, 3)}
        try:
            found: KerasModel = getattr(keras.applications, config.application)(weights=None, **shape)
        except Exception as error:  # noqa: BLE001 - see build_graph
            raise _unbuildable(error, "model.input.size") from None
        return found
    architecture = copy.deepcopy(config.architecture or {})
    try:
        translated(architecture)
    except RLTransferError:
        raise
    except Exception as error:  # noqa: BLE001 - see build_graph
        raise _unbuildable(error, "model.file") from None
    refuse_foreign(keras, architecture)
    name = architecture.get("class_name")
    if name not in ("Functional", "Model", "Sequential"):
        raise ConfigError(
            f"the file holds a {name}; expected a Functional or Sequential model, whose layers are known "
            "without its author's code",
            key="model.file",
        )
    try:
        make = keras.Sequential if name == "Sequential" else keras.Model
        built: KerasModel = make.from_config(architecture["config"])
    except Exception as error:  # noqa: BLE001 - see build_graph
        raise _unbuildable(error, "model.file") from None
    return built


def _head(model: KerasModel, config: KerasConfig) -> KerasLayer | None:
    """The last dense layer or convolution, if it gives the answer; None if the model ends with features."""
    if not getattr(model, "inputs", None):
        raise ConfigError(
            "the model does not say the shape of its input; save it after it was built", key="model"
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.inputs[0].shape) != 4:
        raise ConfigError(
            f"the model takes {len(model.inputs)} input(s), the first of shape "
            f"{tuple(model.inputs[0].shape)}, and gives {len(model.outputs)} output(s); expected pictures "
            "(None, height, width, channels) and logits",
            key="model",
        )
    layers = layers_of(model)
    able = [(name, layer) for name, layer in layers if _kind(layer) in ("Dense", "Conv2D")]
    if config.head is not None:
        for name, layer in able:
            if config.head in (name, layer.name):
                return layer
        raise TransferError(
            f"the model has no dense layer or convolution {config.head!r}; it has "
            f"{listing([name for name, _ in able[-6:]])}."
            f"{did_you_mean(config.head, [name for name, _ in able])}",
            key="model.head",
        )
    for _, layer in _steps_of(model)[::-1]:
        if not _is_layer(layer):
            if _kind(layer) in _SQUASHING:
                continue
            return None
        if (_kind(layer) not in _SHAPING) and layer.get_config().get("activation") not in _ANSWERS:
            return None
        if _kind(layer) in ("Dense", "Conv2D"):
            return layer if tuple(model.outputs[0].shape[1:]) == (_units(layer),) else None
        if _kind(layer) not in (*_SHAPING, *_SQUASHING):
            return None
    return None


def _units(layer: KerasLayer) -> int:
    arguments = layer.get_config()
    return int(str(arguments["units" if "units" in arguments else "filters"]))


def _with_head(
    keras: ModuleType, filed: KerasModel, head: KerasLayer | None, outputs: int | None
) -> KerasGraph:
    """The model in 32 bits, every layer trainable, its head resized and without a squashing activation."""
    ordered = [layer for _, layer in layers_of(filed)]
    place = None if head is None else ordered.index(head)
    steps = [step for _, step in _steps_of(filed)]
    behind = [] if head is None else steps[steps.index(head) + 1 :]

    def remade(layer: KerasLayer) -> KerasLayer:
        squashing = layer in behind and _kind(layer) in _SQUASHING
        if not _is_layer(layer):
            if squashing:
                layer.call = _as_is
            return layer
        if layer.quantization_mode is not None:
            raise ConfigError(f"the layer {layer.name} is quantised; save the model before that", key="model")
        arguments = layer.get_config()
        if "trainable" in arguments:
            arguments |= {"trainable": True, "dtype": "float32"}
        if layer is head:
            arguments["activation"] = "linear"
            if outputs is not None:
                arguments["units" if _kind(layer) == "Dense" else "filters"] = outputs
        elif layer in behind and _kind(layer) == "Reshape" and outputs is not None and head is not None:
            shape = cast(Sequence[int], arguments["target_shape"])
            arguments["target_shape"] = [outputs if each == _units(head) else each for each in shape]
        made = type(layer).from_config(arguments)
        if squashing:
            made.call = _as_is
        return made

    trained = [each.trainable for each in every_layer(filed)]
    filed = keras.models.clone_model(filed, clone_function=remade, recursive=True)
    filed.trainable = True
    model = filed
    if head is None:
        features = filed.outputs[0]
        if len(features.shape) == 4:
            features = keras.layers.GlobalAveragePooling2D()(features)
        model = keras.Model(
            filed.inputs, keras.layers.Dense(outputs or 1, name=_free("head", filed))(features)
        )
    named = dict(_paths(layers_of(model)))
    path = list(named)[-1 if place is None else place]
    count = _units(named[path])
    if tuple(model.outputs[0].shape[1:]) != (count,):
        raise TransferError(
            f"{path} has {count} outputs, but the model's have the shape {tuple(model.outputs[0].shape)}: "
            "that is not its head. Name the classifier's layer as model.head",
            key="model.head",
        )
    return KerasGraph(model, filed, named, path, count, trained)


def _free(name: str, model: KerasModel) -> str:
    taken = {layer.name for layer in model.layers}
    while name in taken:
        name += "_"
    return name


def _paths(layers: Sequence[tuple[str, KerasLayer]]) -> Iterator[tuple[str, KerasLayer]]:
    """Full names as names of modules: letters, digits, underscores, each once, no attribute of modules."""
    taken = {*dir(nn.Module()), "graph", "_graph", "_flipped", "head", "all", "trunk", "auxiliary", "stem"}
    for name, layer in layers:
        path = re.sub(r"\W", "_", name)
        path = f"_{path}" if path[:1].isdigit() else path
        while path in taken:
            path += "_"
        taken.add(path)
        yield path, layer
