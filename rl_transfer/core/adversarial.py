"""Domain-adversarial training: a discriminator, and the layer that turns its gradient around."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from rl_transfer.core.randomness import isolated


def reversal_weight(progress: float) -> float:
    """λ of the gradient that reaches the features, over training (Ganin et al. 2016, section 5.2.2).

        2 / (1 + exp(−10 p)) − 1

    From 0, so that features are not pulled about by a discriminator that knows nothing yet, to nearly 1.

    Args:
        progress: p, share of the budget spent, 0 to 1.
    """
    return 2 / (1 + math.exp(-10 * progress)) - 1


def reversed_gradient(features: Tensor, weight: float) -> Tensor:
    """The features themselves, whose gradient is multiplied by −weight on its way back.

    Args:
        features: of any shape.
        weight: ≥ 0.
    """
    # Forward: features. Backward: −weight; what is detached has no gradient.
    return (1 + weight) * features.detach() - weight * features


class DomainDiscriminator(nn.Module):
    """Says whether features are the source's: one hidden layer of ReLUs.

    Features are divided by the size that they have in the first batch, so that one learning rate serves
    layers of any scale.

    Args:
        features: how many there are.
        seed: of the initial weights.
    """

    hidden = 64

    def __init__(self, features: int, seed: int) -> None:
        super().__init__()
        with isolated(seed):
            self.layers = nn.Sequential(
                nn.Linear(features, self.hidden), nn.ReLU(), nn.Linear(self.hidden, 1)
            )
        self.register_buffer("scale", torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        """Logits of "from the source".

        Args:
            features: ``float[row, feature]``.

        Returns:
            ``float[row]``.
        """
        scale: Tensor = self.scale  # type: ignore[assignment]
        if scale == 0:
            scale.copy_(features.detach().square().mean().sqrt().clamp(min=1e-6))
        logits: Tensor = self.layers(features / scale)[:, 0]
        return logits


def domain_loss(discriminator: nn.Module, source: Tensor, target: Tensor) -> Tensor:
    """The discriminator's cross-entropy, both domains with the same weight.

        ½ E_s[−log D(f)] + ½ E_t[−log(1 − D(f))]

    log 2 where it cannot tell them apart.

    Args:
        discriminator: features → logits of "from the source".
        source: ``float[row, feature]``.
        target: likewise.

    Returns:
        A scalar with gradient.
    """
    mine, theirs = discriminator(source), discriminator(target)
    return (
        functional.binary_cross_entropy_with_logits(mine, torch.ones_like(mine))
        + functional.binary_cross_entropy_with_logits(theirs, torch.zeros_like(theirs))
    ) / 2
