"""The transfer core: parts, plans, freezing, digests and bundles, on any ``torch.nn.Module``."""

from rl_transfer.core.digest import digest_model, digest_tensors, tensors_of
from rl_transfer.core.parts import Layer, Part, PartMap, PartRule, Role, TensorInfo, count_parameters

__all__ = [
    "Layer",
    "Part",
    "PartMap",
    "PartRule",
    "Role",
    "TensorInfo",
    "count_parameters",
    "digest_model",
    "digest_tensors",
    "tensors_of",
]
