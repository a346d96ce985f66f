"""Everything a strategy does to a fresh classifier before and while it trains."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from rl_transfer import core
from rl_transfer.core.digest import tensors_of
from rl_transfer.errors import TransferError
from rl_transfer.frame.freezing import FreezeSchedule
from rl_transfer.frame.initial import apply_initial
from rl_transfer.seeding import generator
from rl_transfer.spec import StrategyVerbs
from rl_transfer.spec.base import Json
from rl_transfer.spec.optimization import SupervisedTraining
from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.classifier import Classifier, Network
from rl_transfer.supervised.data import LabelledSet
from rl_transfer.supervised.kind import DataKind
from rl_transfer.supervised.matching import MatchTerm, match_term, refuse_unmatchable, unlabelled_items
from rl_transfer.supervised.measures import Home
from rl_transfer.supervised.series import in_series, refuse_displaced
from rl_transfer.supervised.splits import Splits
from rl_transfer.supervised.translate import core_strategy, with_matching_head
from rl_transfer.wording import counted

Term = Callable[[Tensor, Tensor, float], Tensor]
"""An extra term of the loss from (inputs, logits, share of the budget spent)."""

LONG_PLAN = 50
"""Tensors beyond which a plan is told part by part (the record has every one)."""


class ClassifierTransfer:
    """Plans and applies a strategy to a classifier, then follows its schedules.

    Args:
        kind: of the data.
        verbs: the strategy.
        classifier: freshly built for the target; changed in place.
        classes: the target's class names.
        source: what is copied from, None without a source.
        seed: of what the strategy draws (shuffling, adapters).

    Attributes:
        parts: the named parts of the classifier.
        plan: what was copied, reset and skipped, and why.
        frozen: what is frozen; none if the strategy freezes nothing.
        reference: the source's own values by the names of the tensors that they were copied to.
        terms: extra terms of the loss.
        match: the term that pulls source and target together, if there is one.
        unlabelled: items of the target that this term sees without their labels, if any.

    Raises:
        TransferError: the strategy does not fit the classifier or the source; nothing is trained.
    """

    def __init__(
        self,
        kind: DataKind,
        verbs: StrategyVerbs,
        classifier: Classifier,
        classes: tuple[str, ...],
        source: Network | None,
        seed: int,
    ) -> None:
        self._model = classifier.module
        self.parts = classifier.parts
        refuse_displaced(verbs, classifier)
        if verbs.norm == "adapt" and verbs.freeze and classifier.held_statistics is not None:
            raise TransferError(
                f"norm is adapt, and {classifier.held_statistics}; say norm: frozen, or thaw these layers",
                key="strategy.norm",
            )
        verbs = in_series(verbs, self.parts)
        self._verbs, self._classifier, self._source = verbs, classifier, source
        self._strategy = core_strategy(kind, verbs, self.parts)
        if source is not None and verbs.copy_:
            self._strategy = with_matching_head(self._strategy, self.parts, source.classes, classes)
        if source is not None and (verbs.copy_ or verbs.kickstart):
            _refuse_other_inputs(kind, source, classifier)
        origin = None if source is None else (source.state, source.parts)
        initial = apply_initial(self._model, self.parts, self._strategy, verbs, origin, seed)
        self.plan, self.reference = initial.plan, initial.reference
        self._freeze = FreezeSchedule(self._model, self.parts, self._strategy)
        self.adapters = self._add_adapters(seed)
        self.terms: list[Term] = []
        self.match: MatchTerm | None = None
        self.unlabelled: LabelledSet | None = None
        self._kind, self._classes = kind, classes
        if verbs.match is not None:
            refuse_unmatchable(verbs.match, source, self._trains_trunk())

    @property
    def frozen(self) -> core.FrozenParts | None:
        """What is frozen now; None if the strategy freezes nothing."""
        return self._freeze.frozen

    @property
    def taken_thaws(self) -> tuple[float, ...]:
        """The shares of the budget at which thaws happened so far, in order."""
        return self._freeze.taken

    def _add_adapters(self, seed: int) -> core.LowRankAdapters | None:
        wanted = self._verbs.low_rank
        if wanted is None:
            return None
        adapters = core.add_low_rank(
            self._model,
            self.parts,
            wanted.parts,
            rank=wanted.rank,
            alpha=wanted.alpha,
            generator=torch.Generator().manual_seed(seed),
            key="strategy.low_rank.parts",
        )
        self.parts = self._classifier.parts
        return adapters

    def describe(self) -> str:
        """The plan for people.

        Returns:
            A table, tensor by tensor; part by part for a large network.
        """
        if len(self.plan.entries) <= LONG_PLAN:
            return self.plan.table()
        counts: dict[str, Counter[str]] = {}
        for row in self.plan.entries:
            counts.setdefault(row.part or "not in the target", Counter())[row.action] += 1
        width = max(map(len, counts))
        lines = [
            f"{part.ljust(width)}  {', '.join(f'{action} {count}' for action, count in found.items())}"
            for part, found in counts.items()
        ]
        name = f"{self.plan.strategy}: " if self.plan.strategy else ""
        return "\n".join([*lines, f"{name}{self.plan.summary()} tensors"])

    def schedule(self) -> str | None:
        """Gradual unfreezing for people.

        Returns:
            How many steps it has, and when; None without it.
        """
        gradual, steps = self._verbs.gradual, self._strategy.thaw
        if gradual is None:
            return None
        shares = f"from {gradual.start:.0%} to {gradual.end:.0%} of the budget" if len(steps) > 1 else ""
        count = counted(len(steps), "step")
        return (
            f"gradual unfreezing in {count}, from the output down {shares or f'at {gradual.start:.0%} of it'}"
        )

    @property
    def is_static(self) -> bool:
        """Whether what is frozen stays so, and nothing but the labels enters the loss."""
        return not self._freeze.thaws and self.adapters is None and not self.terms and self.match is None

    @property
    def learning_rates(self) -> dict[str, float]:
        """Selector → multiplier of the learning rate."""
        return dict(self._strategy.learning_rates)

    def _trains_trunk(self) -> bool:
        live = tensors_of(self._model)
        trunk = [name for part in self.parts if part.role == "trunk" for name in part.tensor_names]
        return bool(self._freeze.pending) or any(live[name].requires_grad for name in trunk)

    def prepare_terms(
        self, home: Home | None, target: Splits, training: SupervisedTraining, seed: int
    ) -> None:
        """Build the strategy's extra loss terms.

        Args:
            home: the source with its data, for EWC's Fisher information and for what is matched.
            target: the run's data, of which unlabelled items may be matched.
            training: optimizer and augmentation of the run.
            seed: of the labels and items that are drawn from the source.

        Raises:
            TransferError: a term needs a source, its data or its classes, and they are not there.
        """
        anchor = self._verbs.anchor
        if anchor is not None:
            names = self.parts.select(anchor.parts, key="strategy.anchor.parts")
            reference = {name: self.reference[name] for name in names if name in self.reference}
            term: core.Anchor
            if anchor.kind == "l2_sp":
                term = core.L2SP(reference, strength=anchor.strength)
            else:
                batches = None if home is None else home.training_batches()
                fisher = self._fisher(set(reference), anchor.samples, batches, seed)
                term = core.EWC(reference, fisher, strength=anchor.strength)
            self.terms.append(lambda inputs, logits, share: term.penalty(self._model))
        if self._verbs.kickstart is not None:
            self.terms.append(self._distillation())
        if self._verbs.match is not None:
            preprocessing = self._classifier.preprocessing
            augmentation = self._kind.augmentation(training, preprocessing)
            self.unlabelled = unlabelled_items(self._verbs.match, target, seed)
            unlabelled = (
                None if self.unlabelled is None else Batches(self.unlabelled, preprocessing, augmentation)
            )
            self.match = match_term(
                self._verbs.match,
                self._model,
                self.parts,
                self._classes,
                home,
                unlabelled,
                augmentation,
                training.optimizer,
                seed,
            )

    def _distillation(self) -> Term:
        """Kickstarting (Schmitt et al. 2018): cross-entropy to the source's answers, annealed to nothing."""
        kickstart, source = self._verbs.kickstart, self._source
        if kickstart is None or source is None:
            raise TransferError("kickstart needs a source to learn from", key="strategy.kickstart")
        if not source.has_head:
            raise TransferError(
                "kickstart needs a teacher that answers, but the source's weights have no head",
                key="strategy.kickstart",
            )
        if source.classifier.outputs != self._classifier.outputs:
            raise TransferError(
                f"kickstart needs a teacher of the same classes; the source has "
                f"{source.classifier.outputs}, the target {self._classifier.outputs}",
                key="strategy.kickstart",
            )
        coefficient = core.AnnealedCoefficient(kickstart.strength, kickstart.until)

        def term(inputs: Tensor, logits: Tensor, share: float) -> Tensor:
            with torch.no_grad():
                teacher = functional.softmax(source.module(inputs), dim=1)
            return coefficient.at(share) * functional.cross_entropy(logits, teacher)

        return term

    def _fisher(self, names: set[str], samples: int, batches: Batches | None, seed: int) -> dict[str, Tensor]:
        if self._source is None or batches is None:
            raise TransferError(
                "EWC estimates what mattered to the source on the source's data, which are not at hand; "
                "use anchor kind l2_sp",
                key="strategy.anchor",
            )
        network = copy.deepcopy(self._source.module)
        chosen = generator(seed, "fisher").permutation(len(batches))[:samples]
        inputs = torch.cat([batch for batch, _ in batches.at(chosen, 256)])
        drawn = torch.Generator().manual_seed(seed)

        def log_probabilities() -> Tensor:
            values = functional.log_softmax(network(inputs), dim=1)
            labels = torch.multinomial(values.detach().exp(), 1, generator=drawn)
            return values.gather(1, labels)[:, 0]

        parameters = {name: p for name, p in network.named_parameters() if name in names}
        return core.fisher_diagonal(log_probabilities, parameters)

    def progress(self, share: float) -> list[str]:
        """Follow the thaw schedule; see :meth:`rl_transfer.frame.FreezeSchedule.progress`.

        Thawed normalisation layers go back to training mode: their statistics follow the target's
        data from then on. Held in evaluation mode they are fragile at high rates.

        Args:
            share: share of the budget spent, 0 to 1.

        Returns:
            The selectors that became trainable by this call.
        """
        return self._freeze.progress(share)

    def state(self) -> dict[str, Tensor]:
        """The classifier's tensors.

        Returns:
            As the bundle keeps them: adapters are folded in.
        """
        if self.adapters is not None:
            return self.adapters.merged_state()
        return {name: tensor.detach() for name, tensor in tensors_of(self._model).items()}

    def record(self) -> dict[str, Json]:
        """Verify the freeze and describe what happened.

        Returns:
            ``plan``, ``frozen`` and ``thaws`` of the record.

        Raises:
            FrozenTensorMoved: something frozen changed.
        """
        frozen = self._freeze.record()
        return {"plan": [*self.plan.rows()], "frozen": frozen, "thaws": self._freeze.thaws_record()}


def _refuse_other_inputs(kind: DataKind, source: Network, classifier: Classifier) -> None:
    """Copied weights, and a teacher, expect the items as the source saw them."""
    theirs, ours = source.classifier.preprocessing.relied_on(), classifier.preprocessing.relied_on()
    for name, value in theirs.items():
        if ours.get(name) != value:
            raise TransferError(
                f"the source saw {kind.items} with {name} {value}, the target's have {ours.get(name)}; "
                f"set model.input.{name} to the source's",
                key="model.input",
            )
