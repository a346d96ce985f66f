"""The weights that training starts from: what is copied, and how it is changed on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from rl_transfer import core
from rl_transfer.core import PartMap
from rl_transfer.spec import StrategyVerbs


@dataclass(frozen=True)
class InitialWeights:
    """What was put into a fresh model.

    Attributes:
        plan: what was copied, reset and skipped, and why.
        reference: the source's values by the target's tensor names, before any change on purpose;
            what anchors (L2-SP, EWC) hold the model near to.
    """

    plan: core.TransferPlan
    reference: Mapping[str, Tensor]


def apply_initial(
    model: nn.Module,
    parts: PartMap,
    strategy: core.Strategy,
    verbs: StrategyVerbs,
    source: tuple[Mapping[str, Tensor], PartMap] | None,
    seed: int,
) -> InitialWeights:
    """Plan the copy, change it as the strategy says, and apply it: all or nothing.

    Args:
        model: freshly initialised for the target; changed in place.
        parts: its named parts.
        strategy: the core's form of the strategy.
        verbs: the spec's form; its ``initial`` says what is changed on purpose.
        source: tensors and parts of the source; None without one.
        seed: of what is drawn (shuffling).

    Returns:
        The applied plan and the source's own values.

    Raises:
        TransferError: the source does not fit; the model is as it was.
    """
    state, source_parts = source if source is not None else (None, None)
    plan = core.plan(
        state if strategy.needs_source else None, model, parts, strategy, source_parts=source_parts
    )
    reference = plan.values
    initial = verbs.initial
    if initial is not None and initial.kind == "shuffled":
        plan = core.shuffled(plan, np.random.default_rng(seed))
    elif initial is not None and initial.kind == "shrink_and_perturb":
        plan = core.shrunk_and_perturbed(plan, model, parts, shrink=initial.shrink, noise=initial.noise)
    core.apply(plan, model)
    return InitialWeights(plan, reference)
