"""Distillation from a teacher: divergences and the annealed coefficient of kickstarting."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rl_transfer.core._text import shape_text
from rl_transfer.errors import TransferError


def categorical_kl(teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
    """KL(teacher ‖ student) of two categorical distributions.

        Σ_a p(a) (log p(a) − log q(a)),  p, q = softmax(logits)

    Kickstarting (Schmitt et al. 2018) minimises the cross-entropy, which has the same gradient.

    Args:
        teacher_logits: ``logits[batch, action]``; no gradient flows into it.
        student_logits: same shape.

    Returns:
        ``kl[batch]``, ≥ 0 up to rounding. Actions that the teacher excludes (−∞) add 0.

    Raises:
        TransferError: the shapes differ (a teacher with other actions).
    """
    _refuse_other_actions(teacher_logits, student_logits)
    log_p = torch.log_softmax(teacher_logits.detach(), dim=-1)
    log_q = torch.log_softmax(student_logits, dim=-1)
    p = log_p.exp()
    terms = torch.where(p > 0, p * (log_p - log_q), torch.zeros_like(p))
    return terms.sum(-1)


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

    ``initial · (1 − progress/until)``, and 0 from ``until`` on, so that the student is free of the
    teacher for the rest of the budget. (The paper adapts the weight by population-based training;
    a fixed schedule is its simpler variant.)

    Attributes:
        initial: weight at the start, > 0.
        until: share of the budget at which it ends, 0 < until ≤ 1.
    """

    initial: float
    until: float

    def __post_init__(self) -> None:
        if not (self.initial > 0 and 0 < self.until <= 1):
            raise TransferError(
                f"an annealed coefficient from {self.initial} until share {self.until} is impossible; "
                "give initial > 0 and 0 < until ≤ 1"
            )

    def at(self, progress: float) -> float:
        """The weight at ``progress``, the share of the budget spent (0 to 1).

        Args:
            progress: share of the budget spent, 0 to 1.

        Returns:
            The weight, from ``initial`` down to 0.
        """
        elapsed = progress / self.until
        return 0.0 if elapsed >= 1 else self.initial * (1 - elapsed)


def _refuse_other_actions(teacher: Tensor, student: Tensor) -> None:
    if teacher.shape != student.shape:
        raise TransferError(
            f"the teacher's distribution has shape {shape_text(teacher.shape)}, the student's "
            f"{shape_text(student.shape)}: a teacher must have the student's actions"
        )
