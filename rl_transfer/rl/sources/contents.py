"""What is in a policy: its parts and tensors with shapes, counts and digests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rl_transfer.core import inventory
from rl_transfer.rl.policies.normalization import PREFIX
from rl_transfer.rl.sources.load import load_source


def inspect(argument: str | Path, **hints: Any) -> list[dict[str, Any]]:
    """The tensors of a policy, part after part; rows as :func:`rl_transfer.core.inventory` gives them.

    Args:
        argument: a bundle, run folder or foreign policy.
        hints: for foreign policies, as :func:`rl_transfer.rl.sources.load.load_source` takes them.
    """
    policy = load_source(argument, **hints)
    statistics = {name: each for name, each in policy.bundle.tensors.items() if name.startswith(PREFIX)}
    return inventory(policy.parts, policy.state, statistics)
