"""Where a run's source comes from: a bundle, or pretrained weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rl_transfer.spec.base import Json
from rl_transfer.spec.supervised import SupervisedRun
from rl_transfer.supervised.bundle import load_network, save_network
from rl_transfer.supervised.classifier import Network
from rl_transfer.supervised.kind import DataKind


def read_source(kind: DataKind, run: SupervisedRun, bundle: Path | None) -> Network | None:
    """The source of a run: the bundle that was handed over, else the weights in its config.

    Args:
        kind: of the data.
        run: may name weights.
        bundle: folder of the source's bundle, or None.

    Returns:
        The network; None if the run has no source.

    Raises:
        RLTransferError: bundle or weights are absent, damaged or of another architecture.
    """
    if bundle is not None:
        return load_network(kind, bundle)
    if run.weights is not None and run.model is not None:
        return kind.load_pretrained(run.model, run.weights)
    return None


def measured_on(network: Network, run: SupervisedRun) -> Network:
    """Pretrained weights with the data that they are measured on, where the run names some.

    Args:
        network: as the kind loaded it.
        run: may name data.
    """
    return network if run.data is None else replace(network, data=run.data)


def save_pretrained(kind: DataKind, folder: Path, network: Network, extra: dict[str, Json]) -> None:
    """Write the bundle of a pretrained network that was never trained here.

    Args:
        kind: of its data.
        folder: must not exist.
        network: as :meth:`DataKind.load_pretrained` gave it.
        extra: what the run knows of it: its id, score and seeds.

    Raises:
        BundleError: the folder exists or cannot be written.
    """
    metadata: dict[str, Json] = {
        **network.metadata,
        "classes": None if network.classes is None else [*network.classes],
        "data": None if network.data is None else network.data.plain(),
        "score": None,
        "training": None,
        **extra,
    }
    save_network(kind, folder, network.state, network.classifier, network.model, metadata)
