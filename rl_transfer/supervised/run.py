"""One image run from its config to its record: build, transfer, freeze, train, measure, bundle."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from rl_transfer import core
from rl_transfer.core import isolated
from rl_transfer.errors import BundleError, ConfigError, TransferError
from rl_transfer.image.backbones import build_classifier
from rl_transfer.image.data import Splits
from rl_transfer.image.data.augment import Augmentation
from rl_transfer.image.sources import pretrained_network, read_source, save_pretrained
from rl_transfer.results import RunFolder
from rl_transfer.spec.image import ImageRun
from rl_transfer.supervised import seeds
from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.bundle import save_network, versions
from rl_transfer.supervised.curve import LearningCurve
from rl_transfer.supervised.evaluate import Forward, measuring, speaks_of
from rl_transfer.supervised.features import Penultimate, why_not_cached
from rl_transfer.supervised.loop import Loop, choose_device
from rl_transfer.supervised.measures import Home, accuracy_by_name, opened_splits, required_data
from rl_transfer.supervised.probe import probe_record
from rl_transfer.supervised.transfer import Transfer

Say = Callable[[str], None]
PROBE_LIMIT = 20_000_000
"""Images × features above which the linear probe is left out: it would take longer than the run."""


def execute(run: ImageRun, folder: RunFolder, source: Path | None = None, say: Say = print) -> None:
    """Execute one run and leave its finished record in ``folder``.

    Args:
        run: everything that can change the result.
        folder: the run's folder; what an interrupted attempt left there is cleared.
        source: bundle of the source network, if the strategy needs one.
        say: gets a line now and then.

    Raises:
        RLTransferError: anything that the run was given is wrong; nothing finished is lost.
    """
    torch.set_num_threads(1)
    folder.begin(run)
    started = datetime.datetime.now(datetime.UTC).isoformat()
    clock = time.monotonic()
    if run.policy == "random":
        result = _random(run, folder)
    elif run.policy == "pretrained":
        result = _pretrained(run, folder, say)
    else:
        with isolated(seeds.training_seed(run)):
            result = Training(run, folder, source, say).execute()
    folder.finish(
        {
            "kind": "image",
            "spec": run.plain(),
            "total_steps": run.total_steps,
            "versions": versions(),
            "started": started,
            "finished": datetime.datetime.now(datetime.UTC).isoformat(),
            "wall_seconds": time.monotonic() - clock,
            **result,
        }
    )


def _random(run: ImageRun, folder: RunFolder) -> dict[str, Any]:
    """Chance: the expected accuracy of a uniform guess, 1 / classes, however they are distributed."""
    splits = opened_splits(required_data(run), run)
    folder.append_evaluation(0, 0, [1 / len(splits.classes)], [len(splits.test)])
    return {"data": splits.summary()}


def _pretrained(run: ImageRun, folder: RunFolder, say: Say) -> dict[str, Any]:
    """Weights from elsewhere as a source: bundled as they are, measured where data are given."""
    if run.model is None or run.weights is None:
        raise TransferError("a pretrained source needs a model and weights")
    network = pretrained_network(run.model, run.weights, run.data)
    score = None
    if run.data is not None:
        splits = opened_splits(run.data, run)
        if not speaks_of(network.classes, splits.classes):
            raise ConfigError(
                f"the pretrained head cannot name the classes {', '.join(splits.classes[:6])}, so this "
                "source cannot be measured on these data; leave data out",
                key="data",
            )
        score = accuracy_by_name(network, splits, run.evaluation.batch_size)
        folder.append_evaluation(0, 0, [score], [len(splits.test)])
        say(f"pretrained weights: accuracy {score:.4f}")
    seed = {"root_seed": run.root_seed, "seed": run.seed}
    save_pretrained(folder.bundle, network, run=folder.path.name, score=score, seeds=seed)
    return {
        "pretrained": dict(network.metadata),
        "measured": score is not None,
        "parameters": core.count_parameters(network.module),
    }


class Training:
    """The stages of one training run, in order."""

    def __init__(self, run: ImageRun, folder: RunFolder, source: Path | None, say: Say) -> None:
        if run.model is None or run.training is None or run.strategy is None:
            raise TransferError("a trained run needs a model, a budget and a strategy")
        self.run, self.folder, self.say = run, folder, say
        self.model, self.training, self.strategy = run.model, run.training, run.strategy
        self.data = required_data(run)
        self.device = choose_device(self.training)
        self.source = read_source(run, source)
        if self.strategy.needs_source and self.source is None:
            raise BundleError("the strategy copies from a source, but none was given")
        self.notes: list[str] = []

    def execute(self) -> dict[str, Any]:
        """Run the stages; returns the record's content."""
        splits = self.splits = opened_splits(self.data, self.run)
        if splits.skipped:
            self.note(f"left out, cannot be decoded: {', '.join(splits.skipped)}")
        preprocess = self.source.classifier.preprocessing if self.source and self.run.weights else None
        self.classifier = build_classifier(
            self.model, len(splits.classes), seeds.network_seed(self.run), preprocess
        )
        self.network = self.classifier.module
        seed = seeds.transfer_seed(self.run)
        self.transfer = Transfer(self.strategy, self.classifier, splits.classes, self.source, seed)
        if self.source is not None:
            self.say(self.transfer.describe())
        self.home = None if self.source is None else Home(self.source, self.run.evaluation.batch_size)
        self.transfer.prepare_terms(self.home, seed)
        if self.source is not None:
            self.source.module.to(self.device)
        self.network.to(self.device)
        writer = SummaryWriter(str(self.folder.tensorboard))
        try:
            return self._train_and_measure(splits, writer)
        finally:
            writer.close()

    def _train_and_measure(self, splits: Splits, writer: SummaryWriter) -> dict[str, Any]:
        home = self.home
        zero_shot = None if home is None else home.zero_shot(splits, self.device)
        parameters = core.count_parameters(self.network)
        parts = self._batches(splits)
        forward, parts, cached = self._cached(parts)
        probe = self._probe(parts, cached)
        curve = LearningCurve(self.run, self.folder, self.network, forward, parts["test"], writer, self.say)
        loop = Loop(
            self.network,
            forward,
            self.transfer,
            self.training,
            parts["train"],
            parts.get("validation"),
            len(splits.classes),
            seeds.training_seed(self.run),
            self.device,
        )
        if self.strategy.train:
            loop.run(curve)
        curve.complete(loop.stopped_at)
        self.network.to("cpu")
        if probe is not None:
            writer.add_scalar("probe/accuracy", probe["accuracy"], 0)
            self._compare_with_probe(probe, curve.score)
        record = self._record(curve, splits, zero_shot)
        curve.draw(splits)
        kept = loop.best.epoch if loop.best.state else None
        return {
            **record,
            "parameters": parameters,
            "data": splits.summary(),
            "probe": probe,
            "cached_features": cached,
            "thawed": loop.thawed,
            "stopped_at": loop.stopped_at,
            "kept_epoch": kept,
            "notes": self.notes,
        }

    def note(self, text: str) -> None:
        """Say something that belongs into the record as well."""
        self.notes.append(text)
        self.say(text)

    def _batches(self, splits: Splits) -> dict[str, Batches]:
        preprocess, workers = self.classifier.preprocessing, self.training.workers
        changes = self.training.augmentation
        augmentation = Augmentation(changes, preprocess) if changes.any else None
        found = {
            "train": Batches(splits.train, preprocess, augmentation, workers),
            "test": Batches(splits.test, preprocess, None, workers),
        }
        if splits.validation is not None:
            found["validation"] = Batches(splits.validation, preprocess, None, workers)
        return found

    def _cached(self, parts: dict[str, Batches]) -> tuple[Forward, dict[str, Batches], bool]:
        """The function to train and its inputs: the head on cached features, where that is the same."""
        training = self.training
        wanted = (
            self.transfer.frozen is not None
            and self.transfer.is_static
            and training.cache_features == "auto"
            and not training.augmentation.any
            and training.precision == "float32"
            and training.epochs > 0
        )
        if not wanted:
            return self.network, parts, False
        head = self.classifier.head
        example, _ = next(parts["train"].in_order(min(8, len(parts["train"]))))
        reason = why_not_cached(self.network, self.transfer.parts, head, example.to(self.device))
        if reason is not None:
            self.note(f"features are not cached: {reason}")
            return self.network, parts, False
        penultimate = Penultimate(self.network, head.paths[0])
        size = self.run.evaluation.batch_size
        with measuring(self.network):
            cached = {
                name: part.replaced(penultimate.of_part(part, size, self.device))
                for name, part in parts.items()
            }
        return penultimate.head, cached, True

    def _probe(self, parts: dict[str, Batches], cached: bool) -> dict[str, Any] | None:
        """The converged linear probe on the features that training starts from."""
        given = self.strategy.freeze or self.strategy.copy_
        head = self.classifier.head
        if not given or not self.run.evaluation.probe or len(head.paths) != 1:
            return None
        penultimate = Penultimate(self.network, head.paths[0])
        size = self.run.evaluation.batch_size
        features = {}
        with measuring(self.network):
            for name in ("train", "test"):
                if cached:
                    features[name] = torch.cat([batch for batch, _ in parts[name].in_order(size)])
                else:
                    part = Batches(parts[name].images, self.classifier.preprocessing)
                    features[name] = penultimate.of_part(part, size, self.device)
        if features["train"].numel() > PROBE_LIMIT:
            self.note("no linear probe: too many images × features for an exact solution")
            return None
        train, test = ((features[name], parts[name].labels) for name in ("train", "test"))
        return probe_record(train, test, len(self.splits.classes))

    def _compare_with_probe(self, probe: dict[str, Any], score: float) -> None:
        frozen = self.transfer.frozen is not None and self.transfer.is_static
        self.say(f"converged linear probe: accuracy {probe['accuracy']:.4f}")
        if frozen and probe["accuracy"] > score + 0.05:
            self.note(
                f"the head ended at {score:.3f}, a converged linear probe on the same features reaches "
                f"{probe['accuracy']:.3f}: the head's rate or budget is too small, not the features"
            )

    def _record(
        self, curve: LearningCurve, splits: Splits, zero_shot: dict[str, Any] | None
    ) -> dict[str, Any]:
        transferred = self.transfer.record()
        state = self.transfer.state()
        retention = None
        if self.home is not None:
            own = state if self.strategy.copy_ else None
            retention = self.home.retention(self.network, splits.classes, own)
            self.notes += self.home.notes
        extra = {
            "run": self.folder.path.name,
            "classes": list(splits.classes),
            "data": self.data.plain(),
            "training": self.training.plain(),
            "seeds": {"root_seed": self.run.root_seed, "seed": self.run.seed},
            "score": curve.score,
            "strategy": self.strategy.plain(),
            "source": self.run.source,
            "freeze": transferred["frozen"],
        }
        save_network(self.folder.bundle, state, self.classifier, self.model, extra)
        metadata = self.source.metadata if self.source else {}
        return {
            **transferred,
            "source_run": self.run.source,
            "source_steps": (metadata.get("training") or {}).get("epochs"),
            "source_score": metadata.get("score"),
            "zero_shot": zero_shot,
            "retention": retention,
            "weights_digest": core.digest_tensors(state),
        }
