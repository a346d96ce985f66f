"""Which versions of the libraries made a result."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterable


def library_versions(names: Iterable[str]) -> dict[str, str]:
    """Distribution name → installed version, Python's first; what is not installed is left out.

    Args:
        names: names of distributions, as pip knows them.

    Returns:
        Names and versions, in the order given.
    """
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
