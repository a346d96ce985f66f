"""Refuse before anything is trained what would fail later, and gather facts for the manifest."""

from __future__ import annotations

import torch

from rl_transfer.frame import MEMORY, Facts, Say, located, silent
from rl_transfer.frame.footprint import training_bytes
from rl_transfer.spec.base import Json
from rl_transfer.spec.labelled import LabelledData
from rl_transfer.spec.supervised import SupervisedSource, SupervisedSuite
from rl_transfer.supervised.classifier import Classifier, Network
from rl_transfer.supervised.kind import DataKind
from rl_transfer.supervised.loop import choose_device
from rl_transfer.supervised.matching import unlabelled_items
from rl_transfer.supervised.splits import Splits, split_data
from rl_transfer.supervised.transfer import ClassifierTransfer

SHARED = ("model", "training", "evaluation")
"""Sections that a run and its suite have under the same name."""


def preflight(kind: DataKind, suite: SupervisedSuite, say: Say = silent) -> Facts:
    """Open, load and split every data set, load every weights file, try every transfer.

    Args:
        kind: of the suite's data.
        suite: as ``resolve`` gave it; its files are read here.
        say: gets a line before every data set.

    Returns:
        Classes, items per class and left-out files of every source and target.

    Raises:
        RLTransferError: with the key of the config that is at fault.
    """
    torch.set_num_threads(1)
    facts: dict[str, dict[str, dict[str, Json]]] = {"sources": {}, "targets": {}}
    loaded: list[LabelledData] = []
    sources: dict[str, Network] = {}
    targets: dict[str, Splits] = {}
    for name, source in suite.sources.items():
        key = f"sources.{name}"
        say(f"checking {key}")
        choose_device(source.training or suite.training)
        splits = None if source.data is None else _split(kind, suite, source.data, f"{key}.data", loaded)
        facts["sources"][name] = {} if splits is None else _facts(splits)
        sources[name] = _stand_in(kind, suite, source, splits, key)
        facts["sources"][name][MEMORY] = training_bytes(sources[name].classifier.module)
    for name, target in suite.targets.items():
        say(f"checking targets.{name}")
        choose_device(target.training or suite.training)
        targets[name] = _split(kind, suite, target.data, f"targets.{name}.data", loaded)
        facts["targets"][name] = _facts(targets[name])
        classes = len(targets[name].classes)
        facts["targets"][name][MEMORY] = training_bytes(_fresh(kind, suite, classes).module)
    for index in range(len(suite.strategies)):
        for name, part in targets.items():
            if suite.strategies[index].needs_source:
                for origin, network in sources.items():
                    place = f" from source {origin!r} on target {name!r}"
                    _try_strategy(kind, suite, index, part, network, place)
            else:
                _try_strategy(kind, suite, index, part, None, f" on target {name!r}")
    return facts


def _split(
    kind: DataKind, suite: SupervisedSuite, data: LabelledData, key: str, loaded: list[LabelledData]
) -> Splits:
    """The first seed's splits; every seed must be possible, and stratified counts do not depend on it.

    Every item is loaded once (``loaded``: the data sets that were): a sweep must not learn of a damaged one
    after an hour.
    """
    with located(key, {"data": key}, shared=("sources", "targets")):
        opened = kind.open_data(data, key)
        if not any(each.classes == data.classes and each.holds_the_items_of(data) for each in loaded):
            opened.refuse_damaged(kind.items, key)
            loaded.append(data)
        return split_data(opened, data, suite.root_seed, suite.all_seeds[0], kind.items, key)


def _facts(splits: Splits) -> dict[str, Json]:
    summary = splits.summary()
    found = summary.pop("classes")
    return {"found_classes": found, **summary}


def _stand_in(
    kind: DataKind, suite: SupervisedSuite, source: SupervisedSource, splits: Splits | None, key: str
) -> Network:
    """A stand-in for the source: the pretrained network, or a fresh one of the same shape."""
    if source.weights is not None:
        with located(f"{key}.weights", {"weights": f"{key}.weights"}, shared=SHARED):
            return kind.load_pretrained(suite.model, source.weights)
    classes = splits.classes if splits is not None else ()
    return Network(_fresh(kind, suite, len(classes)), suite.model, classes, source.data, {}, "")


def _fresh(kind: DataKind, suite: SupervisedSuite, num_classes: int) -> Classifier:
    return kind.build_classifier(suite.model, num_classes, seed=0)


def _try_strategy(
    kind: DataKind, suite: SupervisedSuite, index: int, splits: Splits, source: Network | None, place: str
) -> None:
    """Plan, copy, freeze and schedule on a fresh network; count what is to be matched."""
    verbs, key = suite.strategies[index], f"strategies.{index}"
    classifier = _fresh(kind, suite, len(splits.classes))
    with located(key, {"strategy": key}, shared=SHARED, prefix=f"strategy {verbs.name!r}{place}: "):
        ClassifierTransfer(kind, verbs, classifier, splits.classes, source, seed=0)
        if verbs.match is not None:
            unlabelled_items(verbs.match, splits, seed=0)
