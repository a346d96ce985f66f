"""What is published on the Hugging Face Hub: how repositories are addressed, and how ours are known again."""

from __future__ import annotations

import re

from rl_transfer import bounded
from rl_transfer.hub import Contents
from rl_transfer.report.data_card import SWEEP_TAG

_BUNDLE_FORMAT = "rl_transfer bundle"


def _is_bundle(content: bytes) -> bool:
    said = bounded.parse_json(content)
    return isinstance(said, dict) and said.get("format") == _BUNDLE_FORMAT


def _is_sweep_card(content: bytes) -> bool:
    start, _, rest = content.partition(b"---\n")
    return not start and f"- {SWEEP_TAG}".encode() in rest.partition(b"---\n")[0].splitlines()


NETWORKS = Contents(
    "model",
    re.compile(r"hf://((?!datasets/)[\w.-]+/[\w.-]+)"),
    "hf://user/repository",
    "bundle.json",
    _is_bundle,
    re.compile(r"[^/]+\.(zip|onnx)|vecnormalize\.pkl|config\.yaml"),
)
"""A bundle and what is published beside it."""
TABLES = Contents(
    "dataset",
    re.compile(r"hf://(?:datasets/)?((?!datasets/)[\w.-]+/[\w.-]+)"),
    "hf://datasets/user/repository",
    "README.md",
    _is_sweep_card,
    re.compile(r"(cells|seeds|curves)\.csv|suite\.yaml"),
)
"""The data set of a sweep."""
