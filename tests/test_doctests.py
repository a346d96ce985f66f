"""Examples in docstrings run, and print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def with_examples() -> list[str]:
    names = []
    for source in (ROOT, ROOT / "envs"):
        for path in sorted(source.glob("rl_transfer*/**/*.py")):
            if ">>> " in path.read_text(encoding="utf-8"):
                names.append(
                    ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
                )
    return names


@pytest.mark.parametrize("name", with_examples())
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    results = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert results.attempted > 0, f"{name}: every example is skipped; show one that runs"
    assert results.failed == 0
