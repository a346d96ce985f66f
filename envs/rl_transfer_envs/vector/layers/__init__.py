"""Perturbations between agent and environment, over the instances of a batch.

Every layer uses the wrapper objects of its instances for values and random streams, so it gives
the numbers that the wrappers give. Where the arithmetic is elementwise it is done for all
instances at once; otherwise the wrappers are called one after another (``rowwise``).
"""

from __future__ import annotations

from rl_transfer_envs.vector.layers.base import ALL, BatchLayer, Rows
from rl_transfer_envs.vector.layers.stack import builder, stack_layers

__all__ = ["ALL", "BatchLayer", "Rows", "builder", "stack_layers"]
