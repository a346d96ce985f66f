"""The face of every room: what other rooms import of it and what its packages list in ``__all__``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Member:
    """One function, class or method of a face.

    Attributes:
        room: the room, such as ``core`` or ``rl.policies``.
        name: dotted within its module, such as ``Bundle.save``.
        node: the definition.
        called: another room calls it, which for a class means that it is built there.
    """

    room: str
    name: str
    node: Definition
    called: bool = False

    @property
    def key(self) -> str:
        """How messages name it."""
        return f"{self.room} {self.name}"


@dataclass
class Module:
    """One parsed module."""

    name: str
    package: bool
    tree: ast.Module
    definitions: dict[str, Definition] = field(default_factory=dict)
    imports: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """Local name → (module, name in it); the second is None where the module itself is meant."""

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    self.imports[alias.asname or alias.name] = (node.module, alias.name)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    self.imports[alias.asname or alias.name] = (alias.name, None)
        for node in self.tree.body:
            if isinstance(node, Definition):
                self.definitions[node.name] = node

    @property
    def exported(self) -> tuple[str, ...]:
        """The strings of ``__all__``, of a package only."""
        for node in self.tree.body if self.package else ():
            if isinstance(node, ast.Assign) and any(
                isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
            ):
                return tuple(ast.literal_eval(node.value))
        return ()


class Rooms:
    """All modules of the product, and who uses what of whom.

    Args:
        packages: folders of import packages.
    """

    def __init__(self, *packages: Path) -> None:
        self.modules: dict[str, Module] = {}
        for folder in packages:
            for path in sorted(folder.rglob("*.py")):
                parts = path.relative_to(folder.parent).with_suffix("").parts
                package = parts[-1] == "__init__"
                name = ".".join(parts[:-1] if package else parts)
                self.modules[name] = Module(name, package, ast.parse(path.read_text(encoding="utf-8")))

    def room_of(self, module: str) -> str:
        """A room is a folder, at most two deep: ``core``, ``rl.policies``, ``rl_transfer_envs.check``."""
        parts = module.split(".")
        inner = parts[1:] if parts[0] == "rl_transfer" and len(parts) > 1 else parts
        held = self.modules.get(module)
        folder = inner if held is not None and held.package else inner[:-1]
        return ".".join(folder[:2]) or inner[0]

    def find(self, module: str, name: str) -> tuple[Module, Definition] | None:
        """Where a name of a module is defined, followed through re-exports."""
        held = self.modules.get(module)
        if held is None:
            return None
        if name in held.definitions:
            return held, held.definitions[name]
        source, original = held.imports.get(name, (module, None))
        return self.find(source, original) if original and source != module else None

    def uses(self, module: Module) -> Iterator[tuple[str, str, bool]]:
        """(module, name, whether it is called) for all that a module takes from modules of the product."""
        called = {id(node.func) for node in ast.walk(module.tree) if isinstance(node, ast.Call)}
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Name) and node.id in module.imports:
                source, original = module.imports[node.id]
                if original is not None:
                    yield source, original, id(node) in called
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                source, original = module.imports.get(node.value.id, ("", None))
                inner = f"{source}.{original}" if original else source
                if inner in self.modules:
                    yield inner, node.attr, id(node) in called

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """Every public function, class and public method of every room's face."""
        found: dict[tuple[str, str], tuple[Module, Definition, bool]] = {}
        for module in self.modules.values():
            wanted = [(module.name, name, False) for name in module.exported]
            wanted += [use for use in self.uses(module) if self.room_of(use[0]) != self.room_of(module.name)]
            for source, name, called in wanted:
                place = self.find(source, name)
                if place is not None and not place[1].name.startswith("_"):
                    key = (place[0].name, place[1].name)
                    found[key] = (*place, called or (key in found and found[key][2]))
        members = [each for place in found.values() for each in self._with_methods(*place)]
        return tuple(sorted(members, key=lambda member: member.key))

    def _with_methods(self, module: Module, node: Definition, called: bool) -> Iterator[Member]:
        room = self.room_of(module.name)
        yield Member(room, node.name, node, called)
        if isinstance(node, ast.ClassDef):
            inherited = self._inherited(module, node)
            for method in methods(node):
                if not method.name.startswith("_") and method.name not in inherited:
                    yield Member(room, f"{node.name}.{method.name}", method)

    def _inherited(self, module: Module, node: ast.ClassDef) -> set[str]:
        """Methods that a base class of the product documents already."""
        names: set[str] = set()
        for base in node.bases:
            bare = base.value if isinstance(base, ast.Subscript) else base
            place = self.find(module.name, bare.id) if isinstance(bare, ast.Name) else None
            if place is not None and isinstance(place[1], ast.ClassDef):
                names |= {method.name for method in methods(place[1])} | self._inherited(place[0], place[1])
        return names


def methods(node: ast.ClassDef) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions in a class body."""
    return [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
