"""Small networks laid out like the ones that the core meets."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rl_transfer.core import PartMap, PartRule, Strategy, TransferPlan, apply, plan


class ActorCritic(nn.Module):
    """The layout of an actor-critic MLP policy: two trunks, two heads, a bare ``log_std``."""

    RULES: ClassVar = {
        "features": PartRule(("features_extractor",), "trunk"),
        "policy_trunk": PartRule(("mlp_extractor.policy_net",), "trunk"),
        "value_trunk": PartRule(("mlp_extractor.value_net",), "trunk"),
        "action_head": PartRule(("action_net",), "head"),
        "value_head": PartRule(("value_net",), "head"),
        "log_std": PartRule(("log_std",), "head"),
    }

    def __init__(self, observations: int = 4, actions: int = 2, width: int = 8, depth: int = 2) -> None:
        super().__init__()
        self.log_std = nn.Parameter(torch.zeros(actions))
        self.features_extractor = nn.Flatten()
        self.mlp_extractor: Any = nn.ModuleDict(
            {"policy_net": _mlp(observations, width, depth), "value_net": _mlp(observations, width, depth)}
        )
        self.action_net = nn.Linear(width, actions)
        self.value_net = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.features_extractor(x)
        policy = self.mlp_extractor["policy_net"](x)
        return self.action_net(policy), self.value_net(self.mlp_extractor["value_net"](x))

    def parts(self) -> PartMap:
        return PartMap.build(self, self.RULES)


class ConvNet(nn.Module):
    """Convolution, BatchNorm and Dropout in the trunk, BatchNorm in the head too."""

    RULES: ClassVar = {"trunk": PartRule(("trunk",), "trunk"), "head": PartRule(("head",), "head")}

    def __init__(self, channels: int = 2, classes: int = 3) -> None:
        super().__init__()
        self.trunk: Any = nn.Sequential(
            *(nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5)),
            *(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()),
        )
        self.head: Any = nn.Sequential(
            nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.Linear(8, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.trunk(x))
        return logits

    def parts(self) -> PartMap:
        return PartMap.build(self, self.RULES)


class SharedExtractor(nn.Module):
    """One convolutional extractor under three names, as in a CNN actor-critic policy."""

    RULES: ClassVar = {
        "features": PartRule(
            ("features_extractor", "pi_features_extractor", "vf_features_extractor"), "trunk"
        ),
        "action_head": PartRule(("action_net",), "head"),
        "value_head": PartRule(("value_net",), "head"),
    }

    def __init__(self, share: bool = True) -> None:
        super().__init__()
        self.features_extractor: Any = _small_cnn()
        self.pi_features_extractor: Any = self.features_extractor
        self.vf_features_extractor: Any = self.features_extractor if share else _small_cnn()
        self.action_net = nn.Linear(4, 2)
        self.value_net = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        policy = self.action_net(self.pi_features_extractor(x))
        return policy, self.value_net(self.vf_features_extractor(x))

    def parts(self) -> PartMap:
        return PartMap.build(self, self.RULES)


def _small_cnn() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 4))


def _mlp(inputs: int, width: int, depth: int) -> nn.Sequential:
    layers = [[nn.Linear(*each), nn.Tanh()] for each in pairwise([inputs, *[width] * depth])]
    return nn.Sequential(*(module for layer in layers for module in layer))


def one_part(model: nn.Module, **parts: str) -> PartMap:
    """The part map of a network of one prefix per part (``top`` is a head); without parts of one trunk."""
    prefixes = parts or {"body": ""}
    return PartMap.build(
        model,
        {name: PartRule((each,), "head" if name == "top" else "trunk") for name, each in prefixes.items()},
    )


def transferred(source: Any, target: Any, parts: PartMap | None = None, **strategy: Any) -> TransferPlan:
    """The plan from one network to another, carried out; without a word it copies everything."""
    how = Strategy("s", **{"copy": ("all",), **strategy})
    made = plan(source.state_dict(), target, parts or target.parts(), how)
    apply(made, target)
    return made
