"""Models of later Keras 2: read as they compute there, whatever Keras 3 would stumble over."""

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch

from rl_transfer.errors import BundleError, ConfigError
from rl_transfer.image.keras_legacy import translated
from rl_transfer.image.preprocessing import ImagePreprocessing
from support.keras_models import adapted, loaded, pictures

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

Layer = dict[str, Any]


def layer(kind: str, name: str, *inputs: Any, **config: Any) -> Layer:
    """A layer as Keras 2 wrote it, called once on the first outputs of others."""
    calls = [[each if isinstance(each, list) else [each, 0, 0, {}] for each in inputs]] if inputs else []
    return {"class_name": kind, "config": {"name": name, **config}, "name": name, "inbound_nodes": calls}


def ending(before: Any) -> list[Layer]:
    """From maps to three logits."""
    return [layer("GlobalAveragePooling2D", "pool", before), layer("Dense", "answer", "pool", units=3)]


def operation(function: str, name: str, before: str, y: Any = None, number: int = 0, **given: Any) -> Layer:
    """An operation of TensorFlow, as Keras 2 wrote it."""
    calls = [[before, number, 0, {"name": None, **given} if y is None else {"y": y, "name": None, **given}]]
    made = layer("TFOpLambda", name, function=function, trainable=True, dtype="float32")
    return {**made, "inbound_nodes": calls}


def model(name: str, layers: list[Layer], last: str, call: int = 0) -> Layer:
    first = layer("InputLayer", "input", batch_input_shape=[None, 8, 8, 1], dtype="float32")
    ends = {"input_layers": [["input", 0, 0]], "output_layers": [[last, call, 0]]}
    return {"class_name": "Functional", "config": {"name": name, "layers": [first, *layers], **ends}}


def written(path: Path, made: Any, architecture: Layer) -> Path:
    """A file with the numbers of a model and another architecture."""
    made.save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps(architecture)
    return path


