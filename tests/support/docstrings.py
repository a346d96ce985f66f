"""What a docstring on a room's face lacks.

Run it to see where the rooms stand, and what a room lacks::

    python tests/support/docstrings.py [--missing ROOM]
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support.faces import Definition, Member, Rooms, methods

ROOT = Path(__file__).resolve().parent.parent.parent
# Named and documented by Gymnasium, torch and Stable-Baselines3, whose classes ours extend.
OVERRIDES = {"forward", "reset", "step", "render", "close", "action", "observation", "reward", "seed"}
SECTION = re.compile(r"^(Args|Returns|Yields|Raises|Attributes|Example|Examples|Note|References):\s*$", re.M)
PROPERTIES = {"property", "cached_property"}


def rooms() -> Rooms:
    """The rooms of this checkout."""
    return Rooms(ROOT / "rl_transfer", ROOT / "envs" / "rl_transfer_envs")


def lacking(member: Member) -> list[str]:
    """What the rule of CONTRIBUTING.md misses in a docstring.

    Args:
        member: one function, class or method of a face.

    Returns:
        Words such as ``Args: seed`` or ``Returns``; empty when nothing is missing.
    """
    text = ast.get_docstring(member.node)
    if text is None:
        return ["docstring"]
    found = sections(text)
    if isinstance(member.node, ast.ClassDef):
        return list(_constructor(member.node, found)) if member.called else []
    if member.node.name in OVERRIDES:
        return []
    missing = list(_parameters(member.node, found.get("Args", "")))
    if _returns_something(member.node) and not {"Returns", "Yields"} & found.keys():
        missing.append("Returns")
    return missing + [
        f"Raises: {name}" for name in raised(member.node) if name not in found.get("Raises", "")
    ]


def sections(text: str) -> dict[str, str]:
    """Headline → text of each section of a Google docstring."""
    pieces = SECTION.split(text)[1:]
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


def raised(node: Definition) -> list[str]:
    """Names of the exceptions that a function's own body raises (not what nested functions raise)."""
    names: list[str] = []
    for inner in _own(node):
        if isinstance(inner, ast.Raise) and isinstance(inner.exc, ast.Call):
            called = inner.exc.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name[:1].isupper() and name not in {"NotImplementedError", "AssertionError", *names}:
                names.append(name)
    return names


def _own(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Definition | ast.Lambda):
            yield child
            yield from _own(child)


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef, text: str) -> Iterator[str]:
    arguments = node.args
    plain = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    packed = [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
    for argument in plain + packed:
        # One entry may name several: "low, high: the bounds".
        entry = rf"^\s+([\w*]+, )*\**{argument.arg}(, [\w*]+)*( \([^)]*\))?:"
        needed = argument.arg not in {"self", "cls"} and not argument.arg.startswith("_")
        if needed and not re.search(entry, text, re.M):
            yield f"Args: {argument.arg}"


def _constructor(node: ast.ClassDef, found: dict[str, str]) -> Iterator[str]:
    for method in methods(node):
        if method.name == "__init__":
            own = sections(ast.get_docstring(method) or "")
            told = (found.get("Args", ""), found.get("Attributes", ""), own.get("Args", ""))
            yield from _parameters(method, "\n".join(told))


def _returns_something(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """False where there is nothing, and where the first sentence says it: properties, single returns."""
    if isinstance(node.returns, ast.Constant) and node.returns.value is None:
        return False
    if isinstance(node.returns, ast.Name) and node.returns.id in {"NoReturn", "Never"}:
        return False
    if node.returns is not None and ast.unparse(node.returns) == "Iterator[None]":
        return False
    if any(getattr(each, "attr", getattr(each, "id", "")) in PROPERTIES for each in node.decorator_list):
        return False
    return not (len(node.body) == 2 and isinstance(node.body[1], ast.Return))


def main() -> None:
    """Print the table of rooms, or what is missing in one."""
    parser = argparse.ArgumentParser(description="Which docstrings on the rooms' faces lack something.")
    parser.add_argument("--missing", metavar="ROOM", help="what each member of this room's face lacks")
    chosen = parser.parse_args()
    members = rooms().members
    missing = {member.key: lacking(member) for member in members}
    if chosen.missing:
        for key, lacks in missing.items():
            if lacks and key.startswith((f"{chosen.missing} ", f"{chosen.missing}.")):
                print(f"{key}: {', '.join(lacks)}")
    else:
        total = Counter(each.room for each in members)
        open_ = Counter(each.room for each in members if missing[each.key])
        for room, count in sorted(total.items()):
            print(f"{room:26} {count - open_[room]:4} of {count:4} documented")
        print(f"{'together':26} {total.total() - open_.total():4} of {total.total():4}")


if __name__ == "__main__":
    main()
