"""Every public function, class and method of the package says what goes in, comes out and is raised."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import rl_transfer_envs
from support.docstrings import lacking
from support.faces import Definition, Member

PACKAGE = Path(rl_transfer_envs.__file__).parent
TREES = {
    path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}
CLASSES = {
    node.name: node for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
}


def inherited(node: ast.ClassDef) -> set[str]:
    """Methods that a class has from classes of this package; those are documented there."""
    names = set[str]()
    for written in node.bases:
        base = written.value if isinstance(written, ast.Subscript) else written
        if isinstance(base, ast.Name) and base.id in CLASSES:
            parent = CLASSES[base.id]
            names |= inherited(parent)
            names |= {each.name for each in parent.body if isinstance(each, ast.FunctionDef)}
    return names


def public(tree: ast.Module) -> Iterator[Member]:
    """Public functions and classes of a module, and the methods that are new in its classes."""
    for node in tree.body:
        if not isinstance(node, Definition) or node.name.startswith("_"):
            continue
        known = inherited(node) if isinstance(node, ast.ClassDef) else set[str]()
        yield Member("", node.name, node, called="__init__" not in known)
        if isinstance(node, ast.ClassDef):
            own = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name not in known]
            for method in own:
                if not method.name.startswith("_"):
                    yield Member("", f"{node.name}.{method.name}", method)


@pytest.mark.parametrize("module", TREES)
def test_everything_public_is_documented(module: str) -> None:
    missing = [f"{each.name}: {', '.join(lacking(each))}" for each in public(TREES[module]) if lacking(each)]
    assert not missing, "\n".join(missing)


def test_what_is_missing_is_seen() -> None:
    tree = ast.parse('def spread(value):\n    """Spread it."""\n    total = value\n    return total\n')
    (member,) = public(tree)
    assert lacking(member) == ["Args: value", "Returns"]