def archived(path: Path, made: Any, architecture: Layer) -> Path:
    """A ``.keras`` file as tf_keras writes it: every class says where it is at home there."""
    whole = path.with_name("whole.keras")
    made.save(whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            config = json.dumps(at_home(architecture)).encode()
            target.writestr(name, config if name == "config.json" else source.read(name))
    return path


def at_home(value: Any) -> Any:
    if isinstance(value, list):
        return [at_home(each) for each in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("class_name")
    place = {
        None: None,
        "Functional": "tf_keras.src.engine.functional",
        "TFOpLambda": "tf_keras.src.layers.core.tf_op_layer",
    }.get(kind, "keras.layers")
    home = {} if place is None else {"module": place, "registered_name": kind if "src" in place else None}
    built = {"build_config": {"input_shape": [None, 8, 8, 1]}} if kind == "TFOpLambda" else {}
    return {**{key: at_home(each) for key, each in value.items()}, **home, **built}


def lively(made: Any) -> Any:
    """Its tensors drawn anew, moving statistics too; kernels about 0, lest everything saturates."""
    generator = torch.Generator().manual_seed(3)
    for each in made.weights:
        drawn = torch.rand(tuple(each.shape), generator=generator)
        each.assign(drawn - 0.5 if each.name.endswith("kernel") else drawn + 0.5)
    return made


def agree(path: Path | str, made: Any) -> tuple[str, ...]:
    network = loaded(path)
    images = pictures()
    with torch.no_grad():
        logits = network.module(images)
        expected = made(images.permute(0, 2, 3, 1), training=False)
    assert torch.allclose(logits, expected, atol=1e-5)
    assert expected.std() > 1e-3
    return network.parts.names


def test_layers_with_arguments_that_keras_3_does_not_take(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    inputs = keras.Input((8, 8, 1))
    value = layers.Conv2D(4, 3, name="conv1_conv")(inputs)
    value = layers.BatchNormalization(name="norm")(value)
    value = layers.DepthwiseConv2D(3, name="deep")(value)
    value = layers.SeparableConv2D(5, 1, name="apart")(value)
    value = layers.Conv2DTranspose(3, 2, name="up")(value)
    value = layers.GlobalAveragePooling2D(name="pool")(layers.SpatialDropout2D(0.5, name="drop")(value))
    made = lively(keras.Model(inputs, layers.Dense(3, name="answer")(value)))
    constant = {
        "module": "tensorflow.python.ops.init_ops_v2",
        "class_name": "Constant",
        "config": {"value": 0},
    }
    kernels = {"kernel_initializer": constant, "kernel_regularizer": None, "kernel_constraint": None}
    steps = [
        layer("Conv2D", "conv1/conv", "input", filters=4, kernel_size=3, groups=1, bias_initializer=constant),
        layer("RandomFlip", "flip", "conv1/conv", mode="horizontal", rng_type="stateful", seed=7),
        layer("BatchNormalization", "norm", "flip", axis=[3]),
        layer("DepthwiseConv2D", "deep", "norm", kernel_size=3, groups=1),
        layer("SeparableConv2D", "apart", "deep", filters=5, kernel_size=1, groups=1, **kernels),
        layer("Conv2DTranspose", "up", "apart", filters=3, kernel_size=2, groups=1),
        layer("SpatialDropout2D", "drop", "up", rate=0.5, noise_shape=None, seed=None, trainable=True),
        *ending("drop"),
    ]
    parts = agree(written(tmp_path / "two.h5", made, model("two", steps, "answer")), made)
    assert parts == ("stem", "conv1_conv", "deep", "apart", "up", "head")
    for each in steps[3:6]:
        grouped = {**each, "config": {**each["config"], "groups": 2}}
        changed = [grouped if each is step else step for step in steps]
        with pytest.raises(ConfigError, match=rf"{each['class_name']}: .*groups"):
            loaded(written(tmp_path / "grouped.h5", made, model("two", changed, "answer")))


def test_operations_of_tensorflow_that_a_layer_computes(keras: Any, tmp_path: Path) -> None:
    layers, ops = keras.layers, keras.ops
    inputs = keras.Input((8, 8, 1))
    first = layers.Conv2D(4, 3, name="first")(inputs * 2.0 - 1.0)
    second = layers.Conv2D(4, 3, name="second")(first / 4.0)
    third = layers.Conv2D(4, 1, padding="same", name="third")(
        ops.relu(first - 1.0) * ops.relu6(first * 20.0) + ops.sigmoid(first) - ops.tanh(first)
    )
    pooled = layers.GlobalAveragePooling2D()
    made = lively(keras.Model(inputs, layers.Dense(3, name="answer")(pooled(second) + pooled(third))))
    steps = [
        operation("math.multiply", "tf.math.multiply", "input", 2.0),
        operation("math.subtract", "tf.math.subtract", "tf.math.multiply", 1),
        layer("Conv2D", "first", "tf.math.subtract", filters=4, kernel_size=3),
        operation("math.truediv", "tf.math.truediv", "first", 4.0),
        layer("Conv2D", "second", "tf.math.truediv", filters=4, kernel_size=3),
        operation("__operators__.add", "tf.__operators__.add", "first", -1.0),
        operation("nn.relu", "tf.nn.relu", "tf.__operators__.add"),
        operation("math.multiply", "tf.math.multiply_2", "first", 20),
        operation("nn.relu6", "tf.nn.relu6", "tf.math.multiply_2"),
        operation("math.multiply", "tf.math.multiply_1", "tf.nn.relu", ["tf.nn.relu6", 0, 0]),
        operation("math.sigmoid", "tf.math.sigmoid", "first"),
        operation("math.add", "tf.math.add", "tf.math.multiply_1", ["tf.math.sigmoid", 0, 0]),
        operation("math.tanh", "tf.math.tanh", "first"),
        operation("math.subtract", "tf.math.subtract_1", "tf.math.add", ["tf.math.tanh", 0, 0]),
        layer("Conv2D", "third", "tf.math.subtract_1", filters=4, kernel_size=1, padding="same"),
        layer("GlobalAveragePooling2D", "pool", "second"),
        layer("GlobalAveragePooling2D", "pool_1", "third"),
        operation("__operators__.add", "tf.__operators__.add_1", "pool", ["pool_1", 0, 0]),
        layer("Dense", "answer", "tf.__operators__.add_1", units=3),
    ]
    assert "third" in agree(written(tmp_path / "two.h5", made, model("two", steps, "answer")), made)
    assert "third" in agree(archived(tmp_path / "two.keras", made, model("two", steps, "answer")), made)


@pytest.mark.parametrize(
    "wrong",
    [
        operation("math.reduce_mean", "odd", "input", axis=[1]),
        operation("math.subtract", "odd", "_CONSTANT_VALUE", ["input", 0, 0], number=-1),
        operation("math.truediv", "odd", "input", 0),
        operation("math.truediv", "odd", "input", 1e-320),
        operation("math.multiply", "odd", "input", 10**400),
        operation("math.truediv", "odd", "input", ["input", 0, 0]),
        operation("nn.relu", "odd", "input", alpha=0.2),
        operation("math.multiply", "odd", "input", True),
        operation("math.multiply", "odd", "input", ["input"]),
        {**operation("nn.relu", "odd", "input"), "inbound_nodes": [["input", 0]]},
        {**operation("nn.relu", "odd", "input"), "inbound_nodes": "input"},
    ],
)
def test_other_operations_are_refused_by_name(wrong: Layer, files: Path, tmp_path: Path) -> None:
    path = tmp_path / "two.json"
    path.write_text(json.dumps(model("two", [wrong], "odd")), encoding="utf-8")
    function = wrong["config"]["function"]
    with pytest.raises(BundleError, match=rf"TensorFlow's operation {function} in place of a layer"):
        loaded(f"{path}:{files / 'tiny.h5'}")


@pytest.mark.parametrize("frozen", [(), ("first",), ("first", "norm", "norm_0", "second", "norm_1")])
def test_models_inside_models_and_the_order_of_their_tensors(
    frozen: tuple[str, ...], keras: Any, tmp_path: Path
) -> None:
    """An inner model's tensors are filed in another order once layers of it are frozen."""
    layers = keras.layers
    inputs = keras.Input((8, 8, 1))
    value = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 1, name="first")(inputs))
    value = layers.Conv2D(4, 1, name="second")(layers.BatchNormalization(name="norm_0")(value))
    base = keras.Model(inputs, layers.BatchNormalization(name="norm_1")(value), name="base")
    outer = keras.Input((8, 8, 1))
    both = layers.Add(name="both")([base(outer), base(outer)])
    made = keras.Model(outer, layers.Dense(3, name="answer")(layers.GlobalAveragePooling2D()(both)))
    for each in base.layers:
        each.trainable = each.name not in frozen
    lively(made)
    inner = [
        layer("Conv2D", "first", "input", filters=4, kernel_size=1),
        layer("BatchNormalization", "norm", "first", axis=[3]),
        layer("BatchNormalization", "norm_0", "norm", axis=[3]),
        layer("Conv2D", "second", "norm_0", filters=4, kernel_size=1),
        layer("BatchNormalization", "norm_1", "second", axis=[3]),
    ]
    for each in inner:
        each["config"]["trainable"] = each["name"] not in frozen
    calls = [[["input", 0, 0, {}]], [["input", 0, 0, {}]]]
    steps = [
        {**model("base", inner, "norm_1"), "name": "base", "inbound_nodes": calls},
        layer("Add", "both", ["base", 1, 0, {}], ["base", 2, 0, {}]),
        *ending("both"),
    ]
    path = written(tmp_path / "two.h5", made, model("two", steps, "answer"))
    agree(path, made)
    agree(archived(tmp_path / "two.keras", made, model("two", steps, "answer")), made)
    made.save(tmp_path / "three.h5")
    agree(tmp_path / "three.h5", made)
    for each in inner:
        del each["config"]["trainable"]
    unknown = written(tmp_path / "unknown.h5", made, model("two", steps, "answer"))
    if frozen == ("first",):
        with pytest.raises(BundleError, match="its tensors come in an order"):
            loaded(unknown)
    else:
        agree(unknown, made)


def shared(keras: Any) -> Any:
    """A model of Keras 3 with an inner model that ends with the second call of one inside it."""
    layers = keras.layers
    inputs, ends, outer = keras.Input((8, 8, 4)), keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
    block = keras.Model(inputs, layers.Conv2D(4, 3, padding="same", activation="tanh")(inputs), name="block")
    trunk = keras.Model(ends, block(block(layers.Conv2D(4, 1)(ends))), name="trunk")
    pooled = layers.GlobalAveragePooling2D()(trunk(outer))
    return lively(keras.Model(outer, layers.Dense(3, name="answer")(pooled)))


def test_a_sequential_model_without_an_input_counts_its_calls_from_0(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    outer = keras.Input((8, 8, 1))
    block = keras.Sequential(
        [layers.Conv2D(4, 3, padding="same", activation="tanh", name="twice")], name="block"
    )
    value = block(block(layers.Conv2D(4, 1, name="first")(outer)))
    made = lively(keras.Model(outer, layers.Dense(3, name="answer")(layers.GlobalAveragePooling2D()(value))))
    config = {"filters": 4, "kernel_size": 3, "padding": "same", "activation": "tanh"}
    inner = {"class_name": "Conv2D", "config": {"name": "twice", **config}}
    calls = [[["first", 0, 0, {}]], [["block", 0, 0, {}]]]
    steps = [
        layer("Conv2D", "first", "input", filters=4, kernel_size=1),
        {"class_name": "Sequential", "config": {"name": "block", "layers": [inner]}, "name": "block",
         "inbound_nodes": calls},
        *ending(["block", 1, 0, {}]),
    ]  # fmt: skip
    agree(written(tmp_path / "two.h5", made, model("two", steps, "answer")), made)


def test_what_keras_3_wrote_is_left_alone(keras: Any, model: Any, tmp_path: Path) -> None:
    for made in (model, shared(keras)):
        architecture = json.loads(made.to_json())
        assert translated(json.loads(made.to_json())) == architecture
    for ending in ("keras", "h5"):
        made.save(tmp_path / f"shared.{ending}")
        agree(tmp_path / f"shared.{ending}", made)


@pytest.mark.parametrize("name", ["a", "stage/a", "other"])
def test_names_bear_out_the_order_of_weights_alone_or_they_are_refused(
    name: str, keras: Any, tmp_path: Path
) -> None:
    layers = keras.layers
    inputs, outer = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
    first = layers.Conv2D(4, 1, name="a", use_bias=False)
    middle = layers.Conv2D(4, 1, name="c", use_bias=False)(first(inputs))
    base = keras.Model(inputs, layers.Conv2D(4, 1, name="b", use_bias=False)(middle), name="base")
    made = lively(
        keras.Model(outer, layers.Dense(3, name="answer")(layers.GlobalAveragePooling2D()(base(outer))))
    )
    base.get_layer("c").trainable = False
    made.save(tmp_path / "weights.h5")
    with h5py.File(tmp_path / "weights.h5", "r+") as file:
        del file.attrs["model_config"]
        group = file["model_weights/base"]
        assert [each.rpartition("/")[0] for each in group.attrs["weight_names"]] == ["a", "b", "c"]
        if name != "a":
            group.move("a", name)
            group.attrs["weight_names"] = [f"{name}/kernel", "b/kernel", "c/kernel"]
    inner = [
        layer("Conv2D", "a" if name == "other" else name, "input", filters=4, kernel_size=1, use_bias=False),
        layer("Conv2D", "c", "a" if name == "other" else name, filters=4, kernel_size=1, use_bias=False),
        layer("Conv2D", "b", "c", filters=4, kernel_size=1, use_bias=False),
    ]
    steps = [
        {**model("base", inner, "b"), "name": "base", "inbound_nodes": [[["input", 0, 0, {}]]]},
        *ending(["base", 1, 0, {}]),
    ]
    for flag in (True, False):
        inner[1]["config"]["trainable"] = flag
        (tmp_path / "two.json").write_text(json.dumps(model("two", steps, "answer")), encoding="utf-8")
        address = f"{tmp_path / 'two.json'}:{tmp_path / 'weights.h5'}"
        if flag or name == "other":
            with pytest.raises(BundleError, match="its tensors come in an order"):
                loaded(address)
        else:
            agree(address, made)


def test_layers_of_an_archive_in_another_order_are_refused(keras: Any, tmp_path: Path) -> None:
    """The archive numbers its convolutions; tensors of one shape would change places."""
    layers = keras.layers
    inputs = keras.Input((8, 8, 1))
    branches = [layers.Conv2D(4, 3, name=name)(inputs) for name in ("a", "b")]
    pooled = layers.GlobalAveragePooling2D(name="pool")(layers.Subtract(name="both")(branches))
    made = lively(keras.Model(inputs, layers.Dense(3, name="answer")(pooled)))
    steps = [
        *(layer("Conv2D", name, "input", filters=4, kernel_size=3) for name in ("a", "b")),
        layer("Subtract", "both", "a", ["b", 0, 0, {}]),
        *ending("both"),
    ]
    agree(archived(tmp_path / "two.keras", made, model("two", steps, "answer")), made)
    steps[:2] = steps[1::-1]
    swapped = archived(tmp_path / "swapped.keras", made, model("two", steps, "answer"))
    with pytest.raises(BundleError, match="its layers come in another order than the model's"):
        loaded(swapped)


def test_layers_of_an_older_file_in_another_order_are_refused(keras: Any, tmp_path: Path) -> None:
    """Keras reads such a file by place; tensors of one shape would change places."""
    layers = keras.layers
    inputs = keras.Input((8, 8, 1))
    branches = [layers.Conv2D(4, 3, name=name)(inputs) for name in ("a", "b")]
    pooled = layers.GlobalAveragePooling2D(name="pool")(layers.Subtract(name="both")(branches))
    made = lively(keras.Model(inputs, layers.Dense(3, name="answer")(pooled)))
    path = tmp_path / "two.h5"
    made.save(path)
    agree(path, made)
    with h5py.File(path, "r+") as file:
        names = [*file["model_weights"].attrs["layer_names"]]
        places = [names.index(name) for name in ("a", "b")]
        names[places[0]], names[places[1]] = "b", "a"
        file["model_weights"].attrs["layer_names"] = names
    with pytest.raises(BundleError, match="its layers come in another order than the model's"):
        loaded(path)
    with h5py.File(path, "r+") as file:  # names of another session say nothing of the order
        group = file["model_weights"]
        for old, new in (("a", "c_1"), ("b", "c_2")):
            group.move(old, new)
        group.attrs["layer_names"] = [{"b": "c_1", "a": "c_2"}.get(name, name) for name in names]
    agree(path, made)


def test_statistics_that_an_archive_adapted_to_its_data_are_computed_with(keras: Any, tmp_path: Path) -> None:
    _, made = adapted(keras, tmp_path)
    shapeless = {"axis": [-1], "mean": None, "variance": None, "batch_input_shape": [None] * 4}
    steps = [
        layer("Normalization", "normalization", "input", **shapeless),
        layer("Conv2D", "first", "normalization", filters=4, kernel_size=3),
        *ending("first"),
    ]
    images = pictures() * 50 + 100
    with torch.no_grad():
        logits = loaded(archived(tmp_path / "two.keras", made, model("two", steps, "answer"))).module(images)
        assert torch.allclose(logits, made(images.permute(0, 2, 3, 1), training=False), atol=1e-5)


@pytest.mark.parametrize("key", ["activation", "recurrent_activation"])
def test_a_function_that_is_another_one_in_keras_3_is_refused(key: str, files: Path, tmp_path: Path) -> None:
    path = tmp_path / "two.json"
    steps = [layer("Conv2D", "first", "input", filters=4, kernel_size=3, **{key: "hard_sigmoid"})]
    path.write_text(json.dumps(model("two", steps, "first")), encoding="utf-8")
    with pytest.raises(
        BundleError, match=r"Conv2D first has the activation hard_sigmoid.*Rescaling\(0\.2, 0\.5\)"
    ):
        loaded(f"{path}:{files / 'tiny.h5'}")


def test_odd_names_and_calls_are_refused_in_a_sentence(files: Path, tmp_path: Path) -> None:
    steps = [layer("Conv2D", "first", "input", filters=4, kernel_size=3)]
    odd = [{**model("base", steps, "first"), "name": ["x"], "inbound_nodes": [[["input", 0, 0, {}]]]}]
    odd.append({**layer("Conv2D", "again", "first"), "name": 5, "inbound_nodes": [[[{}, 1, 2]], 3, None]})
    path = tmp_path / "two.json"
    for wrong in odd:
        path.write_text(json.dumps(model("two", [wrong], "first")), encoding="utf-8")
        with pytest.raises((BundleError, ConfigError)):
            loaded(f"{path}:{files / 'tiny.h5'}")


def test_a_rescaling_behind_the_first_convolution_says_nothing_about_pictures(
    keras: Any, tmp_path: Path
) -> None:
    layers = keras.layers
    for place, scale in ((0, 1 / 255), (1, 0.5)):
        steps = [layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(3)]
        steps.insert(place, layers.Rescaling(0.5))
        path = tmp_path / f"{place}.keras"
        keras.Sequential([keras.Input((8, 8, 1)), *steps]).save(path)
        preprocessing = loaded(path).classifier.preprocessing
        assert isinstance(preprocessing, ImagePreprocessing)
        assert preprocessing.std == (scale,)
