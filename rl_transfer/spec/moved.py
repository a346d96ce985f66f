"""Import paths that configs and bundles of older versions name, and where those things are today."""

from __future__ import annotations

MOVED = {
    "rl_transfer.rl.extractors": "rl_transfer.rl.policies.extractors",  # 0.1.0
}
"""Module → module. Only what a YAML file or a bundle can name belongs here."""


def current_path(path: str) -> str:
    """Today's form of an import path; paths that did not move come back as they are.

    Args:
        path: ``module:Name``.

    Returns:
        ``module:Name`` as it can be imported now.
    """
    module, colon, name = path.partition(":")
    return f"{MOVED.get(module, module)}{colon}{name}"
