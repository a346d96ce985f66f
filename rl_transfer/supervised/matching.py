"""The gap between source and target as a term of the loss: CORAL, MMD, or a discriminator to mislead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rl_transfer.core import Layer, PartMap
from rl_transfer.core.adversarial import DomainDiscriminator, domain_loss, reversal_weight, reversed_gradient
from rl_transfer.core.gaps import LEAST, Estimator, coral, gap_by_label, mmd
from rl_transfer.core.layer_outputs import layer_outputs
from rl_transfer.errors import TransferError
from rl_transfer.seeding import generator, integer_seed
from rl_transfer.spec.optimization import Optimizer
from rl_transfer.spec.strategy import LEAST_MATCHED, DistributionMatch, Selectors
from rl_transfer.supervised.batches import Batch, Batches
from rl_transfer.supervised.classifier import Augmentation, Network
from rl_transfer.supervised.data import LabelledSet
from rl_transfer.supervised.measures import Home
from rl_transfer.supervised.optimizers import build_optimizer
from rl_transfer.supervised.series import layers_in_series
from rl_transfer.supervised.splits import Splits
from rl_transfer.wording import listing

KEY = "strategy.match"
ESTIMATORS: Mapping[str, Estimator] = {"coral": coral, "mmd": mmd}


class MatchTerm:
    """Compares what layers give on items of the target and on as many of the source's training items.

    Both pass through the network in evaluation mode, beside the forward pass that the labels are learned by:
    batch statistics of each domain would hide the gap that is measured afterwards. Source items are augmented
    as the target's are. The target's are the minibatch of the update, or as many drawn from unlabelled ones.

    Args:
        config: the verb.
        model: that is trained.
        layers: name → layer; the gaps are summed.
        source: items to draw from.
        target: unlabelled items to draw from; None: the minibatch is compared.
        names: target's class → its label, for the source's labels of a conditional gap; -1: it has none.
        optimizer: of discriminators: that of the run, whose learning rate they have at every update too, as
            Ganin et al. 2016 train both.
        seed: of the minibatches and of the discriminators.
    """

    def __init__(
        self,
        config: DistributionMatch,
        model: nn.Module,
        layers: Mapping[str, Layer],
        source: Batches,
        target: Batches | None,
        names: Tensor,
        optimizer: Optimizer,
        seed: int,
    ) -> None:
        self._config, self._model, self._layers = config, model, dict(layers)
        self._source, self._target, self._names = source, target, names
        self._generator = generator(seed, "match")
        self._critics = self._discriminators(optimizer, seed) if config.kind == "adversarial" else None

    def __call__(self, inputs: Tensor, labels: Tensor, share: float) -> Tensor:
        """The term of one update.

        Args:
            inputs: of the target's minibatch.
            labels: of it.
            share: of the budget that is spent.

        Returns:
            A scalar; 0 where the minibatches share no class.
        """
        count = max(LEAST, min(len(inputs), len(self._source)))
        batch, given = self._drawn(self._source, count)
        theirs = self._features(batch.to(inputs.device))
        compared = inputs if self._target is None else self._drawn(self._target, count)[0].to(inputs.device)
        mine = self._features(compared)
        if self._critics is not None:
            return self._critics.loss(theirs, mine, reversal_weight(share) * self._config.strength)
        known = self._names[given].to(labels.device)
        terms = [
            gap
            for name in self._layers
            if (gap := self._gap(theirs[name], mine[name], known, labels)) is not None
        ]
        return self._config.strength * torch.stack(terms).sum() if terms else inputs.new_zeros(())

    def after_update(self, rate: float) -> None:
        """Let the discriminators take their step, where there are any.

        Args:
            rate: learning rate of this update.
        """
        if self._critics is not None:
            self._critics.step(rate)

    def kept(self) -> dict[str, object]:
        """What a checkpoint holds of it: the generator, and discriminators with their optimizer."""
        found: dict[str, object] = {"generator": self._generator}
        if self._critics is not None:
            found |= {"discriminators": self._critics.modules, "optimizer": self._critics.optimizer}
        return found

    def _drawn(self, items: Batches, count: int) -> Batch:
        chosen = self._generator.integers(len(items), size=count)
        return next(items.at(chosen, count, int(self._generator.integers(2**31))))

    def _features(self, inputs: Tensor) -> dict[str, Tensor]:
        found = layer_outputs(self._model, self._layers, lambda: self._model(inputs))
        return {name: each.float() for name, each in found.items()}

    def _gap(self, source: Tensor, target: Tensor, theirs: Tensor, mine: Tensor) -> Tensor | None:
        estimator = ESTIMATORS[self._config.kind]
        if len(target) < LEAST:
            return None
        if not self._config.conditional:
            return estimator(source, target)
        named = theirs >= 0
        found = gap_by_label(estimator, source[named], target, theirs[named], mine, LEAST)
        return None if found is None else found.value

    def _discriminators(self, optimizer: Optimizer, seed: int) -> _Discriminators:
        inputs, _ = next(self._source.at(np.arange(min(LEAST, len(self._source))), LEAST))
        with torch.no_grad():
            widths = {name: each.shape[1] for name, each in self._features(inputs).items()}
        return _Discriminators.of(widths, optimizer, seed)


@dataclass
class _Discriminators:
    """One for each layer, and the optimizer of all of them."""

    modules: nn.ModuleDict
    optimizer: torch.optim.Optimizer

    @classmethod
    def of(cls, widths: Mapping[str, int], optimizer: Optimizer, seed: int) -> _Discriminators:
        found = {
            name.replace(".", "/"): DomainDiscriminator(width, integer_seed(seed, "discriminator", name))
            for name, width in widths.items()
        }
        modules = nn.ModuleDict(found)
        return cls(modules, build_optimizer(optimizer, modules.parameters()))

    def loss(self, source: Mapping[str, Tensor], target: Mapping[str, Tensor], weight: float) -> Tensor:
        terms = []
        for name, critic in self.modules.items():
            sides = [each[name.replace("/", ".")] for each in (source, target)]
            one, other = (reversed_gradient(each, weight) for each in sides)
            terms.append(domain_loss(critic.to(one.device), one, other))
        return torch.stack(terms).sum()

    def step(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def match_term(
    config: DistributionMatch,
    model: nn.Module,
    parts: PartMap,
    classes: tuple[str, ...],
    home: Home | None,
    unlabelled: Batches | None,
    augmentation: Augmentation | None,
    optimizer: Optimizer,
    seed: int,
) -> MatchTerm:
    """The term of a strategy's ``match``.

    Args:
        config: the verb, selectors of first layers written out.
        model: that is trained.
        parts: of it.
        classes: of the target.
        home: the source with its data.
        unlabelled: items of the target to draw from; None: the minibatch of each update is compared.
        augmentation: of the target's training items.
        optimizer: of the run.
        seed: of everything that is drawn.

    Returns:
        The term.

    Raises:
        TransferError: the source's data are not at hand, the sides share no class, or the parts are
            no trunk's.
    """
    layers = trunk_ends(config.parts, parts)
    splits = None if home is None else home.splits
    batches = None if home is None else home.training_batches()
    if splits is None or batches is None:
        raise TransferError(
            "match compares the target's items with those that the source was trained on, and these are not "
            "at hand: put them where the source's config has them, train the source here, or leave match out",
            key=KEY,
        )
    shared = [name for name in splits.classes if name in classes]
    if config.conditional and not shared:
        raise TransferError(
            f"match with conditional: true compares items of one class, and the source's classes "
            f"({listing(splits.classes)}) are none of the target's ({listing(classes)}); use "
            "conditional: false",
            key=f"{KEY}.conditional",
        )
    chosen = generator(seed, "match", "items").permutation(len(batches))[: config.samples]
    source = batches.of(chosen, augmentation)
    names = torch.tensor([classes.index(name) if name in classes else -1 for name in splits.classes])
    return MatchTerm(config, model, layers, source, unlabelled, names, optimizer, seed)


def unlabelled_items(config: DistributionMatch, target: Splits, seed: int) -> LabelledSet | None:
    """The target's items that the term sees without their labels.

    Args:
        config: the verb.
        target: the data of the run.
        seed: of the draw.

    Returns:
        As many as the verb asks for, none of them trained, validated or tested on; None if it asks for none.

    Raises:
        TransferError: there are fewer.
    """
    if config.unlabelled is None:
        return None
    left = len(target.unlabelled)
    if left < config.unlabelled:
        raise TransferError(
            f"match wants {config.unlabelled} {target.items} of the target without labels, and {left} are "
            "left beside those with labels; data.shots says how many of each class have labels (without it "
            f"all have), so lower it{f', or say unlabelled: {left}' if left >= LEAST_MATCHED else ''}",
            key=f"{KEY}.unlabelled",
        )
    chosen = generator(seed, "match", "unlabelled").permutation(left)[: config.unlabelled]
    return target.unlabelled.subset(chosen)


def refuse_unmatchable(config: DistributionMatch, source: Network | None, trained: bool) -> None:
    """Refuse, before data are opened, what can match nothing.

    Args:
        config: the verb.
        source: what is copied from.
        trained: whether any of the trunk is trained, now or after a thaw.

    Raises:
        TransferError: the source has no data of its own, or nothing that could move the features is trained.
    """
    if source is not None and source.data is None:
        raise TransferError(
            f"match of kind {config.kind} needs items that the source was trained on, and weights from "
            "elsewhere come without; name data for the source, or use anchor kind l2_sp",
            key=KEY,
        )
    if not trained:
        raise TransferError(
            "match pulls features together by training the trunk, and the whole trunk is frozen", key=KEY
        )


def trunk_ends(selectors: Selectors, parts: PartMap) -> dict[str, Layer]:
    """The layers whose outputs are compared.

    Args:
        selectors: of each the last layer of the trunk that it selects, in the order of the network.
        parts: of the classifier.

    Returns:
        Name → layer.

    Raises:
        TransferError: a selector matches nothing, or the head alone.
    """
    order = [layer for one in layers_in_series(parts) for layer in one]
    found: dict[str, Layer] = {}
    for index, selector in enumerate(selectors):
        key = f"{KEY}.parts.{index}"
        chosen = set(parts.layers([selector], key=key))
        mine = [layer for layer in order if layer in chosen]
        if not mine:
            raise TransferError(
                f"{selector!r} is no trunk; match compares features, and a head gives classes", key=key
            )
        found[f"{mine[-1].part}.{mine[-1].index}"] = mine[-1]
    return found
