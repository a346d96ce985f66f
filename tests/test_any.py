"""How often a room says ``Any``: the count may only fall."""

import ast
import io
import tokenize
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("rl_transfer", "envs/rl_transfer_envs")

CEILINGS = {
    "envs/rl_transfer_envs": 16,
    "envs/rl_transfer_envs/build": 9,
    "envs/rl_transfer_envs/check": 8,
    "envs/rl_transfer_envs/physics": 62,
    "envs/rl_transfer_envs/registry": 21,
    "envs/rl_transfer_envs/show": 11,
    "envs/rl_transfer_envs/values": 16,
    "envs/rl_transfer_envs/vector": 27,
    "envs/rl_transfer_envs/wrappers": 54,
    "rl_transfer": 0,
    "rl_transfer/analysis": 0,
    "rl_transfer/api": 0,
    "rl_transfer/cli": 2,
    "rl_transfer/core": 21,
    "rl_transfer/engine": 0,
    "rl_transfer/frame": 0,
    "rl_transfer/image": 29,
    "rl_transfer/report": 0,
    "rl_transfer/results": 1,
    "rl_transfer/rl": 33,
    "rl_transfer/spec": 10,
    "rl_transfer/supervised": 7,
    "rl_transfer/sweep": 1,
    "rl_transfer/text": 8,
}
"""Room → how often its code says ``Any`` or a name of its package that is bound to it."""

PER_HUNDRED_LINES = {"rl_transfer/rl": 3.0, "envs/rl_transfer_envs": 4.0}
"""Room → the most per 100 lines that it ever goes back to."""


def modules(room: str) -> list[Path]:
    """The modules of a room; those of a package itself, without its rooms, for a package."""
    folder = ROOT / room
    return sorted(folder.glob("*.py") if room in PACKAGES else folder.rglob("*.py"))


def bound_to_any(sources: Iterable[str]) -> set[str]:
    """``Any``, and every name that modules bind to it, to another such name, or to a union with one."""
    bound = {
        target.id: node.value
        for source in sources
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    names, before = {"Any"}, set[str]()
    while names != before:
        before = set(names)
        names |= {name for name, value in bound.items() if names & members(value)}
    return names


def members(value: ast.expr) -> set[str]:
    """The names that a union consists of; a name alone is one."""
    if isinstance(value, ast.BinOp):
        return members(value.left) | members(value.right)
    if isinstance(value, ast.Attribute):
        return {value.attr}
    return {value.id} if isinstance(value, ast.Name) else set()


def count(source: str, names: set[str]) -> int:
    """How often a module says one of the names; imports, texts and comments aside."""
    imports = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return sum(
        token.type == tokenize.NAME and token.string in names and token.start[0] not in imports
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
    )


@cache
def names_of(package: str) -> frozenset[str]:
    return frozenset(bound_to_any(path.read_text("utf-8") for path in (ROOT / package).rglob("*.py")))


@cache
def found(room: str) -> int:
    package = next(each for each in PACKAGES if room == each or room.startswith(f"{each}/"))
    return sum(count(path.read_text("utf-8"), set(names_of(package))) for path in modules(room))


def verdict(found: int, ceiling: int) -> str | None:
    """What is wrong with a count, if anything: too many, or a ceiling that should come down."""
    if found > ceiling:
        return f"says Any {found} times, {ceiling} at most: name the type, or a Protocol, or object"
    if found < 0.9 * ceiling:
        return f"says Any {found} times by now; lower its ceiling from {ceiling}, so that it stays so"
    return None


def rooms() -> list[str]:
    folders = [*(ROOT / "rl_transfer").iterdir(), *(ROOT / "envs" / "rl_transfer_envs").iterdir()]
    names = [each.relative_to(ROOT).as_posix() for each in folders if (each / "__init__.py").is_file()]
    return sorted([*names, *PACKAGES])


def test_every_room_has_a_ceiling() -> None:
    assert rooms() == sorted(CEILINGS), "a new room states its count, a room that is gone leaves the table"


@pytest.mark.parametrize("room", sorted(CEILINGS))
def test_any_only_becomes_rarer(room: str) -> None:
    complaint = verdict(found(room), CEILINGS[room])
    assert complaint is None, f"{room} {complaint}"


@pytest.mark.parametrize("room", sorted(PER_HUNDRED_LINES))
def test_any_is_rare(room: str) -> None:
    parts = [each for each in CEILINGS if each == room or each.startswith(f"{room}/")]
    lines = sum(len(path.read_text("utf-8").splitlines()) for each in parts for path in modules(each))
    assert 100 * sum(map(found, parts)) / lines <= PER_HUNDRED_LINES[room]


def test_what_is_counted() -> None:
    source = """
from typing import Any, Literal
def f(x: Any) -> dict[str, Any]: ...
Anything = list[AnyStr]
"Any in a text"  # and Any in a comment
"""
    assert count(source, {"Any"}) == 2


def test_another_name_for_any_is_any() -> None:
    first = "Loose: TypeAlias = Any\nMaybe = Loose | None\nOpen = typing.Any\nTyped = list[int]"
    second = "Looser = Maybe"
    names = bound_to_any([first, second])
    assert names == {"Any", "Loose", "Maybe", "Open", "Looser"}
    assert count("def f(x: Looser, y: Typed) -> Open: ...", names) == 2


@pytest.mark.parametrize(("found", "fine"), [(0, False), (8, False), (9, True), (10, True), (11, False)])
def test_a_count_may_neither_rise_nor_leave_its_ceiling_behind(found: int, fine: bool) -> None:
    assert (verdict(found, ceiling=10) is None) == fine
