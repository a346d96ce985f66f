"""Refuse before anything is trained what would fail later, and gather facts for the manifest."""

from __future__ import annotations

from typing import Any

import torch

from rl_transfer.errors import RLTransferError
from rl_transfer.image.backbones import Classifier, build_classifier
from rl_transfer.image.data import Splits, open_data, split_data
from rl_transfer.image.sources import pretrained_network
from rl_transfer.spec.image import ImageSource, ImageSuite
from rl_transfer.spec.image_data import ImageData
from rl_transfer.supervised.bundle import Network
from rl_transfer.supervised.loop import choose_device
from rl_transfer.supervised.transfer import Transfer
from rl_transfer.supervised.translate import core_strategy


def preflight(suite: ImageSuite) -> dict[str, Any]:
    """Open and split every data set for every seed, load every weights file, try every transfer.

    Args:
        suite: as loaded.

    Returns:
        ``{"sources": {name: {"classes": …, "images": …}}, "targets": {…}}``.

    Raises:
        RLTransferError: with the key of the config that is at fault.
    """
    torch.set_num_threads(1)
    facts: dict[str, Any] = {"sources": {}, "targets": {}}
    sources: dict[str, Network] = {}
    targets: dict[str, Splits] = {}
    for name, source in suite.sources.items():
        key = f"sources.{name}"
        choose_device(source.training or suite.training)
        splits = None if source.data is None else _splits(suite, source.data, f"{key}.data")
        facts["sources"][name] = {} if splits is None else _facts(splits)
        sources[name] = _source(suite, source, splits, key)
    for name, target in suite.targets.items():
        choose_device(target.training or suite.training)
        targets[name] = _splits(suite, target.data, f"targets.{name}.data")
        facts["targets"][name] = _facts(targets[name])
    for index in range(len(suite.strategies)):
        for splits in targets.values():
            for origin in sources.values() if suite.strategies[index].needs_source else [None]:
                _try_strategy(suite, index, splits, origin)
    return facts


def _splits(suite: ImageSuite, data: ImageData, key: str) -> Splits:
    """The first seed's splits; every seed must be possible, and stratified counts do not depend on it."""
    try:
        return split_data(open_data(data, key), data, suite.root_seed, suite.seeds[0], key)
    except RLTransferError as error:
        if error.key is not None and error.key.split(".")[0] == "data":
            error.key = key + error.key.removeprefix("data")
        raise


def _facts(splits: Splits) -> dict[str, Any]:
    summary = splits.summary()
    return {"found_classes": summary["classes"], "images": summary["images"], "skipped": summary["skipped"]}


def _source(suite: ImageSuite, source: ImageSource, splits: Splits | None, key: str) -> Network:
    """A stand-in for the source: the pretrained network, or a fresh one of the same shape."""
    if source.weights is not None:
        try:
            return pretrained_network(suite.model, source.weights, source.data)
        except RLTransferError as error:
            if error.key is not None and error.key.split(".")[0] == "weights":
                error.key = f"{key}.{error.key}"
            raise
    classes = splits.classes if splits is not None else ()
    return Network(_fresh(suite, len(classes)), suite.model, classes, source.data, {}, "")


def _fresh(suite: ImageSuite, num_classes: int) -> Classifier:
    return build_classifier(suite.model, num_classes, seed=0)


def _try_strategy(suite: ImageSuite, index: int, splits: Splits, source: Network | None) -> None:
    """Plan, copy, freeze and schedule on a fresh network."""
    verbs = suite.strategies[index]
    classifier = _fresh(suite, len(splits.classes))
    key = f"strategies.{index}"
    try:
        core_strategy(verbs, classifier.parts, verbs.name, key)
        Transfer(verbs, classifier, splits.classes, source, seed=0)
    except RLTransferError as error:
        error.message = f"strategy {verbs.name!r}: {error.message}"
        if error.key is not None and error.key.split(".")[0] == "strategy":
            error.key = key + error.key.removeprefix("strategy")
        raise
