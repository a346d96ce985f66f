"""No two things of one name, no module named like the standard library's, one spelling of normalization."""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (ROOT / "rl_transfer", ROOT / "envs" / "rl_transfer_envs")

PUBLISHED = {"MissingExtraError"}
"""The environments stand alone, so both packages have one of these."""


def modules(*folders: Path) -> Iterator[tuple[str, str]]:
    """Name and text of every module."""
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            yield path.relative_to(folder.parent).as_posix(), path.read_text(encoding="utf-8")


def defined() -> dict[str, list[str]]:
    """Public class → the modules that define it."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, text in modules(*PACKAGES):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(name)
    return found


def test_public_classes_have_names_of_their_own() -> None:
    twice = {name: places for name, places in defined().items() if len(places) > 1}
    assert not {name: twice[name] for name in twice.keys() - PUBLISHED}


def test_no_module_is_called_like_one_of_the_standard_library() -> None:
    stems = {name: Path(name).stem for name, _ in modules(*PACKAGES)}
    taken = {name for name, stem in stems.items() if stem in sys.stdlib_module_names}
    assert taken <= {name for name, stem in stems.items() if stem.startswith("__")}, taken


def identifiers(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        for field in ("name", "id", "attr", "arg", "asname", "module"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield value


def test_identifiers_spell_normalization_one_way() -> None:
    spelt = re.compile("normalis", re.IGNORECASE)
    bad = []
    for name, text in modules(*PACKAGES, ROOT / "tests"):
        words = identifiers(ast.parse(text)) if spelt.search(text) else ()
        bad += [f"{name}: {word}" for word in {name, *words} if spelt.search(word)]
    assert not bad, "prose is British, identifiers say normalization"
