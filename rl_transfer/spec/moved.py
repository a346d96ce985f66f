"""Import paths that configs and bundles of older versions name, and where those things are today."""

from __future__ import annotations

from rl_transfer.spec.base import Json

MOVED = {
    "rl_transfer.rl.extractors": "rl_transfer.rl.policies.extractors",  # 0.1.0
}
"""Module → module. Only what a YAML file or a bundle can name belongs here."""
_FIRST = {now: first for first, now in MOVED.items()}


def current_path(path: str) -> str:
    """Today's form of an import path; paths that did not move come back as they are.

    Args:
        path: ``module:Name``.

    Returns:
        ``module:Name`` as it can be imported now.
    """
    return _followed(path, MOVED)


def under_first_paths(data: Json) -> Json:
    """A config in which every moved import path is spelt as it first was.

    Ids are hashes of this form: a module that moves changes none, and both its paths have one id.

    Args:
        data: a resolved config.

    Returns:
        The same config; only texts ``module:Name`` of moved modules differ.
    """
    if isinstance(data, dict):
        return {key: under_first_paths(value) for key, value in data.items()}
    if isinstance(data, list):
        return [under_first_paths(value) for value in data]
    return _followed(data, _FIRST) if isinstance(data, str) else data


def _followed(path: str, table: dict[str, str]) -> str:
    module, colon, name = path.partition(":")
    return f"{table.get(module, module)}{colon}{name}" if colon else path
