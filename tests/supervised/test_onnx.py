"""Classifiers as ONNX graphs: the same logits of raw inputs, or nothing is written."""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from rl_transfer.errors import BundleError
from rl_transfer.image.room import IMAGES
from rl_transfer.spec.base import Json
from rl_transfer.supervised import onnx_graph
from rl_transfer.supervised.bundle import load_network, save_network
from rl_transfer.supervised.kind import DataKind
from rl_transfer.supervised.onnx_graph import export_onnx
from rl_transfer.text.room import TEXTS
from support.cli import calling
from support.image import save_arrays
from support.texts import WORDS, save_encoder
from support.untyped import untyped

SMALL = {"name": "small-resnet", "channels": 3, "width": 4, "blocks": [1], "input": {"size": 8}}
NAMES = ["Käfer", "two", "three"]


def saved(kind: DataKind, folder: Path, model: Any, data: Json = None) -> Path:
    """The bundle of a network that nobody trained."""
    given = {"kind": kind.name, "model": model, "data": data}
    config = untyped(kind.run_type.model_validate_json(json.dumps(given)).model)
    config = config.found() if hasattr(config, "found") else config
    classifier = kind.build_classifier(config, len(NAMES), seed=1)
    names = [*NAMES]
    save_network(
        kind, folder, dict(classifier.module.state_dict()), classifier, config,
        {"classes": untyped(names), "data": data},
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(IMAGES, tmp_path_factory.mktemp("small") / "bundle", SMALL)


@pytest.fixture(scope="module")
def graph(small: Path) -> Path:
    agreed = export_onnx(IMAGES, small, small.parent / "small.onnx")
    assert str(agreed).startswith("it gives the classifier's logits on 64 images (drawn at random), ")
    return small.parent / "small.onnx"


def session_of(path: Path) -> tuple[Any, dict[str, Any]]:
    session = onnxruntime.InferenceSession(path)
    return session, session.get_modelmeta().custom_metadata_map


def same(kind: DataKind, bundle: Path, path: Path, items: Sequence[Any], raw: np.ndarray[Any, Any]) -> None:
    network, (session, _) = load_network(kind, bundle), session_of(path)
    with torch.no_grad():
        wanted = network.module(torch.stack([*map(network.classifier.preprocessing, items)])).numpy()
    (found,) = session.run(["logits"], {session.get_inputs()[0].name: raw})
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert len(np.unique(wanted.round(3), axis=0)) == len(items), "the logits differ at all"


def test_the_graph_takes_pixels_and_tells_classes_and_preprocessing(small: Path, graph: Path) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (5, 20, 14, 3), dtype=np.uint8)
    pictures = [Image.fromarray(each) for each in pixels]
    ready = [each.resize((8, 11), Image.Resampling.BILINEAR).crop((0, 2, 8, 10)) for each in pictures]
    same(IMAGES, small, graph, pictures, np.stack([np.asarray(each) for each in ready]))
    _, told = session_of(graph)
    assert json.loads(told["rl_transfer.classes"]) == NAMES
    assert json.loads(told["rl_transfer.preprocessing"])["mean"] == [0.5, 0.5, 0.5]
    assert told["rl_transfer.input"].startswith("`image` is uint8 [n, 8, 8, 3]: RGB pictures, by Pillow")
    assert told["rl_transfer.digest"] == load_network(IMAGES, small).digest
    assert b".py" not in graph.read_bytes(), "the exporter's stack traces tell of this machine"


