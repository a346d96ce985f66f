"""A classifier as files that others load: its bundle, and what a card tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rl_transfer.frame import ONLY_BUNDLES, bundle_folder, copy_bundle
from rl_transfer.results.published import PlainLoading, PublishedClassifier
from rl_transfer.spec.base import Json
from rl_transfer.supervised.bundle import load_network
from rl_transfer.supervised.classifier import Network
from rl_transfer.supervised.kind import DataKind
from rl_transfer.supervised.measures import trained_with
from rl_transfer.supervised.onnx_graph import export_onnx
from rl_transfer.supervised.seen import KEY
from rl_transfer.wording import placeless, shortened

FILES = {
    "bundle.json": "what the classifier is: network, preprocessing, classes, data, training",
    "tensors.safetensors": "its weights",
}


def publish_classifier(kind: DataKind, argument: str, folder: Path, onnx: bool) -> PublishedClassifier:
    """Write a classifier so that this package loads it.

    Args:
        kind: of its data.
        argument: bundle, run folder, or an address such as ``results/x:digits/fine-tune/0``.
        folder: an empty folder.
        onnx: write it as an ONNX graph too.

    Returns:
        What was written, and of what.

    Raises:
        BundleError: there is no such bundle, it was altered, or no graph of it gives what it gives.
        ConfigError: there can be no graph of such a classifier.
        MissingExtraError: the libraries of ONNX are not installed.
    """
    bundle = bundle_folder(Path(argument), hint=ONLY_BUNDLES)
    network = load_network(kind, bundle)
    copy_bundle(bundle, folder, network.digest)
    found = _described(kind, network)
    if not onnx:
        return found
    name = f"{found.name}.onnx"
    agreed = export_onnx(kind, folder, folder / name)
    what = f"the same classifier as an ONNX graph: {agreed}"
    graph = PlainLoading(
        f"Anywhere that ONNX runs. {kind.graph_input(network).told} `batch` is made of such inputs:",
        [
            "import json",
            "import onnxruntime",
            "",
            f'session = onnxruntime.InferenceSession("{name}")',
            "told = session.get_modelmeta().custom_metadata_map",
            '(logits,) = session.run(["logits"], {session.get_inputs()[0].name: batch})',
            'print([json.loads(told["rl_transfer.classes"])[i] for i in logits.argmax(axis=1)])',
        ],
    )
    return replace(found, files={**found.files, name: what}, graph=graph)


def _described(kind: DataKind, network: Network) -> PublishedClassifier:
    metadata, preprocessing = network.metadata, network.classifier.preprocessing
    weights, seen = (metadata.get(name) for name in ("weights", KEY))
    shape = " × ".join(map(str, preprocessing.input_shape))
    return PublishedClassifier(
        parameters=sum(each.numel() for each in network.module.parameters()),
        digest=network.digest,
        files=FILES,
        notes=[],
        kind=kind.name,
        classifier=kind.classifier,
        items=kind.items,
        task=kind.hub_task,
        model=_in_short(network.model.plain()),
        inputs=f"{shape}; {_settings(preprocessing.to_json())}",
        classes=network.classes,
        data=None if network.data is None else network.data.plain(),
        seeds=trained_with(network),
        weights=weights if isinstance(weights, dict) else None,
        score=network.score,
        seen=len(seen) if isinstance(seen, list) else None,
        elsewhere=kind.elsewhere(network),
        graph=None,
    )


def _in_short(model: Mapping[str, Json]) -> str:
    """Its name, and what it says of its architecture: ``transformer bert``."""
    architecture = model.get("architecture")
    if isinstance(architecture, dict):
        architecture = architecture.get("model_type") or architecture.get("class_name")
    words = (model["name"], architecture or model.get("application"))
    return " ".join(placeless(str(each)) for each in words if each)


def _settings(preprocessing: Mapping[str, Json]) -> str:
    """What is done to items, without the texts of tokenizers."""
    return ", ".join(f"{name} {shortened(str(value), 60)}" for name, value in preprocessing.items())
