"""The transfer core: parts, plans, freezing, digests and bundles, on any ``torch.nn.Module``."""

from rl_transfer.core.bundle import Bundle, load_bundle, save_bundle
from rl_transfer.core.digest import digest_model, digest_tensors, tensors_of
from rl_transfer.core.freeze import FrozenParts, freeze
from rl_transfer.core.parts import Layer, Part, PartMap, PartRule, Role, TensorInfo, count_parameters
from rl_transfer.core.schedule import ThawStep
from rl_transfer.core.strategy import Strategy
from rl_transfer.core.transfer import PlanRow, TransferPlan, apply, plan

__all__ = [
    "Bundle",
    "FrozenParts",
    "Layer",
    "Part",
    "PartMap",
    "PartRule",
    "PlanRow",
    "Role",
    "Strategy",
    "TensorInfo",
    "ThawStep",
    "TransferPlan",
    "apply",
    "count_parameters",
    "digest_model",
    "digest_tensors",
    "freeze",
    "load_bundle",
    "plan",
    "save_bundle",
    "tensors_of",
]
