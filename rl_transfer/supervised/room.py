"""The door of a room of labelled data: what sweeps and the command line call, for any kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import nn

from rl_transfer.core import inventory
from rl_transfer.errors import ClassesDiffer, ConfigError, RLTransferError
from rl_transfer.frame import (
    EvaluationRequest,
    Facts,
    FoundSource,
    InspectionHints,
    Measured,
    Say,
    bundle_folder,
    run_identity,
    silent,
)
from rl_transfer.frame.scores import ScoringRequest, SourceScores
from rl_transfer.results import ACCURACY_DIGITS, Labels, RunFolder
from rl_transfer.results.portraits import Portraits
from rl_transfer.results.published import PublishedClassifier
from rl_transfer.spec import locate
from rl_transfer.spec.base import Json
from rl_transfer.spec.labelled import LabelledData
from rl_transfer.spec.load import validate
from rl_transfer.spec.optimization import SupervisedEvaluation, SupervisedTraining
from rl_transfer.spec.supervised import SupervisedRun, SupervisedSuite
from rl_transfer.spec.yaml_map import Document, Place, read_yaml
from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.bundle import WEIGHTS_HINT, load_network, place_of
from rl_transfer.supervised.classifier import Network, Preprocessing
from rl_transfer.supervised.data import LabelledSet
from rl_transfer.supervised.evaluate import measuring, predict
from rl_transfer.supervised.kind import DataKind
from rl_transfer.supervised.loop import choose_device
from rl_transfer.supervised.onnx_graph import export_onnx
from rl_transfer.supervised.predictions import Predictions, named_accuracy, per_class, speaks_of
from rl_transfer.supervised.preflight import preflight
from rl_transfer.supervised.publishing import publish_classifier
from rl_transfer.supervised.realign import UNLABELLED, realign
from rl_transfer.supervised.run import execute
from rl_transfer.supervised.scores import LabelledTarget, score_network
from rl_transfer.supervised.seen import measurable
from rl_transfer.supervised.sources import save_pretrained
from rl_transfer.wording import in_words


class SupervisedRoom:
    """Runs on one kind of labelled data.

    Args:
        kind: which.
    """

    def __init__(self, kind: DataKind) -> None:
        self.kind = kind
        self.labels = Labels(
            unit="epochs",
            measure="accuracy",
            chance="chance",
            zero="chance",
            network="classifier",
            networks="classifiers",
            method="optimizer",
            samples=f"test {kind.items}",
            values="accuracies",
            threshold="",
            digits=ACCURACY_DIGITS,
        )

    def execute(
        self, run: SupervisedRun, folder: RunFolder, source: Path | None = None, say: Say = print
    ) -> None:
        """Execute one run and leave its finished record in ``folder``.

        Args:
            run: of this kind.
            folder: the run's folder.
            source: folder of the source's bundle; None where the run needs none.
            say: gets a line now and then.
        """
        execute(self.kind, run, folder, source, say)

    def resolve_run(self, run: SupervisedRun, say: Say = silent) -> SupervisedRun:
        """Nothing of a run is left open.

        Args:
            run: as its file says it.
            say: is told nothing.
        """
        return run

    def resolve(self, suite: SupervisedSuite, say: Say = silent) -> SupervisedSuite:
        """Nothing is left to fill in: files are fingerprinted when runs are planned.

        Args:
            suite: as its file says it; no source of it waits for anything.
            say: is told nothing.
        """
        return suite

    def preflight(self, suite: SupervisedSuite, say: Say = silent) -> Facts:
        """Open and split every data set, load every weights file, try every transfer.

        Args:
            suite: as ``resolve`` gave it: every source has its task.
            say: gets a line before every data set.
        """
        return preflight(self.kind, suite, say)

    def portray(self, suite: SupervisedSuite, known: Portraits) -> Iterable[Portraits]:
        """Nothing; see :meth:`rl_transfer.frame.Room.portray`.

        Args:
            suite: of labelled data.
            known: the portraits that are there.

        Returns:
            Empty ones where others are there: what data look like is shown by the predictions on them.
        """
        return () if known == Portraits() else (Portraits(),)

    def find_source(self, argument: str, output: Path) -> FoundSource:
        """The network that ``--source`` names.

        Args:
            argument: a bundle, a run folder, or an address of pretrained weights.
            output: the results folder; pretrained weights are imported below it first.

        Returns:
            Its bundle, and the identity that run ids hash.

        Raises:
            BundleError: there is no such network, or its bundle cannot be read.
            ConfigError: no weights are published at that address.
        """
        path = place_of(argument)
        network = None if path.exists() else self.kind.find_pretrained(argument)
        if network is None:
            folder = bundle_folder(path, hint=WEIGHTS_HINT)
            return FoundSource(folder, run_identity(path, load_network(self.kind, path).digest))
        folder = output / "sources" / network.digest[:16]
        if not folder.exists():
            save_pretrained(self.kind, folder, network, {})
        return FoundSource(folder, f"digest:{network.digest}")

    def inspect(self, argument: str, hints: InspectionHints) -> Sequence[Mapping[str, Json]]:
        """The tensors of a bundled classifier, part after part.

        Args:
            argument: bundle or run folder.
            hints: refused, a bundle tells everything.

        Returns:
            Rows as :func:`rl_transfer.core.inventory` gives them.

        Raises:
            ConfigError: something is hinted at.
        """
        self._refuse(
            argument, "its bundle tells everything", {"--env": hints.env, "--algorithm": hints.algorithm}
        )
        network = load_network(self.kind, place_of(argument))
        return inventory(network.parts, network.state)

    def evaluate(self, argument: str, request: EvaluationRequest) -> Measured:
        """Measure a bundled classifier on the test part of its data, or on ``--data``.

        Args:
            argument: bundle or run folder.
            request: may name data; whatever else it says is refused.

        Returns:
            Numbers and a sentence; see :meth:`measure`.

        Raises:
            ConfigError: something is given that only a policy has; a classifier is measured on data.
            TransferError: nobody knows its data, or it cannot name the classes of these.
        """
        self._refuse(
            argument,
            "it is measured on --data",
            request.of_policies,
        )
        return self.measure(argument, self.named_data(request.data), request)

    def publish(self, argument: str, folder: Path, onnx: bool) -> PublishedClassifier:
        """Write a bundled classifier as files that others load.

        Args:
            argument: bundle, run folder, or an address of a run.
            folder: an empty folder.
            onnx: write it as an ONNX graph too.

        Returns:
            What was written, and of what.

        Raises:
            ConfigError: no graph can be written of it.
            BundleError: it cannot be read, or no graph gives what it gives.
        """
        return publish_classifier(self.kind, argument, folder, onnx)

    def export_graph(self, argument: str, destination: Path) -> str:
        """A classifier as an ONNX graph; see :meth:`rl_transfer.frame.Room.export_graph`.

        Args:
            argument: bundle, run folder, or an address of a run.
            destination: the file to write, ending in ``.onnx``; it must not exist.

        Returns:
            How closely they agree.
        """
        return str(export_onnx(self.kind, Path(argument), destination))

    def score_sources(
        self, arguments: Sequence[str], request: ScoringRequest, say: Say = silent
    ) -> Sequence[SourceScores]:
        """Score classifiers on labelled training items of other data.

        Args:
            arguments: bundles, run folders, addresses of pretrained weights.
            request: the data, and how many labelled items of them may be used.
            say: gets a line before every source.

        Returns:
            In the order of ``arguments``.

        Raises:
            ConfigError: the items are of one class.
            RLTransferError: a source or the data cannot be read.
        """
        data = self.named_data(request.target)
        if data is None:
            raise ConfigError("no data are named to score sources on")
        target = LabelledTarget(self.kind, data, request.steps, request.seed)
        found = []
        for argument in arguments:
            say(f"scoring {argument}")
            path = place_of(argument)
            network = None if path.exists() else self.kind.find_pretrained(argument)
            found.append(score_network(network or load_network(self.kind, path), target))
        return found

    def _refuse(self, argument: str, instead: str, options: Mapping[str, object]) -> None:
        """Refuse options of policies, where any was given."""
        given = [name for name, value in options.items() if value is not None]
        if given:
            verb, pronoun = ("is", "it") if len(given) == 1 else ("are", "them")
            raise ConfigError(
                f"{argument} is {self.kind.classifier}; {instead}, and {in_words(given)} {verb} for policies "
                f"only. Leave {pronoun} out"
            )

    def named_data(self, argument: str | None) -> LabelledData | None:
        """The data set that ``--data`` names.

        Args:
            argument: a YAML file with a data config (alone, or under ``data``), or what the kind
                takes as plain text; None names none.

        Returns:
            The config; None if none is named.

        Raises:
            ConfigError: the file holds something else.
        """
        if argument is None:
            return None
        if not argument.endswith((".yaml", ".yml")):
            place = Place(f"command line (--data {argument})")
            document = Document({"kind": self.kind.name, "data": argument}, {("data",): place})
            return validate(self.kind.run_type, document).data
        document = read_yaml(locate(argument, "train"))
        nested = "data" in document.data
        places = document.places if nested else {("data", *key): at for key, at in document.places.items()}
        content = {"kind": self.kind.name, "data": document.data["data"] if nested else document.data}
        return validate(self.kind.run_type, Document(content, places)).data

    def measure(self, bundle: str, data: LabelledData | None, request: EvaluationRequest) -> Measured:
        """Measure a bundled classifier.

        Args:
            bundle: bundle or run folder.
            data: on what; None: the test part of the data that it was trained on.
            request: how it is aligned first, if at all.

        Returns:
            Accuracy, and per class and as a confusion matrix where the classes agree.

        Raises:
            ConfigError: the alignment is asked for in a way that makes no sense.
            ClassesDiffer: it cannot name the classes of the data.
            TransferError: nobody knows its data, or it was trained on all of them, or cannot be aligned.
        """
        network = load_network(self.kind, place_of(bundle))
        trunk = self._trunk(request)
        try:
            found_items = measurable(self.kind, network, data)
        except RLTransferError as error:
            error.message = f"{bundle}: {error.message}"
            raise
        classes, items = found_items.classes, found_items.items
        if not speaks_of(network.classes, classes):
            raise ClassesDiffer(
                f"the classifier knows the classes {', '.join(network.classes or ('(unnamed)',))}, but the "
                f"data have {', '.join(classes)}; `transfer` builds a new head"
            )
        aligned = None
        module, preprocessing = network.module, network.classifier.preprocessing
        if trunk is not None or request.coral:
            aligned = realign(self.kind, network, trunk, items, request.unlabelled or UNLABELLED)
            module, preprocessing, items = aligned.module, aligned.preprocessing, aligned.items
        names = network.classes or ()
        found = _predictions(module, preprocessing, items)
        same = names == classes
        accuracy = named_accuracy(found, names, classes)
        present = {classes[label] for label in np.unique(items.labels)}
        each = (
            {name: share for name, share in per_class(found, classes).items() if name in present}
            if same
            else None
        )
        numbers: dict[str, Json] = {
            self.kind.items: len(items),
            "accuracy": accuracy,
            "classes": [*classes],
            "per_class": None if each is None else {**each},
            "confusion": found.confusion(len(names)).tolist() if same else None,
            "left_out": found_items.left_out,
        }
        text = f"accuracy {accuracy:.3f} on {len(items):,} {found_items.text} of {len(classes)} classes"
        notes = [*found_items.notes]
        if aligned is not None:
            beside = {
                name: named_accuracy(_predictions(*each, items), names, classes)
                for name, each in aligned.beside.items()
            }
            numbers["aligned"] = {**aligned.facts, **beside}
            where = "in its features" if trunk is None else f"behind the trunk of {request.trunk}"
            text += f", aligned {where} by {aligned.facts['unlabelled']} others without labels"
            notes += [f"the classifier as it is: {beside['as_it_is']:.3f}"]
            if "shuffled" in beside:
                notes += [f"control, a map from shuffled pairs: {beside['shuffled']:.3f}"]
            notes += aligned.notes
        return Measured(numbers, "\n".join([text, *notes]))

    def _trunk(self, request: EvaluationRequest) -> Network | None:
        """The network that ``--trunk`` names."""
        if request.trunk is not None and request.coral:
            raise ConfigError(
                "--trunk maps features of the same items, --coral those of two domains; give one of them"
            )
        if request.unlabelled is not None and request.trunk is None and not request.coral:
            raise ConfigError(
                "--unlabelled says how many items estimate a map; it needs --trunk or --coral beside it"
            )
        if request.trunk is None:
            return None
        path = place_of(request.trunk)
        found = None if path.exists() else self.kind.find_pretrained(request.trunk)
        return found or load_network(self.kind, path)


def _predictions(module: nn.Module, preprocessing: Preprocessing, items: LabelledSet) -> Predictions:
    device = choose_device(SupervisedTraining())
    with measuring(module.to(device)):
        return predict(module, Batches(items, preprocessing), SupervisedEvaluation().batch_size, device)
