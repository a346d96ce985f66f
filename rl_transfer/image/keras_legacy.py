"""What the later Keras 2 (2.6 … 2.15, tf_keras) wrote into architectures, in the words of Keras 3.

Keras 3 reads files of Keras 2 and stumbles over some of its arguments, over ``/`` in names, over calls of
inner models, and over operations of TensorFlow in place of layers (``x + y`` became a ``TFOpLambda``). Only
what computes the same is translated; the rest stays as it is, to be refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from rl_transfer.errors import BundleError
from rl_transfer.spec.base import Json

JsonDict = dict[str, Json]

_NEUTRAL: Mapping[str, Mapping[str, tuple[Json, ...]]] = {
    "DepthwiseConv2D": {"groups": (1,)},
    "SeparableConv2D": {"groups": (1,)},
    "Conv2DTranspose": {"groups": (1,)},
    "SpatialDropout2D": {"noise_shape": (None,)},
}
"""Class → argument that Keras 3 does not take → values of it that change nothing."""
_UNUSED: Mapping[str, tuple[str, ...]] = {
    "SeparableConv2D": ("kernel_initializer", "kernel_regularizer", "kernel_constraint"),
    "SpatialDropout2D": ("trainable",),
}
"""Class → arguments that Keras 2 wrote and never read: the two kernels have their own."""
_MODELS = re.compile(r"(tf_)?keras(\.src)?\.engine\.\w+\.(Functional|Model|Sequential)")
"""Where models are at home in the `.keras` files of Keras 2.12 to 2.15 and of tf_keras."""
_HOMES = {"Functional": "functional", "Model": "functional", "Sequential": "sequential"}
_SMALLEST = 1e-30
"""Numbers beyond it and its inverse are none that 32-bit floats compute with in good faith."""
_INITIALIZERS = "tensorflow.python.ops.init_ops"
_SHAPELESS: Mapping[str, tuple[str, JsonDict]] = {
    "nn.relu": ("ReLU", {}),
    "nn.relu6": ("ReLU", {"max_value": 6.0}),
    "math.sigmoid": ("Activation", {"activation": "sigmoid"}),
    "math.tanh": ("Activation", {"activation": "tanh"}),
}
"""Operation of one tensor → layer that computes it."""
_PAIRS: Mapping[str, tuple[str, Callable[[float], JsonDict]]] = {
    "__operators__.add": ("Add", lambda number: {"scale": 1.0, "offset": number}),
    "math.add": ("Add", lambda number: {"scale": 1.0, "offset": number}),
    "math.subtract": ("Subtract", lambda number: {"scale": 1.0, "offset": -number}),
    "math.multiply": ("Multiply", lambda number: {"scale": number, "offset": 0.0}),
    "math.truediv": ("", lambda number: {"scale": 1.0 / number, "offset": 0.0}),
}
"""Operation of two tensors → layer that computes it; with a number as the second, what a Rescaling takes."""


def translated(architecture: JsonDict) -> JsonDict:
    """An architecture of Keras 2 as Keras 3 builds it; any other as it is.

    Args:
        architecture: from a file; changed in place.

    Raises:
        BundleError: it has a function that Keras 3 computes otherwise.
    """
    if not any(_is_of_keras_2(each) for each in _objects(architecture)):
        return architecture
    _first_calls(architecture)
    names: dict[str, str] = {}
    for each in _objects(architecture):
        kind, config = each.get("class_name"), each.get("config")
        if not isinstance(kind, str) or not isinstance(config, dict):
            continue
        if "hard_sigmoid" in (config.get("activation"), config.get("recurrent_activation")):
            raise BundleError(
                f"{kind} {config.get('name')} has the activation hard_sigmoid, which in Keras 2 is "
                "min(max(x / 5 + 1/2, 0), 1) and in Keras 3 min(max(x / 6 + 1/2, 0), 1); write it as layers: "
                "Rescaling(0.2, 0.5) and ReLU(max_value=1)",
                key="model.file",
            )
        if _MODELS.fullmatch(f"{each.get('module')}.{kind}"):
            each["module"], each["registered_name"] = f"keras.src.models.{_HOMES[kind]}", None
        if kind == "TFOpLambda":
            _as_layer(each, config)
        if "module" in each and kind != "InputLayer":
            config.pop("batch_input_shape", None)
        if str(each.get("module", "")).startswith(_INITIALIZERS):
            each["module"], each["registered_name"] = "keras.initializers", None
        for argument, values in _NEUTRAL.get(kind, {}).items():
            if argument in config and config[argument] in values:
                del config[argument]
        match config.get("axis"):
            case [int(axis)] if kind == "BatchNormalization":
                config["axis"] = axis
        for argument in ("rng_type",) if kind.startswith("Random") else _UNUSED.get(kind, ()):
            config.pop(argument, None)
        for name in (each.get("name"), config.get("name")):
            if isinstance(name, str) and ("/" in name or each.get("class_name") != kind):
                names[name] = ""
    if names:
        _rename(architecture, names)
    return architecture


def _is_of_keras_2(item: JsonDict) -> bool:
    """Whether something in an architecture has a form of Keras 2: shapes of inputs, or calls as lists."""
    match item:
        case {"config": {"batch_input_shape": _}} | {"inbound_nodes": [[*_], *_]}:
            return True
    return False


def _objects(value: Json) -> Iterator[JsonDict]:
    waiting: list[Json] = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _first_calls(architecture: JsonDict) -> None:
    """Count calls of inner models from 0, and take single ends out of their lists.

    Keras 2 began at 1 where a model had an input of its own, which was its call 0.
    """
    for each in _objects(architecture):
        layers = each.get("layers")
        if not isinstance(layers, list):
            continue
        inner = {
            str(layer.get("name")) for layer in layers
            if isinstance(layer, dict) and layer.get("class_name") in ("Functional", "Model", "Sequential")
            and _has_input(layer.get("config"))
        }  # fmt: skip
        for end in ("input_layers", "output_layers"):
            match each.get(end):
                case [[str(), int(), int()] as alone]:
                    each[end] = alone
        ends = [each.get("input_layers"), each.get("output_layers")]
        nodes = [layer.get("inbound_nodes") for layer in layers if isinstance(layer, dict)]
        for reference in _references([ends, nodes]):
            if reference[0] in inner and isinstance(reference[1], int) and reference[1] > 0:
                reference[1] -= 1


def _has_input(config: Json) -> bool:
    """Whether a model begins with an input; a Sequential may get its own at its first call."""
    match config:
        case {"layers": [{"class_name": "InputLayer"}, *_]}:
            return True
    return False


def _references(value: Json) -> Iterator[list[Json]]:
    """Lists that name an output as Keras 2 did: layer, call, tensor, and arguments where it is an input."""
    waiting: list[Json] = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            if len(each) in (3, 4) and isinstance(each[0], str) and isinstance(each[1], int):
                yield each
            waiting += each
        elif isinstance(each, dict) and "class_name" not in each:
            waiting += each.values()


def _as_layer(layer: JsonDict, config: JsonDict) -> None:
    """Make a layer of an operation, where one computes the same."""
    function, name, calls = config.get("function"), config.get("name"), layer.get("inbound_nodes")
    match calls:
        case [[str(before), int(node), int(tensor), dict(given)]] if not before.startswith("_CONSTANT"):
            first: Json = [before, node, tensor, {}]
        case _:
            return
    second = given.get("y")
    extra = {key for key, value in given.items() if value is not None} - {"y"}
    if not isinstance(function, str) or extra:
        return
    if function in _SHAPELESS and second is None:
        kind, arguments = _SHAPELESS[function]
        inputs = [first]
    elif function in _PAIRS and isinstance(second, int | float) and not isinstance(second, bool):
        if not (_SMALLEST < abs(second) < 1 / _SMALLEST or (second == 0 and function != "math.truediv")):
            return
        kind, arguments = "Rescaling", _PAIRS[function][1](float(second))
        inputs = [first]
    elif function in _PAIRS and isinstance(second, list) and len(second) == 3 and _PAIRS[function][0]:
        kind, arguments = _PAIRS[function][0], {}
        inputs = [first, [*second, {}]]
    else:
        return
    layer["class_name"], layer["config"] = kind, {"name": name, **arguments}
    layer["inbound_nodes"] = [inputs]
    if "module" in layer:
        layer["module"], layer["registered_name"] = "keras.layers", None
        layer.pop("build_config", None)


def plain_name(name: str) -> str:
    """A name of a layer without what Keras 3 and torch do not allow in it."""
    return re.sub(r"[/.]+", "_", name)


def _rename(architecture: JsonDict, names: dict[str, str]) -> None:
    """Give layers such names, wherever the architecture refers to them."""
    taken = {str(each.get("name")) for each in _objects(architecture)} - set(names)
    for name in names:
        new = plain_name(name)
        while new in taken:
            new += "_"
        taken.add(new)
        names[name] = new
    waiting: list[Json] = [architecture]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if isinstance(each.get("name"), str):
                each["name"] = names.get(str(each["name"]), each["name"])
            waiting += each.values()
        elif isinstance(each, list):
            if each and isinstance(each[0], str):
                each[0] = names.get(each[0], each[0])
            waiting += each
