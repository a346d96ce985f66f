"""Models of Keras as networks of torch: tensors in modules, statistics in buffers, parts by full layer names.

Keras's own layers on torch hold their moving statistics as parameters, write to them whatever
``requires_grad`` says, and do not look at the mode of a module. Here each layer is a module that owns tensors
and mode, and Keras computes with them (``keras.StatelessScope``): freezing holds as it does everywhere.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from math import prod

import torch
from torch import Tensor, nn

from rl_transfer.core import PartMap, PartRule, digest_model, isolated
from rl_transfer.core.digest import tensors_of
from rl_transfer.core.limits import MOST_NUMBERS
from rl_transfer.errors import BundleError, ConfigError
from rl_transfer.frame.state import Stateless
from rl_transfer.image.keras_graph import KerasGraph, build_graph
from rl_transfer.image.keras_library import KerasLayer, Values, Variable, moved, on_device_of, stateless
from rl_transfer.image.keras_reading import read_file
from rl_transfer.image.preprocessing import IMAGENET_MEAN, IMAGENET_STD, ImagePreprocessing
from rl_transfer.image.weight_files import checked_hash
from rl_transfer.spec.addresses import resolve_file
from rl_transfer.spec.base import Json
from rl_transfer.spec.image_model import KerasConfig, WeightsConfig
from rl_transfer.spec.keras_files import file_format
from rl_transfer.supervised.classifier import Classifier, Network
from rl_transfer.supervised.kind import narrowed

HELD_STATISTICS = (
    "moving statistics of Keras go a hundredth of the way per batch (momentum 0.99), so that through most of "
    "a short run they would describe neither the source's data nor the target's"
)
CAFFE_MEAN = (123.68, 116.779, 103.939)
"""Of red, green and blue, 0 to 255: what ``keras.applications.vgg16.preprocess_input`` subtracts."""


class _Borrowed(Stateless):
    """A layer of Keras, and how it computes with a module's tensors; it has none of its own."""

    def __init__(self, layer: KerasLayer) -> None:
        self.layer, self.call = layer, layer.call
        self.has_mode = "training" in inspect.signature(layer.call).parameters
        self.named: dict[str, Variable] = {}
        for each in layer.weights:
            name = each.name
            while name in self.named or hasattr(LayerModule, name):
                name += "_"
            self.named[name] = each
        owned = {id(each) for each in layer.weights}
        self.seeds = [each for each in layer.variables if id(each) not in owned]
        self.derive: Callable[[], None] | None = getattr(layer, "finalize_state", None) if owned else None


class LayerModule(nn.Module):
    """One layer of Keras: its tensors, as parameters and statistics, and its mode.

    Args:
        layer: computes with these tensors; has no numbers of its own.
        channels_last: whether it wants the channels of maps last; this module has them first.
    """

    def __init__(self, layer: KerasLayer, channels_last: bool) -> None:
        super().__init__()
        self._channels_last = channels_last
        self._borrowed = _Borrowed(layer)
        for name, variable in self._borrowed.named.items():
            tensor = torch.empty(tuple(variable.shape))
            if variable.trainable:
                self.register_parameter(name, nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)

    @property
    def tensors(self) -> list[tuple[Variable, Tensor]]:
        """Each variable of Keras with the tensor that stands for it."""
        return [(variable, getattr(self, name)) for name, variable in self._borrowed.named.items()]

    def forward(self, *inputs: Values, **options: object) -> Values:
        """What the layer gives in this module's mode; statistics follow the batch in training mode only."""
        borrowed = self._borrowed
        if borrowed.has_mode:
            options["training"] = self.training
        drawn = [
            (each, torch.randint(2**31 - 1, each.shape) if self.training else torch.zeros(each.shape))
            for each in borrowed.seeds
        ]
        if self._channels_last:
            inputs = tuple(moved(each, 1, -1) for each in inputs)
        with on_device_of(inputs), stateless([*self.tensors, *drawn]) as current:
            if borrowed.derive is not None:  # Normalization computes with what it once made of its variables
                borrowed.derive()
            output = borrowed.call(*inputs, **options)
            for name, buffer in self.named_buffers(recurse=False) if self.training else ():
                followed = current(borrowed.named[name])
                if followed is not None:
                    buffer.copy_(followed.detach())
        return moved(output, -1, 1) if self._channels_last else output


