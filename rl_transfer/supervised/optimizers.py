"""Optimizers and learning-rate schedules from their configs."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from rl_transfer.spec.optimization import (
    AdamConfig,
    AdamWConfig,
    ConstantScheduleConfig,
    Optimizer,
    Schedule,
    SGDConfig,
    StepScheduleConfig,
)


def build_optimizer(config: Optimizer, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer over all parameters; frozen ones have no gradient and are passed over.

    Args:
        config: which one, and its rates.
        parameters: of the whole network.

    Returns:
        With one group of parameters.
    """
    if isinstance(config, SGDConfig):
        return torch.optim.SGD(
            parameters,
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            nesterov=config.nesterov,
        )
    cls = torch.optim.AdamW if isinstance(config, AdamWConfig) else torch.optim.Adam
    settings: AdamConfig | AdamWConfig = config
    return cls(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def rate_factor(config: Schedule, epoch: int, share: float) -> float:
    """What the learning rate is multiplied by.

    Step: factor^⌊epoch / every⌋ (torch's ``StepLR``). Cosine:
    final + (1 − final) · (1 + cos(π · share)) / 2. Constant: 1.

    Args:
        config: the schedule.
        epoch: epochs finished, 0 during the first.
        share: share of the budget spent, 0 at the first update.

    Returns:
        The factor, between 0 and 1 for a falling schedule.
    """
    if isinstance(config, ConstantScheduleConfig):
        return 1.0
    if isinstance(config, StepScheduleConfig):
        return float(config.factor ** (epoch // config.every))
    return config.final + (1 - config.final) * (1 + math.cos(math.pi * share)) / 2
