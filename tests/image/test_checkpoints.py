"""Checkpoints as people have them: without a head, under a prefix, beside other things, with class names."""

import argparse
import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.models import get_model

from rl_transfer.errors import BundleError, ConfigError, TransferError
from rl_transfer.image.checkpoints import without_prefix
from rl_transfer.image.heads import Head
from rl_transfer.image.resnet import SmallResNet
from rl_transfer.image.room import ROOM
from rl_transfer.image.weight_files import _digits_in
from rl_transfer.image.weights import load_pretrained
from rl_transfer.results import RunFolder, run_id
from rl_transfer.spec.image import ImageSuite, ImageTrainConfig
from rl_transfer.spec.image_model import SmallResNetConfig, TorchvisionConfig, WeightsConfig
from support.image import SMALL, make_run, save_arrays
from support.untyped import untyped

RESNET = TorchvisionConfig(name="torchvision", architecture="resnet18")
CONFIG = SmallResNetConfig.model_validate(SMALL)
State = dict[str, Tensor]


def network(classes: int = 3) -> nn.Module:
    torch.manual_seed(7)
    return SmallResNet(classes, 4, (1, 1))


def trunk_of(module: nn.Module, head: str) -> State:
    return {name: value for name, value in module.state_dict().items() if not name.startswith(head)}


def under(prefix: str, state: Mapping[str, Tensor]) -> State:
    return {prefix + name: value for name, value in state.items()}


def save(path: Path, content: object) -> WeightsConfig:
    torch.save(content, path)
    return WeightsConfig(file=str(path))


def moco(trunk: State) -> object:
    """As MoCo v2 saves it: two encoders with a projection in the head's place, and a queue."""
    projection = {"fc.0.weight": torch.ones(4, 4), "fc.2.weight": torch.ones(2, 4)}
    other = {name: torch.zeros_like(value) for name, value in trunk.items()}
    state = {**under("module.encoder_k.", other), **under("module.encoder_q.", {**trunk, **projection})}
    return {"epoch": 200, "arch": "resnet18", "state_dict": {**state, "module.queue": torch.zeros(2, 3)}}


def dino(trunk: State) -> object:
    """As DINO saves it: student and teacher, a projection head beside the backbone, the arguments."""
    head = {"head.mlp.0.weight": torch.ones(3, 4)}
    zeros = {name: torch.zeros_like(value) for name, value in trunk.items()}
    student = under("module.backbone.", zeros) | under("module.", head)
    return {
        "student": student,
        "teacher": under("backbone.", trunk) | head,
        "args": argparse.Namespace(lr=1.0),
    }


CASES: dict[str, Callable[[State], object]] = {
    "bare trunk": dict,
    "backbone": lambda trunk: under("backbone.", trunk),
    "data parallel": lambda trunk: {"state_dict": under("module.backbone.", trunk)},
    "lightning": lambda trunk: {"state_dict": under("model.", trunk), "hyper_parameters": {"rate": 0.1}},
    "moco": moco,
    "dino": dino,
}


@pytest.mark.parametrize("name", CASES)
def test_a_trunk_is_loaded_whatever_it_was_wrapped_into(tmp_path: Path, name: str) -> None:
    trunk = trunk_of(get_model("resnet18"), "fc.")
    found = load_pretrained(RESNET, save(tmp_path / "file.pth", CASES[name](trunk)))
    state = found.module.state_dict()
    assert all(torch.equal(state[each], value) for each, value in trunk.items())
    assert found.description["head"] == "absent"
    assert found.classes is None
    assert found.head.paths == ("fc",)


@given(prefix=st.lists(st.sampled_from(["module", "backbone", "net", "encoder", "0"]), max_size=3))
@settings(max_examples=20, deadline=None)
def test_any_prefix_comes_off(prefix: list[str]) -> None:
    module = network()
    start = "".join(f"{each}." for each in prefix)
    found = without_prefix(module, Head(("head",), 3, True), under(start, module.state_dict()), "weights")
    assert found.prefix == start
    assert found.state.keys() == module.state_dict().keys()


def test_a_prefix_before_a_whole_network_keeps_its_head(tmp_path: Path) -> None:
    model = network()
    found = load_pretrained(CONFIG, save(tmp_path / "file.pth", under("backbone.", model.state_dict())))
    assert all(torch.equal(found.module.state_dict()[n], v) for n, v in model.state_dict().items())
    assert found.description["prefix"] == "backbone."
    assert "head" not in found.description


