"""What a network is like inside: dormant and saturated units, effective rank, distances, agreement.

Numbers that describe. Nothing here is a test, and no threshold here decides anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

DORMANT = 0.025
"""τ: a unit whose score is at most this is dormant. Sokar et al. 2023 report on this value."""
SATURATED = 0.99
"""A unit whose mean |h| is at least this is saturated, for activations between −1 and 1."""


def dormant(outputs: Tensor) -> Tensor:
    """Which units of a layer are dormant.

        s_i = E|h_i| / (1/H · Σ_k E|h_k|),   dormant where s_i ≤ τ = 0.025

    with the expectation over the rows. Where all units are silent, all are dormant. Sokar, Agarwal,
    Castro & Evci 2023, "The dormant neuron phenomenon in deep reinforcement learning" (ICML).

    Args:
        outputs: ``float[row, unit]``, behind the activation; one row per input (and place, for feature maps).

    Returns:
        ``bool[unit]``.
    """
    means = outputs.detach().abs().mean(dim=0, dtype=torch.float64)
    return means <= DORMANT * means.mean()


def saturated(outputs: Tensor) -> Tensor:
    """Which units of a layer are saturated.

        E|h_i| ≥ 0.99

    For tanh the mean slope 1 − E h_i² of such a unit is at most 1 − 0.99² = 0.0199 (Jensen): it says nearly
    the same whatever it is shown, and hardly any gradient passes. What a dead ReLU is among ReLUs, this is
    among units with two ends (Dohare et al. 2024, Nature 632:768-774).

    Args:
        outputs: ``float[row, unit]`` between −1 and 1.

    Returns:
        ``bool[unit]``.
    """
    return outputs.detach().abs().mean(dim=0, dtype=torch.float64) >= SATURATED


def effective_rank(features: Tensor) -> float:
    """How many directions features fill.

        exp(−Σ_i p_i ln p_i),   p_i = σ_i / Σ_j σ_j

    with σ the singular values of the matrix as it is, not centred. Between 1 and min(row, feature); r for r
    orthogonal directions of equal strength. Roy & Vetterli 2007, "The effective rank: a measure of
    effective dimensionality" (EUSIPCO).

    Args:
        features: ``float[row, feature]``.

    Returns:
        The rank; 0 for features that are 0 throughout, NaN where one is no number.
    """
    matrix = features.detach().double()
    if not bool(torch.isfinite(matrix).all()):
        return math.nan
    values = torch.linalg.svdvals(matrix)
    total = values.sum()
    if total == 0:
        return 0.0
    shares = values / total
    return float(torch.special.entr(shares).sum().exp())


def relative_distance(start: Mapping[str, Tensor], end: Mapping[str, Tensor], names: Iterable[str]) -> float:
    """How far tensors have moved.

        ‖θ − θ_0‖₂ / ‖θ_0‖₂

    Args:
        start: name → θ_0.
        end: name → θ, of the same shapes.
        names: the tensors that are taken together.

    Returns:
        0 exactly where nothing moved; NaN where θ_0 is 0 and θ is not, and without tensors.
    """
    moved = scale = 0.0
    nothing = True
    for name in names:
        before, after = start[name].detach().double().cpu(), end[name].detach().double().cpu()
        moved += float((after - before).square().sum())
        scale += float(before.square().sum())
        nothing = False
    if nothing:
        return math.nan
    if moved == 0:
        return 0.0
    return math.sqrt(moved / scale) if scale > 0 else math.nan


def agreement(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """The cosine between two gradients of the same parameters.

        ⟨g, h⟩ / (‖g‖₂ ‖h‖₂)

    1: they pull in one direction; 0: they have nothing to do with each other; below 0: what one gains the
    other loses. Between gradients of two tasks it is the "gradient conflict" of Yu et al. 2020 (NeurIPS);
    between halves of the data of one task it says how much of a gradient is signal (Fort et al. 2019,
    "Stiffness").

    Args:
        first: gradients by one set of data, one per parameter.
        second: those of the same parameters by another set.

    Returns:
        From −1 to 1; NaN where one of the two gradients is 0 or no number.
    """
    product = squares = others = 0.0
    for one, other in zip(first, second, strict=True):
        g, h = one.detach().double(), other.detach().double()
        product += float((g * h).sum())
        squares += float(g.square().sum())
        others += float(h.square().sum())
    if not squares > 0 or not others > 0:
        return math.nan
    return max(-1.0, min(1.0, product / math.sqrt(squares) / math.sqrt(others)))
