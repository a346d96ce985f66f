"""Options that no product code uses: parameters with defaults that no call in the product gives a value.

Of public functions and of constructors, dataclasses included. Calls are told apart by the callee's last name
only; a call with ``*`` or ``**`` gives everything; functions that are passed on as values, to be called
elsewhere, are left out. So what is found is certain; ``tests/test_options.py`` says what may stay.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

CALLED_BY_FRAMEWORKS = ("command", "callback", "register_perturbation", "overload")
"""Decorators of what nobody calls by its name."""


@dataclass
class Given:
    """What the calls of one name pass, all together."""

    positions: int = 0
    keywords: set[str] = field(default_factory=set)
    everything: bool = False


@dataclass(frozen=True)
class Option:
    """A parameter with a default."""

    owner: str
    name: str
    position: int | None
    """Among the positional parameters, ``self`` aside; none: by keyword only."""

    def used(self, calls: dict[str, Given]) -> bool:
        """Whether a call gives it a value."""
        given = calls.get(self.owner, Given())
        by_position = self.position is not None and self.position < given.positions
        # dataclasses.replace, or an assignment, gives a field to an object of any class.
        return by_position or given.everything or self.name in given.keywords | calls["replace"].keywords


def unused_options(sources: list[str]) -> set[str]:
    """``function(option)`` of every option that no call in these modules gives.

    Args:
        sources: texts of modules.
    """
    trees = [ast.parse(source) for source in sources]
    calls = _calls(trees)
    passed_on = {name for tree in trees for name in _passed_on(tree)}
    options = [option for tree in trees for node in tree.body for option in _options(node)]
    options = [each for each in options if each.owner not in passed_on]
    return {f"{each.owner}({each.name})" for each in options if not each.used(calls)}


def _calls(trees: list[ast.Module]) -> dict[str, Given]:
    calls: dict[str, Given] = {"replace": Given()}
    parents = _parents(trees)
    for tree in trees:
        for outer, node in _with_class(tree, None):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                calls["replace"].keywords.add(node.attr)
            if not isinstance(node, ast.Call):
                continue
            callee, arguments = node.func, node.args
            if _last_name(callee) == "partial" and arguments:
                callee, arguments = arguments[0], arguments[1:]
            names = [_last_name(callee)]
            if names == ["__init__"] and outer is not None:  # super().__init__(…)
                names = [_last_name(base) for base in outer.bases]
            if names in (["cls"], ["type"], ["Self"]) and outer is not None:
                names = [outer.name]
            for name in [parent for each in names for parent in (each, *parents.get(each, ()))]:
                given = calls.setdefault(name, Given())
                given.positions = max(given.positions, len(arguments))
                given.keywords |= {each.arg for each in node.keywords if each.arg is not None}
                given.everything |= any(each.arg is None for each in node.keywords)
                given.everything |= any(isinstance(each, ast.Starred) for each in arguments)
    return calls


def _parents(trees: list[ast.Module]) -> dict[str, list[str]]:
    """Class → the classes whose constructor it inherits, the nearest first."""
    classes = {node.name: node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    parents: dict[str, list[str]] = {}
    for name in classes:
        line, seen = [name], list[str]()
        while line:
            node = classes.get(line.pop())
            if node is None or any(
                isinstance(e, ast.FunctionDef) and e.name == "__init__" for e in node.body
            ):
                continue
            bases = [base for each in node.bases if (base := _last_name(each)) not in (name, *seen)]
            line += bases
            seen += bases
        parents[name] = seen
    return parents


def _passed_on(tree: ast.Module) -> set[str]:
    """Names of functions that are read somewhere else than where they are called, but not of classes."""
    callees = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    callees |= {
        id(node.args[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _last_name(node.func) == "partial" and node.args
    }
    return {
        _last_name(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute) and id(node) not in callees
        if isinstance(node.ctx, ast.Load) and _last_name(node).islower()
    }


def _with_class(node: ast.AST, outer: ast.ClassDef | None) -> Iterator[tuple[ast.ClassDef | None, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        yield outer, child
        yield from _with_class(child, child if isinstance(child, ast.ClassDef) else outer)


def _options(node: ast.stmt) -> list[Option]:
    if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
        decorators = {_last_name(each) for each in node.decorator_list}
        return [] if decorators & {*CALLED_BY_FRAMEWORKS} else _of_arguments(node.name, node.args, own=0)
    if not isinstance(node, ast.ClassDef) or {_last_name(each) for each in node.decorator_list} & {
        *CALLED_BY_FRAMEWORKS
    }:
        return []
    if any(_last_name(each) == "dataclass" for each in node.decorator_list):
        fields = [each for each in node.body if isinstance(each, ast.AnnAssign)]
        fields = [each for each in fields if "ClassVar" not in ast.unparse(each.annotation)]
        names = [ast.unparse(each.target) for each in fields]
        return [
            Option(node.name, name, position)
            for position, (name, each) in enumerate(zip(names, fields, strict=True))
            if each.value is not None and "field(" not in ast.unparse(each.value)
        ]
    makers = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
    return [option for each in makers for option in _of_arguments(node.name, each.args, own=1)]


def _of_arguments(owner: str, arguments: ast.arguments, own: int) -> list[Option]:
    positional = [*arguments.posonlyargs, *arguments.args]
    first = len(positional) - len(arguments.defaults)
    found = [Option(owner, each.arg, first + i - own) for i, each in enumerate(positional[first:])]
    keyword_only = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return found + [Option(owner, each.arg, None) for each, default in keyword_only if default is not None]


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        return _last_name(node.func)
    if isinstance(node, ast.Subscript):
        return _last_name(node.value)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
