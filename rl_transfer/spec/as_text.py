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
    data = {"kind": suite.kind, **suite.model_dump(mode="json", by_alias=True, exclude_defaults=True)}
    for written, strategy in zip(data["strategies"], suite.strategies, strict=True):
        if "norm" in strategy.model_fields_set:  # left out, a classifier's suite may read it as "adapt"
            written["norm"] = strategy.norm
    return yaml_text(data)
