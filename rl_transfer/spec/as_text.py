"""A suite as a YAML file that says the same."""

from __future__ import annotations

from rl_transfer.spec.matrix import MatrixConfig
from rl_transfer.spec.yaml_text import yaml_text


def as_yaml(suite: MatrixConfig) -> str:
    """A suite as a file that loads as the same suite; what has its default is left out.

    Args:
        suite: as it was loaded, overrides included.

    Returns:
        YAML that ends with a line break.
    """
    return yaml_text(
        {"kind": suite.kind, **suite.model_dump(mode="json", by_alias=True, exclude_defaults=True)}
    )
