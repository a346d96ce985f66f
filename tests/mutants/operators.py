"""Every small change that can be made to a module's syntax tree, in a fixed order."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
NAMES = {
    "min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum",
    "argmin": "argmax", "argmax": "argmin", "isfinite": "isnan", "zeros_like": "ones_like", "sorted": "list",
}  # fmt: skip
"""Functions and methods → what is called instead."""
IDENTITIES = {"abs", "detach", "clone", "copy", "ravel", "square", "sqrt", "exp", "log"}
"""Functions and methods that are left out: the argument stands for the result."""
UNSWAPPED = {"isinstance", "getattr", "hasattr", "setattr", "zip", "min", "max", "minimum", "maximum"}
"""Calls whose swapped arguments fail at once or mean the same."""
SKIPPED_FIELDS = {"annotation", "returns", "decorator_list", "bases", "keywords_of_class"}


@dataclass(frozen=True)
class Mutant:
    """One change of one module."""

    path: str
    """The module's file, from the repository root."""
    place: int
    """Index of the changed node in the walk of the module's tree."""
    variant: int
    """Which of the node's changes."""
    line: int
    lines: tuple[int, ...]
    """Lines of the statement that is changed; a test that runs none of them cannot notice."""
    change: str
    """``before → after``."""


Place = tuple[ast.AST, str, int | None, ast.AST, ast.stmt]
"""Parent, field, index in the field's list, node, the statement that holds it."""


def mutants(path: str, source: str) -> list[Mutant]:
    """Every mutant of a module, in the order of the walk.

    Args:
        path: what the mutants call the module.
        source: its text.
    """
    found = []
    for place, (_, _, _, node, statement) in enumerate(_places(ast.parse(source))):
        for variant, after in enumerate(_variants(node)):
            change = f"{_text(node)} → {_text(after)}"
            found.append(
                Mutant(
                    path, place, variant, getattr(node, "lineno", statement.lineno), _lines(statement), change
                )
            )
    return found


def mutated(mutant: Mutant, source: str) -> ast.Module:
    """The module's tree with the mutant's change made."""
    tree = ast.parse(source)
    parent, field, index, node, _ = list(_places(tree))[mutant.place]
    after = list(_variants(node))[mutant.variant]
    if index is None:
        setattr(parent, field, after)
    else:
        getattr(parent, field)[index] = after
    return ast.fix_missing_locations(tree)


def read(root: Path, path: str) -> str:
    """The text of a module."""
    return (root / path).read_text(encoding="utf-8")


def _places(tree: ast.Module) -> Iterator[Place]:
    """Every node that may change, parents before children."""
    stack: list[tuple[ast.AST, ast.stmt | None]] = [(tree, None)]
    while stack:
        parent, statement = stack.pop()
        for field, value in ast.iter_fields(parent):
            if field in SKIPPED_FIELDS:
                continue
            for index, node in enumerate(value) if isinstance(value, list) else ((None, value),):
                if not isinstance(node, ast.AST) or isinstance(node, ast.JoinedStr):
                    continue
                holder = node if isinstance(node, ast.stmt) else statement
                if holder is None or _says_nothing(node):
                    continue
                yield parent, field, index, node, holder
                if not isinstance(node, ast.Raise):  # what an error says is no behaviour
                    stack.append((node, holder))


def _says_nothing(node: ast.AST) -> bool:
    """Imports, ``if TYPE_CHECKING``, type aliases and ``__all__``."""
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    if isinstance(node, ast.Assign):
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        alias = isinstance(node.value, ast.Subscript) or (
            isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.BitOr)
        )
        return "__all__" in names or (alias and node.col_offset == 0)
    return isinstance(node, ast.Import | ast.ImportFrom)


def _lines(statement: ast.stmt) -> tuple[int, ...]:
    """The lines of a simple statement, or of a compound one's head."""
    body = getattr(statement, "body", None)
    end = body[0].lineno - 1 if isinstance(body, list) and body else statement.end_lineno or statement.lineno
    return tuple(range(statement.lineno, max(end, statement.lineno) + 1))


def _variants(node: ast.AST) -> Iterator[ast.AST]:
    """The changed forms of one node; each yields a new node."""
    match node:
        case ast.Compare(left=left, ops=[op], comparators=others):
            if type(op) in COMPARISONS:
                yield ast.Compare(left, [COMPARISONS[type(op)]()], others)
        case ast.Compare(left=left, ops=[first, *rest], comparators=others):
            if type(first) in COMPARISONS:
                yield ast.Compare(left, [COMPARISONS[type(first)](), *rest], others)
            if type(rest[-1]) in COMPARISONS:
                yield ast.Compare(left, [first, *rest[:-1], COMPARISONS[type(rest[-1])]()], others)
        case ast.BinOp(left=left, op=op, right=right):
            if type(op) in ARITHMETIC and not _is_text(left) and not _is_text(right):
                yield ast.BinOp(left, ARITHMETIC[type(op)](), right)
        case ast.AugAssign(target=target, op=op, value=value):
            if type(op) in ARITHMETIC:
                yield ast.AugAssign(target, ARITHMETIC[type(op)](), value)
            yield ast.Pass()
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield ast.Constant(value + 1)
            if value != 0:
                yield ast.Constant(type(value)(0))
        case ast.If(test=test, body=body, orelse=orelse):
            yield ast.If(_negated(test), body, orelse)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield ast.IfExp(_negated(test), body, orelse)
        case ast.comprehension(target=target, iter=iterated, ifs=[_, *rest], is_async=is_async):
            yield ast.comprehension(target, iterated, rest, is_async)
        case ast.Return(value=value) if value is not None and not _is_none(value):
            yield ast.Return(ast.Constant(None))
        case ast.Call():
            yield from _calls(node)
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.Continue() | ast.Break():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    if name in NAMES:
        other = NAMES[name]
        named: ast.expr = (
            ast.Attribute(node.func.value, other, ast.Load())
            if isinstance(node.func, ast.Attribute)
            else ast.Name(other, ast.Load())
        )
        keywords = [] if other == "list" else node.keywords
        yield ast.Call(named, node.args, keywords)
    if name in IDENTITIES and len(node.args) == 1:
        yield node.args[0]
    elif name in IDENTITIES and not node.args and isinstance(node.func, ast.Attribute):
        yield node.func.value
    plain = not any(isinstance(arg, ast.Starred) for arg in node.args[:2])
    if len(node.args) >= 2 and plain and name not in UNSWAPPED:
        first, second, *rest = node.args
        if ast.dump(first) != ast.dump(second):
            yield ast.Call(node.func, [second, first, *rest], node.keywords)


def _negated(test: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), test)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _text(node: ast.AST) -> str:
    """A node in one short line: of compound statements only the head."""
    if isinstance(node, ast.comprehension):
        text = " ".join(["for …", *(f"if {ast.unparse(test)}" for test in node.ifs)])
    elif isinstance(node, ast.If):
        text = f"if {ast.unparse(node.test)}:"
    else:
        text = ast.unparse(ast.fix_missing_locations(node))
    text = " ".join(text.split())
    return text if len(text) <= 110 else f"{text[:108]}…"
