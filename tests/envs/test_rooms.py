"""The order of the sub-rooms of rl_transfer_envs (docs/architecture.md), read from the import statements."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import rl_transfer_envs

PACKAGE = Path(rl_transfer_envs.__file__).parent
BASIS = {"aliases", "errors"}
ROOMS = {
    "aliases": set[str](),
    "errors": set[str](),
    "values": BASIS,
    "registry": {*BASIS, "values"},
    "wrappers": {*BASIS, "values", "registry"},
    "physics": {*BASIS, "values", "registry"},
    "build": {*BASIS, "values", "registry", "wrappers", "physics"},
    "check": {*BASIS, "values", "registry", "wrappers", "build"},
    "show": {*BASIS, "values", "registry", "wrappers", "build"},
    "vector": {*BASIS, "values", "registry", "wrappers", "physics", "build"},
}
"""Room → the rooms below it that it may import."""

LAZY = {"mujoco", "Box2D", "PIL", "gymnasium.envs.box2d"}
"""What a function may import: heavy, and not installed everywhere."""

# Gymnasium loads these only when one of their environments is built.
LOADED_ON_DEMAND = {"physics/box2d/equations.py", "physics/mujoco/equations.py"}

MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def imports(tree: ast.AST) -> Iterator[str]:
    """The modules that the import statements below ``tree`` name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""


def room_of(module: str) -> str:
    """``registry`` for ``registry/parameters.py``; the file's own name at the top."""
    return module.partition("/")[0].removesuffix(".py")


def violations(source: str, room: str) -> list[str]:
    """The imports of this package that the room may not make."""
    bad = []
    for name in imports(ast.parse(source)):
        package, _, inside = name.partition(".")
        if package == "rl_transfer_envs" and inside.partition(".")[0] not in ROOMS[room] | {room}:
            bad.append(name)
    return bad


@pytest.mark.parametrize("module", [module for module in MODULES if module != "__init__.py"])
def test_rooms_import_downward_only(module: str) -> None:
    assert violations((PACKAGE / module).read_text(encoding="utf-8"), room_of(module)) == []


@pytest.mark.parametrize("module", MODULES)
def test_functions_import_only_what_is_heavy(module: str) -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    inside = {name for node in ast.walk(tree) if isinstance(node, functions) for name in imports(node)}
    assert inside <= LAZY


@pytest.mark.parametrize("module", MODULES)
def test_what_is_heavy_is_imported_on_demand(module: str) -> None:
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    at_once = {
        name.partition(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in imports(node)
    }
    assert module in LOADED_ON_DEMAND or not at_once & {"mujoco", "Box2D", "PIL", "pygame"}


def test_the_table_has_no_circle_and_names_every_room() -> None:
    for room, below in ROOMS.items():
        assert not any(room in ROOMS[other] for other in below), room
    assert set(ROOMS) == {room_of(module) for module in MODULES} - {"__init__"}


def test_an_upward_import_is_seen() -> None:
    source = "def f():\n    from rl_transfer_envs.build.make import make\n"
    assert violations(source, "registry") == ["rl_transfer_envs.build.make"]
    assert violations(source, "vector") == []