def test_two_networks_in_a_file_are_not_guessed_at(tmp_path: Path) -> None:
    state = network().state_dict()
    weights = save(tmp_path / "file.pth", under("left.", state) | under("right.", state))
    with pytest.raises(BundleError, match=r"holds 2 such networks, under left\., right\."):
        load_pretrained(CONFIG, weights)


@pytest.mark.parametrize("missing", ["stages.0.0.conv1.weight", "head.bias"])
def test_half_a_trunk_or_half_a_head_is_refused(tmp_path: Path, missing: str) -> None:
    state = {name: value for name, value in network().state_dict().items() if name != missing}
    with pytest.raises(BundleError, match="does not fit SmallResNet"):
        load_pretrained(CONFIG, save(tmp_path / "file.pth", state))


@pytest.fixture
def headless(tmp_path: Path) -> str:
    """A file with a trunk alone."""
    return str(save(tmp_path / "trunk.pth", trunk_of(network(), "head.")).file)


def execute(tmp_path: Path, **fields: Any) -> RunFolder:
    names = fields.pop("names", ("a", "b", "c"))
    run = make_run(save_arrays(tmp_path / "data.npz", names), **fields)
    folder = RunFolder(tmp_path / run_id(run))
    ROOM.execute(run, folder, None, say=lambda _: None)
    return folder


def test_a_trunk_alone_serves_where_the_head_is_replaced_anyway(tmp_path: Path, headless: str) -> None:
    strategy = {"copy": ["trunk"], "freeze": ["trunk"]}
    record = execute(tmp_path, weights={"file": headless}, strategy=strategy).record()
    assert {row["action"] for row in record["plan"] if row["part"] == "head"} == {"reset"}
    assert record["zero_shot"] is None


def test_a_head_that_is_absent_is_neither_copied_nor_asked(tmp_path: Path, headless: str) -> None:
    with pytest.raises(TransferError, match="copies the head, but"):
        execute(tmp_path, weights={"file": headless}, strategy={"copy": ["all"]})
    teacher = {"copy": ["trunk"], "kickstart": {}}
    # The network has two outputs before the data say how many; so have these data.
    assert load_pretrained(CONFIG, WeightsConfig(file=headless)).head.outputs == 2
    with pytest.raises(TransferError, match="the source's weights have no head"):
        execute(tmp_path, weights={"file": headless}, strategy=teacher, names=("a", "b"))


def test_class_names_come_from_the_config_or_the_file(tmp_path: Path) -> None:
    state = network().state_dict()
    path = tmp_path / "file.pth"
    for beside in ({"classes": ["a", "b", "c"]}, {"class_to_idx": {"c": 2, "a": 0, "b": 1}}):
        weights = save(path, {"state_dict": state, **beside})
        assert load_pretrained(CONFIG, weights).classes == ("a", "b", "c")
    named = WeightsConfig(file=str(path), classes=("x", "y", "z"))
    assert load_pretrained(CONFIG, named).classes == ("x", "y", "z")
    for wrong in (("a", "b"), ()):
        with pytest.raises(ConfigError, match=rf"names {len(wrong)} classes, but the file's head has 3"):
            load_pretrained(CONFIG, WeightsConfig(file=str(path), classes=wrong))
    save(path, {"state_dict": state, "classes": ["a", "b"]})  # of something else
    assert load_pretrained(CONFIG, WeightsConfig(file=str(path))).classes is None


def test_named_classes_let_a_head_be_measured_and_kept(tmp_path: Path) -> None:
    path = save(tmp_path / "file.pth", network().state_dict()).file
    weights = {"file": path, "classes": ["a", "b", "c"]}
    record = execute(tmp_path, weights=weights, strategy={"copy": ["all"]}).record()
    assert {row["action"] for row in record["plan"]} == {"copied"}
    assert record["zero_shot"] is not None


def test_classes_leave_no_trace_where_none_are_named() -> None:
    assert "classes" not in WeightsConfig(name="DEFAULT").plain()
    named = WeightsConfig(name="DEFAULT", classes=("a", "b"))
    assert WeightsConfig.model_validate(named.plain()) == named


