"""The stages of one training run: build, transfer, freeze, train, measure, bundle."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from rl_transfer import core
from rl_transfer.errors import BundleError, TransferError
from rl_transfer.frame import Say
from rl_transfer.frame.checkpoint import Checkpoints
from rl_transfer.frame.diagnosis import END, START, measured, scalars
from rl_transfer.frame.events import EventWriter
from rl_transfer.results import RunFolder
from rl_transfer.spec.base import Json
from rl_transfer.spec.supervised import SupervisedRun
from rl_transfer.supervised import seeds
from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.bundle import save_network
from rl_transfer.supervised.checkpoint import EpochCheckpoints
from rl_transfer.supervised.classifier import Preprocessing
from rl_transfer.supervised.curve import EpochCurve
from rl_transfer.supervised.diagnosis import ClassifierDiagnosis
from rl_transfer.supervised.evaluate import Forward, measuring
from rl_transfer.supervised.features import Penultimate, why_not_cached
from rl_transfer.supervised.gaps import ClassifierGaps
from rl_transfer.supervised.kind import DataKind
from rl_transfer.supervised.loop import TrainingLoop, choose_device
from rl_transfer.supervised.measures import Home
from rl_transfer.supervised.probe import ProbeResult, probe_features
from rl_transfer.supervised.seen import KEY, seen_by_source, trained_on
from rl_transfer.supervised.sources import read_source
from rl_transfer.supervised.splits import Splits
from rl_transfer.supervised.transfer import ClassifierTransfer

PROBE_LIMIT = 20_000_000
"""Items × features above which the linear probe is left out: it would take longer than the run."""


class ClassifierTraining:
    """The stages of one training run, in order.

    Args:
        kind: of the run's data.
        run: what is trained, on what, from what.
        folder: where curve, bundle and events go.
        source: bundle of the source network, or None.
        say: gets a line now and then.
    """

    def __init__(
        self, kind: DataKind, run: SupervisedRun, folder: RunFolder, source: Path | None, say: Say
    ) -> None:
        if run.data is None or run.model is None or run.training is None or run.strategy is None:
            raise TransferError("a trained run needs data, a model, a budget and a strategy")
        self.kind, self.run, self.folder, self.say = kind, run, folder, say
        self.model, self.training, self.strategy = run.model, run.training, run.strategy
        self.data = run.data
        self.device = choose_device(self.training)
        self.source = read_source(kind, run, source)
        if self.strategy.needs_source and self.source is None:
            raise BundleError("the strategy copies from a source, but none was given")
        self.notes: list[str] = []

    def execute(self, checkpoints: Checkpoints) -> dict[str, Json]:
        """Run the stages, from the current checkpoint if there is one.

        Args:
            checkpoints: of the run.

        Returns:
            The record's content.

        Raises:
            RLTransferError: the data, the source or the strategy do not fit, or training diverged.
            CannotRestore: the current checkpoint does not fit the run.
        """
        kind, run = self.kind, self.run
        splits = self.splits = self._split()
        if splits.skipped:
            self.note(f"left out, cannot be decoded: {', '.join(splits.skipped)}")
        for text in splits.notes:
            self.note(text)
        preprocessing = self.source.classifier.preprocessing if self.source and run.weights else None
        count = len(splits.classes)
        self.classifier = kind.build_classifier(self.model, count, seeds.network_seed(run), preprocessing)
        self.network = self.classifier.module
        seed = seeds.transfer_seed(run)
        self.inputs = kind.describe_inputs(splits, self.classifier.preprocessing)
        for note in self.inputs.notes:
            self.note(note)
        self.transfer = ClassifierTransfer(
            kind, self.strategy, self.classifier, splits.classes, self.source, seed
        )
        self.diagnosis = self._diagnosis(preprocessing) if run.evaluation.diagnostics else None
        start = self.transfer.state() if run.evaluation.gaps else None
        if self.source is not None:
            self.say(self.transfer.describe())
        schedule = self.transfer.schedule()
        if schedule is not None:
            self.note(schedule)
        self.home = None if self.source is None else Home(kind, self.source, run.evaluation.batch_size)
        self.gaps = None if start is None else self._gaps(preprocessing, start)
        self.transfer.prepare_terms(self.home, splits, self.training, seed)
        seen = self.transfer.unlabelled
        if seen is not None:
            self.note(f"match sees {len(seen)} {kind.items} of the target without their labels")
        if self.source is not None:
            self.source.module.to(self.device)
        self.network.to(self.device)
        # Events of after the checkpoint never came to be.
        purge = None if checkpoints.current is None else checkpoints.current.step + 1
        events = EventWriter(self.folder, purge)
        try:
            return self._train_and_measure(splits, events, checkpoints)
        finally:
            events.close()

    def _split(self) -> Splits:
        """The parts of the data; the validation part takes the place of the test where the config says so."""
        splits = self.kind.split(self.data, self.run.root_seed, self.run.seed)
        if self.run.evaluation.part == "test":
            return splits
        if splits.validation is None:
            raise TransferError(
                "evaluation.part is validation, but data.validation is 0", key="evaluation.part"
            )
        return replace(splits, test=splits.validation)

    def _train_and_measure(
        self, splits: Splits, events: EventWriter, checkpoints: Checkpoints
    ) -> dict[str, Json]:
        home = self.home
        zero_shot = None if home is None else home.zero_shot(splits, self.device)
        parameters = core.count_parameters(self.network)
        parts = self._batches(splits)
        forward, parts, cached = self._cached(parts)
        probe = self._probe(parts, cached)
        curve = EpochCurve(self.run, self.folder, self.network, forward, parts["test"], events, self.say)
        loop = TrainingLoop(
            self.network,
            forward,
            self.transfer,
            self.training,
            parts["train"],
            parts.get("validation"),
            len(splits.classes),
            seeds.training_seed(self.run),
            self.device,
            self.run.evaluation.every,
        )
        if self.strategy.train:
            kept = EpochCheckpoints(
                checkpoints, self.network, self.transfer, loop, curve, self.device, self.say
            )
            finished = kept.restore()
            loop.run(curve, kept.follow, finished)
        curve.complete(loop.stopped_at)
        self.network.to("cpu")
        if probe is not None:
            self._compare_with_probe(probe, curve.score, events)
        reference = self.kind.reference(splits) if self.run.evaluation.probe else None
        if reference is not None:
            events.add_scalars({"reference/accuracy": reference.accuracy}, 0)
            self.say(f"{reference.name}: accuracy {reference.accuracy:.4f}")
        record = self._record(curve, splits, zero_shot)
        curve.draw(self.kind, splits)
        if self.diagnosis is not None:  # last of all, so that nothing can rest on it
            found = measured(partial(self.diagnosis.record, self.transfer.state()), self.say)
            events.add_scalars(scalars(found, START), 0)
            events.add_scalars(scalars(found, END), self.training.epochs)
            record = {**record, "diagnostics": found}
        if self.gaps is not None:
            what = "the gap between source and target"
            record["gaps"] = measured(partial(self.gaps.record, self.transfer.state()), self.say, what)
        return {
            **record,
            "parameters": {**parameters},
            "data": {**splits.summary(), **self.inputs.record},
            "reference": None if reference is None else asdict(reference),
            "probe": None if probe is None else asdict(probe),
            "cached_features": cached,
            "thawed": loop.thawed,
            "stopped_at": loop.stopped_at,
            "kept_epoch": loop.best.epoch if loop.best.state else None,
            "notes": [*self.notes],
        }

    def _diagnosis(self, preprocessing: Preprocessing | None) -> ClassifierDiagnosis:
        """Keeps the network as training finds it."""
        count, seed = len(self.splits.classes), seeds.network_seed(self.run)
        return ClassifierDiagnosis(
            self.kind.build_classifier(self.model, count, seed, preprocessing),
            self.splits,
            self.training,
            seeds.training_seed(self.run),
            self.transfer.state(),
            self.transfer.reference,
        )

    def _gaps(self, preprocessing: Preprocessing | None, start: dict[str, Tensor]) -> ClassifierGaps:
        """Keeps the network as training finds it."""
        seed = seeds.training_seed(self.run)
        twin = self.kind.build_classifier(self.model, len(self.splits.classes), seed, preprocessing)
        return ClassifierGaps(twin, self.splits, self.home, seed, start)

    def note(self, text: str) -> None:
        """Say something that belongs into the record as well.

        Args:
            text: one line.
        """
        self.notes.append(text)
        self.say(text)

    def _batches(self, splits: Splits) -> dict[str, Batches]:
        preprocess, workers = self.classifier.preprocessing, self.training.workers
        augmentation = self.kind.augmentation(self.training, preprocess)
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
            and self.kind.augmentation(training, self.classifier.preprocessing) is None
            and training.precision == "float32"
            and training.epochs > 0
        )
        if not wanted:
            return self.network, parts, False
        example, _ = next(parts["train"].in_order(min(8, len(parts["train"]))))
        reason = why_not_cached(self.classifier, example.to(self.device))
        if reason is not None:
            self.note(f"features are not cached: {reason}")
            return self.network, parts, False
        penultimate = Penultimate(self.network, self.classifier.heads[0])
        size = self.run.evaluation.batch_size
        with measuring(self.network):
            cached = {
                name: part.replaced(penultimate.of_part(part, size, self.device))
                for name, part in parts.items()
            }
        return penultimate.head, cached, True

    def _probe(self, parts: dict[str, Batches], cached: bool) -> ProbeResult | None:
        """The converged linear probe on the features that training starts from."""
        given = self.strategy.freeze or self.strategy.copy_
        if not given or not self.run.evaluation.probe or len(self.classifier.heads) != 1:
            return None
        penultimate = Penultimate(self.network, self.classifier.heads[0])
        size = self.run.evaluation.batch_size
        features = {}
        with measuring(self.network):
            for name in ("train", "test"):
                if cached:
                    features[name] = torch.cat([batch for batch, _ in parts[name].in_order(size)])
                else:
                    part = Batches(parts[name].items, self.classifier.preprocessing)
                    features[name] = penultimate.of_part(part, size, self.device)
        if features["train"].numel() > PROBE_LIMIT:
            self.note(f"no linear probe: too many {self.kind.items} × features for an exact solution")
            return None
        train, test = ((features[name], parts[name].labels) for name in ("train", "test"))
        return probe_features(train, test, len(self.splits.classes))

    def _compare_with_probe(self, probe: ProbeResult, score: float, events: EventWriter) -> None:
        events.add_scalars({"probe/accuracy": probe.accuracy}, 0)
        frozen = self.transfer.frozen is not None and self.transfer.is_static
        self.say(f"converged linear probe: accuracy {probe.accuracy:.4f}")
        if frozen and probe.accuracy > score + 0.05:
            self.note(
                f"the head ended at {score:.3f}, a converged linear probe on the same features reaches "
                f"{probe.accuracy:.3f}: the head's rate or budget is too small, not the features"
            )

    def _record(
        self, curve: EpochCurve, splits: Splits, zero_shot: dict[str, Json] | None
    ) -> dict[str, Json]:
        transferred = self.transfer.record()
        state = self.transfer.state()
        retention = None
        if self.home is not None:
            own = state if self.strategy.copy_ else None
            retention = self.home.retention(self.network, splits.classes, own)
            self.notes += self.home.notes
        extra: dict[str, Json] = {
            "run": self.folder.path.name,
            "classes": [*splits.classes],
            "data": self.data.plain(),
            "training": self.run.identity()["training"],
            "seeds": {"root_seed": self.run.root_seed, "seed": self.run.seed},
            "score": curve.score,
            "strategy": self.strategy.plain(),
            "source": self.run.source,
            "freeze": transferred["frozen"],
            KEY: trained_on(
                splits if self.strategy.train else None,
                self.classifier.preprocessing,
                self.source,
                self.transfer.unlabelled,
            ),
        }
        save_network(self.kind, self.folder.bundle, state, self.classifier, self.model, extra)
        metadata = self.source.metadata if self.source else {}
        budget = metadata.get("training")
        return {
            **transferred,
            "source_run": self.run.source,
            "source_steps": budget.get("epochs") if isinstance(budget, dict) else None,
            "source_score": self.source.score if self.source else None,
            "seen_by_source": seen_by_source(splits.test, self.source),
            "zero_shot": zero_shot,
            "retention": retention,
            "weights_digest": core.digest_tensors(state),
        }
