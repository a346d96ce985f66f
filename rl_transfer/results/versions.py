"""Which versions of the libraries made a result."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterable
from functools import cache

POLICIES = ("rl-transfer", "stable-baselines3", "sb3-contrib", "gymnasium", "torch", "numpy")
CLASSIFIERS = ("rl-transfer", "torch", "numpy")
PICTURES = ("torchvision", "timm", "pillow")
"""Distributions that can change a number of policies, of classifiers, and of those of pictures besides."""


def library_versions(names: Iterable[str]) -> dict[str, str]:
    """Distribution name → installed version, Python's first; what is not installed is left out.

    Args:
        names: names of distributions, as pip knows them.

    Returns:
        Names and versions, in the order given.
    """
    found = {"python": platform.python_version()}
    for name in names:
        version = _installed(name)
        if version is not None:
            found[name] = version
    return found


@cache
def _installed(name: str) -> str | None:
    """Read once in a process: what is imported stays what it is."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
