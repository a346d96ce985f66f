"""Plain data as YAML that people read, and that every reader reads back to the same data."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter
from ruamel.yaml.resolver import implicit_resolvers

from rl_transfer.spec.base import Json

_STYLE = {
    "default_flow_style": False,
    "allow_unicode": True,
    "width": 2**16,  # no text is broken into several lines
    "sort_base_mapping_type_on_output": False,
}
_BLANK = re.compile("[\x85\u2028\u2029\ufeff]")
"""Printable to the writer, who does not quote them, and line breaks or nothing to readers."""
_OLD = [each for versions, _, each, _ in implicit_resolvers if (1, 1) in versions]
"""What readers of YAML 1.1 take for something else than a text: ``no``, ``1_000``, ``1:30``."""


class _Representer(SafeRepresenter):
    """Quotes what would be read as something else; writes floats so that every reader sees numbers."""

    def represent_str(self, data: str) -> ScalarNode:
        old = "'" if any(each.match(data) for each in _OLD) else None
        style = '"' if _BLANK.search(data) else old
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)

    def represent_float(self, data: float) -> ScalarNode:
        node: ScalarNode = super().represent_float(data)
        if "." not in node.value:  # YAML 1.1 takes 1e-05 for a text
            node.value = node.value.replace("e", ".0e")
        return node


_Representer.add_representer(str, _Representer.represent_str)
_Representer.add_representer(float, _Representer.represent_float)


def yaml_text(data: Mapping[str, Json]) -> str:
    """A mapping as a YAML document.

    >>> print(yaml_text({"name": "a: b", "license": "no", "seeds": [0, 1], "env": None}), end="")
    name: 'a: b'
    license: 'no'
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
    for option, value in {**_STYLE, "Representer": _Representer}.items():
        setattr(yaml, option, value)
    stream = io.StringIO()
    yaml.dump(dict(data), stream)
    return stream.getvalue()
