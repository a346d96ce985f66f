"""Everything a strategy does to a fresh classifier before and while it trains."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rl_transfer import core
from rl_transfer.core.digest import tensors_of
from rl_transfer.errors import TransferError
from rl_transfer.image.backbones import Classifier
from rl_transfer.seeding import generator
from rl_transfer.spec import StrategyVerbs
from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.bundle import Network
from rl_transfer.supervised.measures import Home
from rl_transfer.supervised.translate import core_strategy, with_matching_head

Term = Callable[[Tensor, Tensor, float], Tensor]
"""An extra term of the loss from (images, logits, share of the budget spent)."""

LONG_PLAN = 50
"""Tensors beyond which a plan is told part by part (the record has every one)."""


class Transfer:
    """Plans and applies a strategy to a classifier, then follows its schedules.

    Args:
        verbs: the strategy.
        classifier: freshly built for the target; changed in place.
        classes: the target's class names.
        source: what is copied from, None without a source.
        seed: of what the strategy draws (shuffling, adapters).

    Attributes:
        parts: the named parts of the classifier.
        plan: what was copied, reset and skipped, and why.
        frozen: what is frozen; none if the strategy freezes nothing.
        terms: extra terms of the loss.

    Raises:
        TransferError: the strategy does not fit the classifier or the source; nothing is trained.
    """

    def __init__(
        self,
        verbs: StrategyVerbs,
        classifier: Classifier,
        classes: tuple[str, ...],
        source: Network | None,
        seed: int,
    ) -> None:
        self._verbs, self._classifier, self._source = verbs, classifier, source
        self._model = classifier.module
        self.parts = classifier.parts
        self._strategy = core_strategy(verbs, self.parts, key="strategy")
        if source is not None and verbs.copy_:
            self._strategy = with_matching_head(self._strategy, self.parts, source.classes, classes)
            _refuse_other_inputs(source, classifier)
        self.plan = self._apply(seed)
        self.frozen = (
            core.freeze(
                self._model, self.parts, verbs.freeze, norm=verbs.norm, key=self._strategy.key_of("freeze")
            )
            if verbs.freeze
            else None
        )
        self._schedule = (
            core.ThawSchedule(self.frozen, self._strategy.thaw, key="strategy.thaw")
            if self.frozen is not None and self._strategy.thaw
            else None
        )
        self._share = 0.0
        self.adapters = self._add_adapters(seed)
        self.terms: list[Term] = []

    def _apply(self, seed: int) -> core.TransferPlan:
        plan = core.plan(
            self._source.state if self._source is not None and self._verbs.copy_ else None,
            self._model,
            self.parts,
            self._strategy,
            source_parts=self._source.parts if self._source is not None else None,
        )
        initial = self._verbs.initial
        if initial is not None and initial.kind == "shuffled":
            plan = core.shuffled(plan, np.random.default_rng(seed))
        elif initial is not None and initial.kind == "shrink_and_perturb":
            plan = core.shrunk_and_perturbed(
                plan, self._model, self.parts, shrink=initial.shrink, noise=initial.noise
            )
        core.apply(plan, self._model)
        return plan

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
        """The plan for people: tensor by tensor, or part by part for a large network."""
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
        return "\n".join([*lines, f"{self.plan.strategy}: {self.plan.summary()} tensors"])

    @property
    def is_static(self) -> bool:
        """Whether what is frozen stays so, and nothing but the labels enters the loss."""
        return self._schedule is None and self.adapters is None and not self.terms

    @property
    def learning_rates(self) -> dict[str, float]:
        """Selector → multiplier of the learning rate."""
        return dict(self._strategy.learning_rates)

    def prepare_terms(self, home: Home | None, seed: int) -> None:
        """Build the strategy's extra loss terms.

        Args:
            home: the source with its images, for EWC's Fisher information.
            seed: of the labels that are drawn from the source for it.

        Raises:
            TransferError: a term needs a source, its images or its classes, and they are not there.
        """
        anchor = self._verbs.anchor
        if anchor is not None:
            names = self.parts.select(anchor.parts, key="strategy.anchor.parts")
            reference = {name: self.plan.values[name] for name in names if name in self.plan.values}
            term: core.Anchor
            if anchor.kind == "l2_sp":
                term = core.L2SP(reference, strength=anchor.strength)
            else:
                batches = None if home is None else home.training_batches()
                fisher = self._fisher(set(reference), anchor.samples, batches, seed)
                term = core.EWC(reference, fisher, strength=anchor.strength)
            self.terms.append(lambda images, logits, share: term.penalty(self._model))
        if self._verbs.kickstart is not None:
            self.terms.append(self._distillation())

    def _distillation(self) -> Term:
        """Kickstarting (Schmitt et al. 2018): cross-entropy to the source's answers, annealed to nothing."""
        kickstart, source = self._verbs.kickstart, self._source
        if kickstart is None or source is None:
            raise TransferError("kickstart needs a source to learn from", key="strategy.kickstart")
        if source.classifier.head.outputs != self._classifier.head.outputs:
            raise TransferError(
                f"kickstart needs a teacher of the same classes; the source has "
                f"{source.classifier.head.outputs}, the target {self._classifier.head.outputs}",
                key="strategy.kickstart",
            )
        strength, until = kickstart.strength, kickstart.until

        def term(images: Tensor, logits: Tensor, share: float) -> Tensor:
            weight = strength * max(0.0, 1 - share / until)
            with torch.no_grad():
                teacher = functional.softmax(source.module(images), dim=1)
            return weight * functional.cross_entropy(logits, teacher)

        return term

    def _fisher(self, names: set[str], samples: int, batches: Batches | None, seed: int) -> dict[str, Tensor]:
        if self._source is None or batches is None:
            raise TransferError(
                "EWC estimates what mattered to the source on the source's images, which are not at hand; "
                "use anchor kind l2_sp",
                key="strategy.anchor",
            )
        network = copy.deepcopy(self._source.module)
        chosen = generator(seed, "fisher").permutation(len(batches))[:samples]
        images = torch.cat([batch for batch, _ in batches.at(chosen, 256)])
        drawn = torch.Generator().manual_seed(seed)

        def log_probabilities() -> Tensor:
            values = functional.log_softmax(network(images), dim=1)
            labels = torch.multinomial(values.detach().exp(), 1, generator=drawn)
            return values.gather(1, labels)[:, 0]

        parameters = {name: p for name, p in network.named_parameters() if name in names}
        return core.fisher_diagonal(log_probabilities, parameters)

    def progress(self, share: float) -> list[str]:
        """Follow the schedules to ``share`` of the budget; says what was thawed.

        Thawed normalisation layers go back to training mode: their statistics follow the target's
        data from then on. Held in evaluation mode they are fragile at high rates.
        """
        if self._schedule is None or self.frozen is None:
            return []
        if any(self._share < step.share <= share for step in self._schedule.steps):
            self.frozen.verify()
        self._share = share
        return [selector for step in self._schedule.update(share) for selector in step.selectors]

    def state(self) -> dict[str, Tensor]:
        """The classifier's tensors, adapters folded in."""
        if self.adapters is not None:
            return self.adapters.merged_state()
        return {name: tensor.detach() for name, tensor in tensors_of(self._model).items()}

    def record(self) -> dict[str, Any]:
        """Verify the freeze and describe what happened.

        Raises:
            FrozenTensorMoved: something frozen changed.
        """
        found = None
        if self.frozen is not None:
            self.frozen.verify()
            found = {
                "parts": list(self.frozen.parts),
                "tensors": list(self.frozen.tensors),
                "norm": self._verbs.norm,
                "digest_before": self.frozen.digest_before,
                "digest_after": self.frozen.digest_now(),
            }
        return {"plan": self.plan.rows(), "frozen": found}


def _refuse_other_inputs(source: Network, classifier: Classifier) -> None:
    """Copied weights expect the images as the source saw them."""
    theirs, ours = source.classifier.preprocessing, classifier.preprocessing
    for name in ("channels", "mean", "std"):
        if getattr(theirs, name) != getattr(ours, name):
            raise TransferError(
                f"the source saw images with {name} {getattr(theirs, name)}, the target's have "
                f"{getattr(ours, name)}; set model.input.{name} to the source's",
                key="model.input",
            )
