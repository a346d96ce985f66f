"""A source's head behind another trunk, or on another domain: a linear map of features, without labels.

    pairs of items → features of target and source → map target_to_source → folded into the source's head

Two uses: the *same* items through two networks (a head moves to another backbone), and items of two domains
that belong together (a picture and its negative) through one trunk.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rl_transfer.core.alignment import AlignmentMap, fit_ridge
from rl_transfer.core.pairing import PairingCheck, check_pairing, doubts
from rl_transfer.core.structured_maps import fit_coral
from rl_transfer.errors import TransferError
from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.classifier import Network
from rl_transfer.supervised.data import LabelledSet
from rl_transfer.supervised.evaluate import measuring
from rl_transfer.supervised.features import Penultimate

CPU = torch.device("cpu")
BATCH_SIZE = 256


@dataclass(frozen=True, eq=False)
class AlignedHead:
    """What an alignment made.

    Attributes:
        module: the target's network with the source's head folded behind the map.
        classes: the source's class names, in the order of the logits; None if nobody knows them.
        map: from the target's features to the source's.
        check: of the pairs; None where the two sides are not paired.
        doubts: sentences that a person should read before relying on the map.
    """

    module: nn.Module
    classes: tuple[str, ...] | None
    map: AlignmentMap
    check: PairingCheck | None
    doubts: tuple[str, ...]


def features_of(network: Network, items: LabelledSet) -> NDArray[np.float64]:
    """What enters a network's head, for every item.

    Args:
        network: on the CPU.
        items: of its kind of data.

    Returns:
        ``float64[item, feature]``.

    Raises:
        TransferError: the network has several heads, or its head reads maps and not vectors.
    """
    _linear(network)
    batches = Batches(items, network.classifier.preprocessing)
    with measuring(network.module):
        found = Penultimate(network.module, network.classifier.heads[0]).of_part(batches, BATCH_SIZE, CPU)
    return found.double().numpy()


def align_head(
    source: Network,
    target: Network,
    given: LabelledSet,
    wanted: LabelledSet,
    rng: np.random.Generator,
    *,
    paired: bool = True,
) -> AlignedHead:
    """Put the source's head behind the target's trunk; no label is used and neither network is changed.

        logits = W_source (A · trunk_target(x) + b) + b_source

    Source: the head of Lenc & Vedaldi 2015, "Understanding image representations by measuring their
    equivariance and equivalence", with A in closed form instead of trained on labels; unpaired:
    Sun, Feng & Saenko 2016, "Return of frustratingly easy domain adaptation".

    Args:
        source: has the head.
        target: has the trunk; may be the source itself, on another domain.
        given: items as the target's network sees them.
        wanted: item i is what belongs to item i of ``given``, as the source's network sees it; the same set
            where only the networks differ. Unpaired: any items of the source's domain.
        rng: draws what the check of the pairs shuffles.
        paired: leave-one-out chooses the penalty of a ridge map. False: match means and covariances instead
            (CORAL, each covariance with its mean variance added), for which both trunks must have as many
            features.

    Returns:
        The network, and what the map is worth.

    Raises:
        TransferError: a head is no linear layer on vectors, or the two sets differ in size where they
            are paired.
    """
    head = _linear(source)
    if not source.has_head:
        raise TransferError("the source's weights came without a trained head; there is no head to move")
    if paired and len(given) != len(wanted):
        raise TransferError(
            f"the target has {len(given)} items and the source {len(wanted)}; item i of the one must belong "
            "to item i of the other. For items that do not belong together say paired=False"
        )
    x, y = features_of(target, given), features_of(source, wanted)
    if paired:
        found = fit_ridge(x, y, "target_to_source", "auto")
        check = check_pairing(x, y, rng)
    else:
        found, check = fit_coral(x, y, "target_to_source", 1.0), None
    module = copy.deepcopy(target.module)
    path = target.classifier.heads[0]
    parent, _, name = path.rpartition(".")
    setattr(module.get_submodule(parent), name, folded(head, found))
    return AlignedHead(module.eval(), source.classes, found, check, tuple(doubts(found, check)))


def folded(head: nn.Linear, found: AlignmentMap) -> nn.Linear:
    """A linear head behind a map, as one linear head.

    Args:
        head: reads what the map gives.
        found: the map.

    Returns:
        A layer that gives ``head(map(x))`` for x.
    """
    weight = head.weight.detach().double()
    bias = torch.zeros(head.out_features, dtype=torch.float64) if head.bias is None else head.bias.detach()
    layer = nn.Linear(found.matrix.shape[1], head.out_features)
    with torch.no_grad():
        layer.weight.copy_(weight @ _tensor(found.matrix))
        layer.bias.copy_(weight @ _tensor(found.offset) + bias.double())
    return layer


def _tensor(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))


def _linear(network: Network) -> nn.Linear:
    """The head, where it is one linear layer."""
    heads = network.classifier.heads
    layer = network.module.get_submodule(heads[0]) if len(heads) == 1 else None
    if not isinstance(layer, nn.Linear):
        what = f"{len(heads)} heads" if layer is None else f"a {type(layer).__name__} as head"
        raise TransferError(f"the network has {what}; a map of features folds into one linear head only")
    return layer
