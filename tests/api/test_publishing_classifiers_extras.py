"""Classifiers of other libraries for others, and what the Hub makes of a classifier."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard as HubCard

import rl_transfer as rt
from api.test_classifier_cards import card_of
from api.test_publishing_classifiers import config, in_folder, place, published, snippets, text_of, trained
from rl_transfer.core import load_bundle
from rl_transfer.errors import BundleError
from rl_transfer.image.keras_library import library
from rl_transfer.image.room import IMAGES
from rl_transfer.spec.image_model import TimmConfig
from rl_transfer.supervised.bundle import load_network, save_network
from rl_transfer.text.room import TEXTS
from support.hub import Hub, served
from support.image import TRAINING
from support.keras_models import tiny
from support.texts import save_csv, save_encoder, sentences
from support.untyped import untyped

__all__ = ["place", "published", "trained"]


def test_the_header_is_what_the_hub_reads(published: Path) -> None:
    card = untyped(HubCard(text_of(published)).data)
    accuracy = rt.evaluate(published)["accuracy"]
    (found,) = card.eval_results
    assert (found.task_type, found.dataset_name, found.dataset_split) == (
        "image-classification", "stripes.npz", "test",
    )  # fmt: skip
    assert (found.metric_type, found.metric_value) == ("accuracy", round(float(str(accuracy)), 4))
    header = card.to_dict()
    assert (header["pipeline_tag"], header["library_name"], header["license"]) == (
        "image-classification", "rl-transfer", "mit",
    )  # fmt: skip


def test_it_is_sent_to_the_hub_and_is_a_source_there(
    trained: rt.SingleRun, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Hub
) -> None:
    monkeypatch.setenv("HF_TOKEN", "writer")
    address = rt.publish(trained, "hf://me/stripes")
    assert f"rl-transfer evaluate {address}" in hub.files["me/stripes@main/README.md"].decode()
    assert rt.evaluate(address).data == rt.evaluate(trained).data
    away = {"name": "arrays", "path": str(place / "inverted.npz")}
    target = rt.transfer(address, config(place, data=away), output=tmp_path / "x", events=False)
    assert target.config["source"] == f"digest:{load_bundle(trained.bundle).digest}"
    with pytest.raises(BundleError, match="no public repository me/nowhere"):
        rt.evaluate("hf://me/nowhere")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    yield from served(tmp_path, monkeypatch)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
def test_a_model_of_keras_is_published_with_its_file_named_and_its_weights_inside(
    place: Path, tmp_path: Path
) -> None:
    own = tmp_path / "secret" / "tiny.keras"
    own.parent.mkdir()
    tiny(library()).save(own)
    named = {"model": {"name": "keras", "file": str(own)}, "weights": {"file": str(own)}}
    run = rt.train(config(place, training={**TRAINING, "epochs": 1}, **named), output=tmp_path / "run")
    expected = rt.evaluate(run).data
    own.unlink()
    folder = Path(rt.publish(run, tmp_path / "out", license="mit"))
    text = text_of(folder)
    assert "Training began with weights from elsewhere (file: tiny.keras" in text
    assert "pip install 'rl-transfer[hub,image,keras]'" in text
    assert "lines that build it elsewhere are not provided" in text
    assert "secret" not in re.sub(r"\| command.*", "", text)
    assert HubCard(text).data.to_dict()["pipeline_tag"] == "image-classification"
    assert rt.evaluate(folder).data == expected
    network = load_network(IMAGES, folder)
    assert network.parts.names == ("stem", "first", "second", "head")


def test_a_text_classifier_and_what_transformers_loads_of_it(tmp_path: Path) -> None:
    encoder, table = save_encoder(tmp_path / "encoder"), save_csv(tmp_path / "films.csv", sentences("films"))
    run = rt.train(
        {
            "kind": "text",
            "name": "films",
            "data": str(table),
            "model": {"name": "transformer", "encoder": str(encoder), "input": {"max_tokens": 16}},
            "training": {
                "epochs": 2,
                "batch_size": 16,
                "optimizer": {"name": "AdamW", "learning_rate": 0.01},
            },
        },
        output=tmp_path / "run",
        events=False,
    )
    folder = Path(rt.publish(run, tmp_path / "out"))
    header = HubCard(text_of(folder)).data.to_dict()
    assert (header["pipeline_tag"], header["tags"][0]) == ("text-classification", "text-classification")
    assert "`AutoModelForSequenceClassification` does not load this folder" in text_of(folder)
    found = in_folder(folder, snippets(folder)[-1])
    network = load_network(TEXTS, folder)
    ids = found["tokenizer"].encode("the film is very good").ids
    with torch.no_grad():
        hidden = found["encoder"].eval()(input_ids=torch.tensor([ids]))[0]
        logits = hidden.mean(dim=1) @ found["weight"].T + found["bias"]
        expected = network.module(network.classifier.preprocessing("the film is very good")[None])
    torch.testing.assert_close(logits, expected)


def test_a_model_from_a_folder_is_named_without_it(tmp_path: Path) -> None:
    folder = tmp_path / "secret" / "net"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"architecture": "test_resnet"}))
    model = TimmConfig(name="timm", architecture=f"local-dir:{folder}")
    made = IMAGES.build_classifier(model, 2, seed=0)
    said: dict[str, Any] = {"classes": ["a", "b"]}
    save_network(IMAGES, tmp_path / "bundle", made.module.state_dict(), made, model, said)
    text = card_of(tmp_path / "bundle", tmp_path / "out")
    assert "# timm net on" in text
    assert "secret" not in text