class KerasNetwork(nn.Module):
    """A model of Keras on pictures [n, channels, height, width] → logits [n, outputs].

    Args:
        graph: the model; its layers become modules of this one, called as in Keras.
        flipped: whether it wants blue first.
    """

    def __init__(self, graph: KerasGraph, flipped: bool = False) -> None:
        super().__init__()
        self._graph, self._flipped = graph, flipped
        for path, layer in graph.layers.items():
            self.add_module(path, LayerModule(layer, graph.channels_last))
            layer.call = partial(graph.call, path)

    @property
    def graph(self) -> KerasGraph:
        """The model that its layers belong to."""
        return self._graph

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits of a batch."""
        if self._flipped:
            pictures = pictures.flip(1)
        if self._graph.channels_last:
            pictures = pictures.permute(0, 2, 3, 1)
        return self._graph.run(dict(self.named_children()), pictures, self.training)


def keras_parts(module: nn.Module) -> PartMap:
    """A part per layer with a kernel, by its full name, and ``head``; ``stem`` holds what stands before.

    A layer without a kernel (a normalisation) belongs to the part of the layer before it.

    Args:
        module: a :class:`KerasNetwork`.

    Returns:
        Every tensor in exactly one part.
    """
    head = narrowed(module, KerasNetwork).graph.head
    found: dict[str, list[str]] = {"stem": []}
    for path, layer in module.named_children():
        tensors = tensors_of(layer)
        if path != head and tensors:
            kernel = any(isinstance(each, nn.Parameter) and each.ndim > 1 for each in tensors.values())
            name = path if kernel else next(reversed(found))
            found.setdefault(name, []).append(path)
    rules = {name: PartRule(tuple(paths), "trunk") for name, paths in found.items()}
    return PartMap.build(module, {**rules, "head": PartRule((head,), "head")})


def build_classifier(
    config: KerasConfig, num_classes: int, seed: int, preprocessing: ImagePreprocessing | None = None
) -> Classifier:
    """A model of Keras without pretrained weights, its head made for ``num_classes``.

    Args:
        config: the architecture.
        num_classes: outputs of the head.
        seed: of the initialisation.
        preprocessing: of the weights that will be copied, or of a bundle; None: the architecture's own.

    Returns:
        The network on the CPU.

    Raises:
        RLTransferError: a library or file is missing, or the model is no classifier that can be built.
    """
    config = config.found()
    with isolated(seed):
        network = _network(config, num_classes)
        _fill(network, lambda variable: variable.value)
    return _classifier(network, preprocessing or default_preprocessing(config, network.graph))


def _classifier(network: KerasNetwork, preprocessing: ImagePreprocessing) -> Classifier:
    graph = network.graph
    return Classifier(
        network, preprocessing, (graph.head,), graph.outputs, keras_parts, held_statistics=HELD_STATISTICS
    )


def _network(config: KerasConfig, outputs: int | None) -> KerasNetwork:
    graph = build_graph(config, outputs)
    order = config.channel_order or ("bgr" if _is_caffe(config) else "rgb")
    numbers = sum(prod(each.shape) for layer in graph.layers.values() for each in layer.weights)
    if numbers > MOST_NUMBERS:
        raise ConfigError(
            f"the model has {numbers:,} weights, more than the {MOST_NUMBERS:,} that could be trained",
            key="model",
        )
    return KerasNetwork(graph, order == "bgr")


def _fill(network: KerasNetwork, value: Callable[[Variable], Tensor | None]) -> list[str]:
    """Write numbers into a network; the paths of the variables that there are none for."""
    missing = []
    with torch.no_grad(), on_device_of(None):
        for layer in network.children():
            for variable, tensor in layer.tensors if isinstance(layer, LayerModule) else ():
                found = None if tensor.is_meta else value(variable)
                if found is not None:
                    tensor.copy_(found)
                elif not tensor.is_meta:
                    missing.append(variable.path)
    return missing


def load_pretrained(config: KerasConfig, weights: WeightsConfig, key: str = "weights") -> Network:
    """A model of Keras with the tensors of a file, whole.

    Args:
        config: the architecture.
        weights: a ``.keras`` file, a whole model in HDF5, or weights alone (``.weights.h5``, older ``.h5``).
        key: config path of them, for errors.

    Returns:
        The network in evaluation mode.

    Raises:
        RLTransferError: the file is absent, has another hash, or does not fit the architecture.
    """
    if weights.file is None or weights.remap:
        raise ConfigError(
            f"weights of Keras are a file; give {key}: {{file: PATH}}. Nothing is downloaded; on a machine "
            "that may, keras.applications.MobileNetV2(weights='imagenet').save('model.keras') writes one",
            key=f"{key}.{'name' if weights.file is None else 'remap'}",
        )
    config = config.found()
    path = resolve_file(weights.file, key)
    if not path.exists():
        raise BundleError(
            f"the weights file {path} does not exist; put it there or correct {key}.file", key=key
        )
    if file_format(path, key) == "json":
        raise BundleError(f"{path} describes an architecture; it holds no weights", key=key)
    sha256 = checked_hash(path, weights, key)
    with isolated(0):
        network = _network(config, None)
        graph = network.graph
        read_file(graph, path, key, partial(_fill, network))
    if weights.classes is not None and (graph.added or len(weights.classes) != graph.outputs):
        there = "the model has no head" if graph.added else f"its head has {graph.outputs} outputs"
        raise ConfigError(
            f"{key}.classes names {len(weights.classes)} classes, but {there}; give one name per output, in "
            "their order, or leave classes out",
            key=f"{key}.classes",
        )
    described: dict[str, Json] = {"file": path.name, "sha256": sha256, "entry": None}
    if graph.added:
        described["head"] = "absent"
    classifier = _classifier(network.eval(), default_preprocessing(config, graph))
    metadata: dict[str, Json] = {"weights": described, "published_accuracy": None}
    return Network(classifier, config, weights.classes, None, metadata, digest_model(network))


def default_preprocessing(config: KerasConfig, graph: KerasGraph) -> ImagePreprocessing:
    """How pictures are prepared for a model of Keras; its file does not say.

    A model that begins with ``Rescaling`` or ``Normalization`` gets 0 … 255, a network of
    ``keras.applications`` what its ``preprocess_input`` gives, any other −1 … 1.

    Args:
        config: the architecture; its ``input`` changes what is said here.
        graph: built from it.

    Returns:
        Pictures of the size that the model wants, without a crop.

    Raises:
        ConfigError: the model takes no such pictures, or any size and none is given.
    """
    channels, height, width = graph.picture
    if channels not in (1, 3) or height != width:
        raise ConfigError(
            f"the model takes pictures of {channels} channel(s), {height}×{width} pixels; expected squares "
            "of 1 or 3 channels",
            key="model",
        )
    size = height or config.input.size
    if size is None:
        raise ConfigError(
            "the model takes pictures of any size; say which it gets as model.input.size",
            key="model.input.size",
        )
    if config.input.size not in (None, size):
        raise ConfigError(
            f"the model takes {size}×{size} pixels, model.input.size says {config.input.size}; leave it out",
            key="model.input.size",
        )
    name = config.application or ""
    if graph.rescales:
        mean, std = (0.0,) * channels, (1 / 255,) * channels
    elif _is_caffe(config):
        mean, std = tuple(each / 255 for each in CAFFE_MEAN), (1 / 255,) * channels
    elif name.startswith("DenseNet"):
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    else:
        mean, std = (0.5,) * channels, (0.5,) * channels
    return ImagePreprocessing(channels, size, size, mean, std).overridden(config.input)


def _is_caffe(config: KerasConfig) -> bool:
    """Whether a network was trained on Caffe's pictures: blue first, 0 to 255, without their mean."""
    name = config.application or ""
    return name.startswith("VGG") or (name.startswith("ResNet") and "V2" not in name)
