"""A classifier as an ONNX graph: raw inputs in, logits out."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rl_transfer.core import isolated
from rl_transfer.errors import BundleError, RLTransferError
from rl_transfer.frame import write_finished
from rl_transfer.frame.onnx_files import check_destination, graph_of, run_graph
from rl_transfer.supervised.bundle import load_network
from rl_transfer.supervised.classifier import GraphInput, Network
from rl_transfer.supervised.kind import DataKind
from rl_transfer.supervised.measures import trained_with

DRAWN, OF_TEST = 64, 192
"""Items that are drawn, and the most of the test part, on which both are compared."""
TOLERANCE = 1e-4
"""Of a logit, as a share of the largest (of 1, where that is larger): float32 in another order of sums."""
OUTPUT = "logits"


@dataclass(frozen=True)
class GraphAgreement:
    """How a written graph compares with its classifier.

    Attributes:
        items: what people call its items.
        count: how many both were given.
        of_test: how many of them are of its test part; the others were drawn at random.
        largest: the largest difference of a logit.
    """

    items: str
    count: int
    of_test: int
    largest: float

    def __str__(self) -> str:
        parts = f"{self.of_test:,} of its test part" if self.of_test else "drawn at random"
        closely = f"to {self.largest:.1e}" if self.largest else "exactly"
        return f"it gives the classifier's logits on {self.count:,} {self.items} ({parts}), {closely}"


def export_onnx(kind: DataKind, bundle: Path, destination: Path) -> GraphAgreement:
    """Write a classifier as an ONNX graph that takes a batch of raw inputs to the logits of its classes.

    It is written only if it gives what the classifier gives, on items drawn at random and, where its data are
    at hand, on items of its test part. Names of classes and preprocessing stand in the file's metadata.

    Args:
        kind: of its data.
        bundle: a bundle folder, a run folder, or an output folder with one run.
        destination: the file to write, ending in ``.onnx``; it must not exist.

    Returns:
        On how many items both agree, and how closely.

    Raises:
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
        BundleError: it cannot be read, torch has no graph of it, or the graph gives something else.
        ConfigError: there can be no graph of such a classifier.
    """
    check_destination(destination)
    with isolated(seed=0):
        network = load_network(kind, bundle)
        given = kind.graph_input(network)
        drawn, test = given.drawn(np.random.default_rng(0), DRAWN), _of_test(kind, network)
        raw = np.stack([given.raw(item) for item in (*drawn, *test)])
        content = _graph_bytes(kind, network, given, raw)
        wanted = _logits(network, (*drawn, *test))
        found = run_graph(content, {given.name: raw}, OUTPUT)
        largest = _apart(kind, np.asarray(found, dtype=np.float32), wanted)
    write_finished(io.BytesIO(content), destination)
    return GraphAgreement(kind.items, len(raw), len(test), largest)


class _Whole(nn.Module):
    """What is done to raw inputs, and the network."""

    def __init__(self, first: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.first, self.network = first, network

    def forward(self, *inputs: Tensor) -> Tensor:
        (raw,) = inputs
        found: Tensor = self.network(self.first(raw))
        return found


def _of_test(kind: DataKind, network: Network) -> Sequence[object]:
    """Items of its test part; none where nobody knows it, or it is not at hand."""
    if network.data is None:
        return ()
    try:
        test = kind.split(network.data, *trained_with(network)).test
        chosen = np.linspace(0, len(test) - 1, min(OF_TEST, len(test))).round().astype(int)
        return [test.load(int(index)) for index in chosen]
    except RLTransferError:
        return ()


def _graph_bytes(kind: DataKind, network: Network, given: GraphInput, raw: NDArray[np.generic]) -> bytes:
    classes = None if network.classes is None else [*network.classes]
    told = {
        "rl_transfer.digest": network.digest,
        "rl_transfer.input": given.told,
        "rl_transfer.classes": json.dumps(classes, ensure_ascii=False),
        "rl_transfer.preprocessing": json.dumps(
            network.classifier.preprocessing.to_json(), ensure_ascii=False
        ),
    }
    example = {given.name: torch.from_numpy(raw[:3].copy())}
    what = f"this classifier ({network.model.plain()['name']})"
    return graph_of(_Whole(given.first, network.module), example, OUTPUT, told, what)


def _logits(network: Network, items: Sequence[object]) -> NDArray[np.float32]:
    """What the classifier gives, by its own preprocessing."""
    with torch.no_grad():
        found = [
            network.module(
                torch.stack([network.classifier.preprocessing(item) for item in items[i : i + 64]])
            )
            for i in range(0, len(items), 64)
        ]
    logits: NDArray[np.float32] = torch.cat(found).float().numpy()
    return logits


def _apart(kind: DataKind, found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """The largest difference, where it may be."""
    if found.shape != wanted.shape:
        raise BundleError(f"the graph gives {found.shape} for {wanted.shape}, so it was not written")
    apart = np.abs(found - wanted)
    allowed = TOLERANCE * max(1.0, float(np.abs(wanted).max()))
    if not (apart <= allowed).all():
        bad = int((~(apart <= allowed)).any(axis=1).sum())
        raise BundleError(
            f"the graph's logits differ from the classifier's by up to {apart.max():.3g}, on {bad:,} of "
            f"{len(wanted):,} {kind.items} by more than {allowed:.2g}, so it was not written"
        )
    return float(apart.max(initial=0.0))