@pytest.mark.parametrize(
    ("name", "digits"),
    [
        ("resnet18-f37072fd.pth", "f37072fd"),
        ("efficientnet-lite0-57934424.pth", "57934424"),
        ("best-20240131.pth", None),
        ("best-31012024.pt", None),
        ("best-01312024.pt", None),
        ("best-20240131120000.pth", None),
        ("best-1706700000.pth", None),
        ("best-20241331.pth", "20241331"),
        ("model.safetensors", None),
    ],
)
def test_a_date_in_a_file_name_is_no_hash(name: str, digits: str | None) -> None:
    assert _digits_in(name) == digits


def test_a_file_with_a_date_in_its_name_is_loaded(tmp_path: Path) -> None:
    weights = save(tmp_path / "best-20240131.pth", network().state_dict())
    assert load_pretrained(CONFIG, weights).head.outputs == 3


SUITE: dict[str, Any] = {
    "name": "x",
    "model": "small-resnet",
    "sources": {"a": {"data": "photos"}},
    "targets": {"b": {"data": "photos"}},
}


@pytest.mark.parametrize(
    ("strategy", "norm"),
    [
        ({"name": "random-frozen", "freeze": ["trunk"]}, "adapt"),
        ({"name": "random-frozen", "freeze": ["trunk"], "norm": "frozen"}, "frozen"),
        ({"name": "frozen", "copy": ["trunk"], "freeze": ["trunk"]}, "frozen"),
        ({"name": "scratch-like"}, "frozen"),
    ],
)
def test_a_frozen_network_that_nobody_trained_takes_its_statistics_from_the_data(
    strategy: dict[str, Any], norm: str
) -> None:
    suite = ImageSuite.model_validate({**SUITE, "strategies": [{"name": "scratch"}, strategy]})
    run: Any = suite.target_run("b", suite.strategies[1], "a", "id", 0)
    assert run.strategy.norm == suite.plain()["strategies"][1]["norm"] == norm
    if "copy" not in strategy:
        single = ImageTrainConfig.model_validate({"model": "small-resnet", "data": "x", "strategy": strategy})
        assert untyped(single.run().strategy).norm == norm


def doubled(times: int) -> object:
    """What takes for ever to print."""
    return (doubled(times - 1),) * 2 if times else ()


@pytest.mark.parametrize(
    "numbers", [[0, 1, 1], [0, 1, 10**5000], [0, 1, True], [0, 1, "2"], [0, 1, doubled(60)]]
)
def test_indices_of_classes_that_are_none_name_no_classes(tmp_path, numbers):
    named = dict(zip("abc", numbers, strict=True))
    found = save(tmp_path / "w.pth", {"state_dict": network().state_dict(), "class_to_idx": named})
    if 10**5000 in numbers:
        with pytest.raises(BundleError, match="neither a tensor nor plain data"):
            load_pretrained(CONFIG, found)
    else:
        assert load_pretrained(CONFIG, found).classes is None


def sparse_file(path: Path, size: int) -> WeightsConfig:
    """A state dict of one tensor that takes no place on disk."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(header)) + header)
        stream.truncate(8 + len(header) + size)
    return WeightsConfig(file=str(path))


def test_a_file_far_larger_than_its_network_is_refused_unhashed(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "rl_transfer.image.weight_files.file_digest", lambda path: pytest.fail("it was hashed")
    )
    with pytest.raises(BundleError, match=r"w\.safetensors has 7,168 MiB, and ResNet 45 MiB of weights"):
        load_pretrained(RESNET, sparse_file(tmp_path / "w.safetensors", 7 * 2**30))
    with pytest.raises(BundleError, match="larger than 8 GiB"):
        load_pretrained(RESNET, sparse_file(tmp_path / "v.safetensors", 40 * 2**30))


@pytest.mark.parametrize("wrapped", ["an optimizer", "a teacher"])
def test_a_checkpoint_may_hold_more_than_the_network(tmp_path, wrapped, monkeypatch):
    monkeypatch.setattr("rl_transfer.image.weights.SPARE_BYTES", 2**16)
    module = network()
    optimizer = torch.optim.Adam(module.parameters())
    torch.stack([each.sum() for each in module.parameters()]).sum().backward()
    optimizer.step()
    whole = {"state_dict": module.state_dict(), "epoch": 3, "best": {0.5, 1.0}, "rates": (1, (2, 3))}
    extra = (
        {"optimizer": optimizer.state_dict()} if wrapped == "an optimizer" else {"ema": module.state_dict()}
    )
    loaded = load_pretrained(CONFIG, save(tmp_path / "w.pth", {**whole, **extra}))
    assert loaded.module.state_dict().keys() == module.state_dict().keys()
