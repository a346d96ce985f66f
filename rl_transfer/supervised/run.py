"""One supervised run from its config to its record: chance, pretrained weights, or training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rl_transfer import core
from rl_transfer.core import isolated
from rl_transfer.errors import ConfigError, TransferError
from rl_transfer.frame import Say
from rl_transfer.frame.checkpoint import Checkpoints
from rl_transfer.frame.run import execute_run
from rl_transfer.results import RunFolder
from rl_transfer.spec.base import Json
from rl_transfer.spec.labelled import LabelledData
from rl_transfer.spec.supervised import SupervisedRun
from rl_transfer.supervised import seeds
from rl_transfer.supervised.bundle import load_network
from rl_transfer.supervised.kind import DataKind
from rl_transfer.supervised.measures import accuracy_by_name
from rl_transfer.supervised.predictions import speaks_of
from rl_transfer.supervised.scores import LabelledTarget, score_network
from rl_transfer.supervised.sources import measured_on, save_pretrained
from rl_transfer.supervised.training import ClassifierTraining


def execute(
    kind: DataKind, run: SupervisedRun, folder: RunFolder, source: Path | None = None, say: Say = print
) -> None:
    """Execute one run and leave its finished record in ``folder``.

    Args:
        kind: of the run's data.
        run: everything that can change the result.
        folder: the run's folder; what an interrupted attempt left there is cleared, but for a checkpoint.
        source: bundle of the source network, if the strategy needs one.
        say: gets a line now and then.

    Raises:
        RLTransferError: anything that the run was given is wrong; nothing finished is lost.
    """

    def work(checkpoints: Checkpoints) -> Mapping[str, Json]:
        if run.policy == "random":
            return _random(kind, run, folder)
        if run.policy == "pretrained":
            return _pretrained(kind, run, folder, say)
        if run.policy == "scored":
            return _scored(kind, run, source)
        with isolated(seeds.training_seed(run)):
            return ClassifierTraining(kind, run, folder, source, say).execute(checkpoints)

    execute_run(run, folder, kind.versions(), work, say)


def _data_of(run: SupervisedRun) -> LabelledData:
    if run.data is None:
        raise TransferError("a run needs data to be measured on")
    return run.data


def _random(kind: DataKind, run: SupervisedRun, folder: RunFolder) -> dict[str, Json]:
    """Chance: the expected accuracy of a uniform guess, 1 / classes, however they are distributed."""
    splits = kind.split(_data_of(run), run.root_seed, run.seed)
    folder.append_evaluation(0, 0, [1 / len(splits.classes)], [len(splits.test)])
    return {"data": splits.summary()}


def _scored(kind: DataKind, run: SupervisedRun, source: Path | None) -> dict[str, Json]:
    """A source on labelled training items of the target, before anything is trained there."""
    if run.scores is None or source is None:
        raise TransferError("a run that scores a source needs a source, and the items that it may use")
    target = LabelledTarget(kind, _data_of(run), run.scores.steps, run.root_seed, run.seed)
    found = score_network(load_network(kind, source), target, run.scores.bar)
    return {
        "source_run": run.source,
        "source_scores": found.plain(),
        "measured": False,
        "notes": [*found.notes],
    }


def _pretrained(kind: DataKind, run: SupervisedRun, folder: RunFolder, say: Say) -> dict[str, Json]:
    """Weights from elsewhere as a source: bundled as they are, measured where data are given."""
    if run.model is None or run.weights is None:
        raise TransferError("a pretrained source needs a model and weights")
    network = measured_on(kind.load_pretrained(run.model, run.weights), run)
    score = None
    if run.data is not None:
        splits = kind.split(run.data, run.root_seed, run.seed)
        if not speaks_of(network.classes, splits.classes):
            raise ConfigError(
                f"the pretrained head cannot name the classes {', '.join(splits.classes[:6])}, so this "
                "source cannot be measured on these data; leave data out",
                key="data",
            )
        score = accuracy_by_name(network, splits, run.evaluation.batch_size)
        folder.append_evaluation(0, 0, [score], [len(splits.test)])
        say(f"pretrained weights: accuracy {score:.4f}")
    address: dict[str, Json] = {"root_seed": run.root_seed, "seed": run.seed}
    extra: dict[str, Json] = {"run": folder.path.name, "score": score, "seeds": address}
    save_pretrained(kind, folder.bundle, network, extra)
    return {
        "pretrained": dict(network.metadata),
        "measured": score is not None,
        "parameters": {**core.count_parameters(network.module)},
    }
