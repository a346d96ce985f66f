"""Sources changed on purpose: shrink-and-perturb, and the shuffled-source control."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from rl_transfer.core.digest import tensors_of
from rl_transfer.core.parts import PartMap
from rl_transfer.core.transfer import TransferPlan
from rl_transfer.errors import TransferError


def shuffled(plan: TransferPlan, rng: np.random.Generator) -> TransferPlan:
    """The plan with every copied tensor's elements permuted within the tensor.

    A control: the source's weight statistics without its knowledge. What a strategy gains with
    a shuffled source, it does not owe to what the source learned. Buffers (running statistics)
    are permuted as well.

    Args:
        plan: not changed.
        rng: one permutation per tensor is drawn, in the order of the sorted names.

    Returns:
        A plan of the same rows with other values.
    """
    values = dict(plan.values)
    for name in sorted(values):
        value = values[name]
        order = torch.from_numpy(rng.permutation(value.numel()))
        values[name] = value.reshape(-1)[order.to(value.device)].reshape(value.shape)
    return _noted(plan, values, "permuted within the tensor")


def shrunk_and_perturbed(
    plan: TransferPlan, model: nn.Module, part_map: PartMap, *, shrink: float, noise: float
) -> TransferPlan:
    """The plan with every copied parameter scaled down and mixed with the fresh initialisation.

        w ← shrink · w_source + noise · w_fresh

    Ash & Adams 2020, "On Warm-Starting Neural Network Training". As in the authors' code, the
    noise is a freshly initialised network, which respects how differently layers are
    initialised; the paper's text says N(0, σ²). Buffers are copied as they are.

    Args:
        plan: not changed.
        model: the target before :func:`rl_transfer.core.apply`, still freshly initialised.
        part_map: of ``model``; tells parameters from buffers.
        shrink: 0 ≤ shrink ≤ 1.
        noise: factor ≥ 0.

    Returns:
        A plan of the same rows with other values.

    Raises:
        TransferError: a factor out of its range.
    """
    if not (0 <= shrink <= 1 and 0 <= noise < float("inf")):
        raise TransferError(
            f"shrink-and-perturb with shrink {shrink} and noise {noise} is impossible; "
            "give 0 ≤ shrink ≤ 1 and noise ≥ 0"
        )
    live = tensors_of(model)
    values = dict(plan.values)
    for name, value in plan.values.items():
        if part_map.tensors[name].kind == "parameter":
            fresh = live[name].detach()
            values[name] = shrink * value.to(fresh.device) + noise * fresh
    return _noted(plan, values, f"shrink {shrink:g}, noise {noise:g}")


def _noted(plan: TransferPlan, values: dict[str, Tensor], note: str) -> TransferPlan:
    """The plan with new values, and the note in the reason of every row whose value changed."""
    changed = {name for name, value in values.items() if value is not plan.values[name]}
    entries = tuple(
        replace(row, reason="; ".join(filter(None, (row.reason, note)))) if row.tensor in changed else row
        for row in plan.entries
    )
    return replace(plan, entries=entries, values=values)
