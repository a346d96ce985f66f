"""Distillation from a teacher: divergences and the annealed coefficient of kickstarting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rl_transfer.core._text import shape_text
from rl_transfer.errors import TransferError


def categorical_kl(teacher_logits: Tensor, student_logits: Tensor, *, temperature: float = 1.0) -> Tensor:
    """KL(teacher ‖ student) of two categorical distributions.

        T² · Σ_a p(a) (log p(a) − log q(a)),  p, q = softmax(logits / T)

    Kickstarting (Schmitt et al. 2018) minimises the cross-entropy, which has the same gradient.
    The factor T² keeps the gradient's size (Hinton et al. 2015); T = 1 for policies.

    Args:
        teacher_logits: ``logits[batch, action]``; no gradient flows into it.
        student_logits: same shape.
        temperature: T > 0.

    Returns:
        ``kl[batch]``, ≥ 0 up to rounding. Actions that the teacher excludes (−∞) add 0.

    Raises:
        TransferError: the shapes differ (a teacher with other actions).
    """
    _refuse_other_actions(teacher_logits, student_logits)
    if not temperature > 0:
        raise TransferError(f"the distillation temperature is {temperature}; it must be > 0")
    log_p = torch.log_softmax(teacher_logits.detach() / temperature, dim=-1)
    log_q = torch.log_softmax(student_logits / temperature, dim=-1)
    p = log_p.exp()
    terms = torch.where(p > 0, p * (log_p - log_q), torch.zeros_like(p))
    return temperature**2 * terms.sum(-1)


def gaussian_kl(
    teacher_mean: Tensor, teacher_std: Tensor, student_mean: Tensor, student_std: Tensor
) -> Tensor:
    """KL(teacher ‖ student) of two diagonal Gaussians.

        Σ_d [ log(σ_s/σ_t) + (σ_t² + (μ_t − μ_s)²) / (2 σ_s²) − ½ ]

    Squashing both through the same tanh leaves it unchanged (SAC). A deterministic policy
    (TD3, DDPG) has no standard deviation: use the squared distance of the actions instead.

    Args:
        teacher_mean: ``mean[batch, dimension]``; no gradient flows into the teacher.
        teacher_std: standard deviations > 0, broadcastable to it.
        student_mean: same shape as ``teacher_mean``.
        student_std: standard deviations > 0, broadcastable to it.

    Returns:
        ``kl[batch]``.

    Raises:
        TransferError: the means' shapes differ (a teacher with other actions).
    """
    _refuse_other_actions(teacher_mean, student_mean)
    mean, std = teacher_mean.detach(), teacher_std.detach()
    distance = (std.square() + (mean - student_mean).square()) / (2 * student_std.square())
    return (student_std.log() - std.log() + distance - 0.5).sum(-1)


@dataclass(frozen=True)
class AnnealedCoefficient:
    """The weight of a distillation loss over training, falling to 0 (Schmitt et al. 2018).

    >>> [AnnealedCoefficient(initial=2.0, until=0.5).at(progress) for progress in (0.0, 0.25, 0.5, 1.0)]
    [2.0, 1.0, 0.0, 0.0]

    ``linear``: ``initial · (1 − progress/until)``. ``exponential``:
    ``initial · final_fraction^(progress/until)``. Both are 0 from ``until`` on, so that the
    student is free of the teacher for the rest of the budget. (The paper adapts the weight by
    population-based training; a fixed schedule is its simpler variant.)

    Attributes:
        initial: weight at the start, > 0.
        until: share of the budget at which it ends, 0 < until ≤ 1.
        shape: ``linear`` or ``exponential``.
        final_fraction: what is left of ``initial`` just before ``until``; exponential only.
    """

    initial: float
    until: float
    shape: Literal["linear", "exponential"] = "linear"
    final_fraction: float = 0.01

    def __post_init__(self) -> None:
        if not (self.initial > 0 and 0 < self.until <= 1 and 0 < self.final_fraction < 1):
            raise TransferError(
                f"an annealed coefficient from {self.initial} until share {self.until} (final fraction "
                f"{self.final_fraction}) is impossible; give initial > 0, 0 < until ≤ 1, "
                "0 < final_fraction < 1"
            )
        if self.shape not in ("linear", "exponential"):
            raise TransferError(f"annealing shape {self.shape!r} is unknown; give linear or exponential")

    def at(self, progress: float) -> float:
        """The weight at ``progress``, the share of the budget spent (0 to 1).

        Args:
            progress: share of the budget spent, 0 to 1.

        Returns:
            The weight, from ``initial`` down to 0.
        """
        elapsed = progress / self.until
        if elapsed >= 1:
            return 0.0
        if self.shape == "linear":
            return self.initial * (1 - elapsed)
        return self.initial * float(self.final_fraction**elapsed)


def _refuse_other_actions(teacher: Tensor, student: Tensor) -> None:
    if teacher.shape != student.shape:
        raise TransferError(
            f"the teacher's distribution has shape {shape_text(teacher.shape)}, the student's "
            f"{shape_text(student.shape)}: a teacher must have the student's actions"
        )
