"""The one protocol of a room that executes runs; every kind of run implements it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from rl_transfer.frame.scores import ScoringRequest, SourceScores
from rl_transfer.results import Labels, RunFolder
from rl_transfer.results.portraits import Portraits
from rl_transfer.results.published import Published
from rl_transfer.spec import Environment, MatrixConfig
from rl_transfer.spec.base import Json
from rl_transfer.spec.experiment import RunConfig

Say = Callable[[str], None]


def silent(_text: str) -> None:
    """A :data:`Say` that says nothing."""


"""Gets a line for people now and then."""

Facts = Mapping[str, Mapping[str, Mapping[str, Json]]]
"""``sources`` and ``targets`` → name → what the preflight found out."""
MEMORY = "memory"
"""The fact that stays out of the manifest: bytes that the largest run needs beside what every run needs."""


@dataclass(frozen=True)
class FoundSource:
    """What ``--source`` names.

    Attributes:
        bundle: folder of the source's bundle.
        identity: what the run id hashes: a run id, or ``digest:…`` of a foreign bundle.
        described: what the bundle says of itself that a run may take over.
        notes: what was assumed while a foreign source was read, one sentence each.
    """

    bundle: Path
    identity: str
    described: Mapping[str, Json] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class InspectionHints:
    """What a user adds where a foreign file does not tell; a room refuses what makes no sense for its kind.

    Attributes:
        env: environment that a policy was trained in: id, shipped target or YAML file.
        algorithm: SB3's name of the algorithm.
    """

    env: str | None = None
    algorithm: str | None = None


@dataclass(frozen=True)
class EvaluationRequest:
    """What is to be measured, and on what; None: not given. A room refuses what makes no sense for its kind.

    Attributes:
        env: id, shipped target, YAML file or an environment; None: what the policy was trained in.
        data: folder or YAML file of labelled data; None: what the classifier was trained on.
        episodes: number of seeded episodes, ≥ 1; RL only, None: 100.
        seed: root seed of the episodes; RL only, None: 0.
        deterministic: the likeliest action instead of a sampled one; RL only, None: the likeliest.
        algorithm: SB3's name of the algorithm, where a foreign file does not tell; RL only.
        mask_zeros: hold the inputs of a foreign policy at 0 that never moved in training; RL only.
        success: least return of a success, or the entry of an episode's last ``info`` that says so; RL only.
        trunk: a network whose trunk is put before the head of the one that is measured; classifiers only.
        coral: make the features of the data like those of the training data first; classifiers only.
        unlabelled: how many items of the data estimate the map of ``trunk`` or ``coral``, ≥ 2.
    """

    env: str | Environment | None = None
    data: str | None = None
    episodes: int | None = None
    seed: int | None = None
    deterministic: bool | None = None
    algorithm: str | None = None
    mask_zeros: bool | None = None
    success: float | str | None = None
    trunk: str | None = None
    coral: bool | None = None
    unlabelled: int | None = None

    @property
    def of_classifiers(self) -> dict[str, object]:
        """The options that only classifiers have, by their names on the command line; None: not given."""
        return {"--trunk": self.trunk, "--coral": self.coral, "--unlabelled": self.unlabelled}

    @property
    def of_policies(self) -> dict[str, object]:
        """The options that only policies have, by their names on the command line; None: not given."""
        return {
            "--env": self.env,
            "--episodes": self.episodes,
            "--seed": self.seed,
            "--stochastic": self.deterministic,
            "--algorithm": self.algorithm,
            "--mask-zeros": self.mask_zeros,
            "--success": self.success,
        }


@dataclass(frozen=True)
class Measured:
    """What an evaluation found.

    Attributes:
        data: every number, for ``--json``.
        text: the same in a sentence or two.
    """

    data: Mapping[str, Json]
    text: str

    def __getitem__(self, key: str) -> Json:
        return self.data[key]

    def __str__(self) -> str:
        return self.text


RunT = TypeVar("RunT", bound=RunConfig)
SuiteT = TypeVar("SuiteT", bound=MatrixConfig)


class Room(Protocol[RunT, SuiteT]):
    """What a kind of run offers to sweeps and to the command line."""

    @property
    def labels(self) -> Labels:
        """What its numbers are called."""

    def execute(self, run: RunT, folder: RunFolder, source: Path | None, say: Say = print) -> None:
        """Execute one run and leave its finished record in ``folder``.

        Args:
            run: everything that can change the result.
            folder: the run's folder.
            source: folder of the source's bundle; None where the run needs none.
            say: gets a line now and then.

        Raises:
            RLTransferError: anything that the run was given is wrong; nothing finished is lost.
        """

    def resolve_run(self, run: RunT, say: Say = silent) -> RunT:
        """Decide what a single run's config leaves open, before the run gets its id.

        Args:
            run: as its file says it.
            say: gets a line on each decision.

        Returns:
            The run that can be named and executed.

        Raises:
            RLTransferError: something was asked for that the run cannot have.
        """

    def resolve(self, suite: SuiteT, say: Say = silent) -> SuiteT:
        """Fill in what only files tell (digests and tasks of sources that exist), and decide what is open.

        Args:
            suite: as its file says it; sources that exist may lack task and digest.
            say: gets a line on each decision.

        Returns:
            The suite whose runs can be planned.

        Raises:
            RLTransferError: such a source cannot be read, or something was asked for that a run cannot have.
        """

    def preflight(self, suite: SuiteT, say: Say = silent) -> Facts:
        """Refuse what would fail later, before anything is trained.

        Args:
            suite: as ``resolve`` gave it: every source has its task.
            say: gets a line now and then.

        Returns:
            Facts for the manifest.

        Raises:
            RLTransferError: with the key of the config that is at fault.
        """

    def portray(self, suite: SuiteT, known: Portraits) -> Iterable[Portraits]:
        """What the tasks of a suite are, in words and pictures for a report.

        Called while the runs of the suite are executed, by a thread beside them.

        Args:
            suite: as ``preflight`` accepted it, or as its file says it.
            known: the portraits that are there.

        Returns:
            What is to take their place, one after the other: empty ones at once, where ``known`` is of other
            tasks, then those that were drawn.
        """

    def find_source(self, argument: str, output: Path) -> FoundSource:
        """The source that ``--source`` names; a foreign one is imported below ``output`` first.

        Args:
            argument: bundle, run folder, foreign file, or an address that the kind knows.
            output: the results folder.

        Returns:
            Its bundle, and what the run id hashes of it.

        Raises:
            RLTransferError: there is no such source, or it cannot be read.
        """

    def inspect(self, argument: str, hints: InspectionHints) -> Sequence[Mapping[str, Json]]:
        """The tensors of a source, part after part.

        Args:
            argument: as for :meth:`find_source`; nothing is imported.
            hints: what the file does not tell.

        Returns:
            Rows as :func:`rl_transfer.core.inventory` gives them.

        Raises:
            RLTransferError: it cannot be read.
        """

    def evaluate(self, argument: str, request: EvaluationRequest) -> Measured:
        """Measure a policy or classifier.

        Args:
            argument: as for :meth:`find_source`; nothing is imported.
            request: on what.

        Returns:
            The numbers, and a sentence that tells them.

        Raises:
            RLTransferError: it cannot be read, or measured on that.
        """

    def publish(self, argument: str, folder: Path, onnx: bool) -> Published:
        """Write a policy or classifier as files that others load.

        Args:
            argument: bundle, run folder, or an address of a run.
            folder: an empty folder.
            onnx: write it as an ONNX graph too.

        Returns:
            What was written, and of what.

        Raises:
            RLTransferError: it cannot be read, or no graph of it is written.
        """

    def export_graph(self, argument: str, destination: Path) -> str:
        """Write a policy or classifier as an ONNX graph, if that gives what it gives.

        Args:
            argument: bundle, run folder, or an address of a run.
            destination: the file to write, ending in ``.onnx``; it must not exist.

        Returns:
            How closely they agree, and on how much: a phrase that follows *it*.

        Raises:
            RLTransferError: it cannot be read, or no graph of it is written.
        """

    def score_sources(
        self, arguments: Sequence[str], request: ScoringRequest, say: Say = silent
    ) -> Sequence[SourceScores]:
        """Score sources on a target before anything is trained there.

        Args:
            arguments: each as for :meth:`find_source`; nothing is imported.
            request: the target, and how much of it each source may use.
            say: gets a line before every source.

        Returns:
            In the order of ``arguments``; one that cannot act in the target says so.

        Raises:
            RLTransferError: a source or the target cannot be read, or the budget is too small: the least is
                named.
        """
