"""Plain data as YAML that people read, and that every reader reads back to the same data."""

from __future__ import annotations

import io
from collections.abc import Mapping

from ruamel.yaml import YAML

from rl_transfer.spec.base import Json

_WIDEST = 2**16
"""Characters of a line; no text is broken into several."""


def yaml_text(data: Mapping[str, Json]) -> str:
    """A mapping as a YAML document.

    >>> print(yaml_text({"name": "a: b", "seeds": [0, 1], "env": None}), end="")
    name: 'a: b'
    seeds:
    - 0
    - 1
    env: null

    Args:
        data: JSON data.

    Returns:
        The text, keys in the order given, with a line break at its end.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = _WIDEST
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment] # annotated as None
    stream = io.StringIO()
    yaml.dump(dict(data), stream)
    return stream.getvalue()