def test_texts_are_token_ids_and_their_tokenizer_is_in_the_file(tmp_path: Path) -> None:
    encoder = save_encoder(tmp_path / "encoder", num_hidden_layers=1)
    model = {"name": "transformer", "encoder": str(encoder), "input": {"max_tokens": 12}}
    bundle = saved(TEXTS, tmp_path / "bundle", model)
    agreed = export_onnx(TEXTS, bundle, tmp_path / "text.onnx")
    assert agreed.count == 64
    _, told = session_of(tmp_path / "text.onnx")
    from tokenizers import Tokenizer

    prepared = json.loads(told["rl_transfer.preprocessing"])
    tokenizer = Tokenizer.from_str(prepared["tokenizer"])
    words = [word for word in WORDS if word.isalpha()]
    texts = [" ".join(words[:length]) for length in (1, 4, 30)]
    raw = np.full((3, 12), prepared["pad"], dtype=np.int32)
    for row, text in zip(raw, texts, strict=True):
        ids = tokenizer.encode(text).ids[:12]
        row[: len(ids)] = ids
    same(TEXTS, bundle, tmp_path / "text.onnx", texts[:2], raw[:2])


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
@pytest.mark.skipif(not (find_spec("keras") and find_spec("h5py")), reason="the extra keras is not installed")
def test_a_model_of_keras_is_written_too(tmp_path: Path) -> None:
    from rl_transfer.image.keras_library import library
    from support.keras_models import tiny

    tiny(library()).save(tmp_path / "tiny.keras")
    bundle = saved(IMAGES, tmp_path / "bundle", {"name": "keras", "file": str(tmp_path / "tiny.keras")})
    preprocessing = load_network(IMAGES, bundle).classifier.preprocessing
    export_onnx(IMAGES, bundle, tmp_path / "keras.onnx")
    channels, size, _ = preprocessing.input_shape
    raw = np.random.default_rng(5).integers(0, 256, (3, size, size, channels), dtype=np.uint8)
    same(IMAGES, bundle, tmp_path / "keras.onnx", [Image.fromarray(each.squeeze()) for each in raw], raw)


def faked(monkeypatch: pytest.MonkeyPatch, bundle: Path, error: float) -> None:
    """A graph that gives what the classifier gives, but for one logit."""
    network = load_network(IMAGES, bundle)

    def found(_: bytes, inputs: dict[str, Any], __: str) -> Any:
        logits = onnx_graph._logits(network, [Image.fromarray(each) for each in inputs["image"]])
        logits[7, 0] += error
        return logits

    monkeypatch.setattr(onnx_graph, "_graph_bytes", lambda *_: b"a graph")
    monkeypatch.setattr(onnx_graph, "run_graph", found)


def test_items_of_its_own_test_part_are_compared_where_they_are_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data: Json = {"name": "arrays", "path": str(save_arrays(tmp_path / "stripes.npz")), "test": 0.2}
    bundle = saved(IMAGES, tmp_path / "bundle", SMALL, data)
    faked(monkeypatch, bundle, 0.0)
    agreed = export_onnx(IMAGES, bundle, tmp_path / "with.onnx")
    assert (agreed.count, agreed.of_test) == (64 + 12, 12)
    assert str(agreed) == "it gives the classifier's logits on 76 images (12 of its test part), exactly"
    (tmp_path / "stripes.npz").unlink()
    assert export_onnx(IMAGES, bundle, tmp_path / "without.onnx").of_test == 0


def test_a_graph_that_gives_something_else_is_not_written(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faked(monkeypatch, small, 0.01)
    with pytest.raises(BundleError, match=r"differ from the classifier's by up to 0\.01, on 1 of 64 images"):
        export_onnx(IMAGES, small, tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


def test_what_torch_cannot_trace_and_bad_places_are_told(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BundleError, match=r"must end in \.onnx"):
        export_onnx(IMAGES, small, tmp_path / "x.bin")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no graph\nof this")

    monkeypatch.setattr("torch.onnx.export", fail)
    found = calling(capfd)("policies", "export", str(small), "--onnx", str(tmp_path / "x.onnx"))
    assert found.code == BundleError.exit_code
    said = " ".join(found.err.split())
    assert "torch cannot write this classifier (small-resnet) as an ONNX graph: no graph of this" in said
    assert not (tmp_path / "x.onnx").exists()
