"""The examples in docstrings do what they say."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WITH_EXAMPLES = sorted(
    path
    for package in (ROOT / "rl_transfer", ROOT / "envs" / "rl_transfer_envs")
    for path in package.rglob("*.py")
    if re.search(r"^\s*>>> ", path.read_text(encoding="utf-8"), re.MULTILINE)
)


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.stem)
def test_examples_in_docstrings_hold(path: Path) -> None:
    base = ROOT if ROOT / "rl_transfer" in path.parents else ROOT / "envs"
    name = ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__")
    assert doctest.testmod(importlib.import_module(name)).failed == 0
