"""How often a room says ``Any``: the count may only fall."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WORD = re.compile(r"\bAny\b")
IMPORT = re.compile(r"\s*from typing import\b")

CEILINGS = {
    "envs/rl_transfer_envs/build": 4,
    "envs/rl_transfer_envs/check": 2,
    "envs/rl_transfer_envs/physics": 14,
    "envs/rl_transfer_envs/registry": 2,
    "envs/rl_transfer_envs/show": 9,
    "envs/rl_transfer_envs/values": 0,
    "envs/rl_transfer_envs/vector": 14,
    "envs/rl_transfer_envs/wrappers": 1,
    "rl_transfer/analysis": 0,
    "rl_transfer/cli": 3,
    "rl_transfer/core": 21,
    "rl_transfer/frame": 0,
    "rl_transfer/image": 30,
    "rl_transfer/report": 0,
    "rl_transfer/results": 1,
    "rl_transfer/rl": 34,
    "rl_transfer/spec": 10,
    "rl_transfer/supervised": 1,
    "rl_transfer/sweep": 2,
}
"""Room → how often its code says ``Any``, lines that import it aside."""

PER_HUNDRED_LINES = {"rl_transfer/rl": 3.0, "envs/rl_transfer_envs": 4.0}
"""Room → the most per 100 lines that it ever goes back to."""


def lines_of(folder: Path) -> list[str]:
    return [line for path in folder.rglob("*.py") for line in path.read_text(encoding="utf-8").splitlines()]


def count(lines: list[str]) -> int:
    return sum(len(WORD.findall(line)) for line in lines if not IMPORT.match(line))


def verdict(found: int, ceiling: int) -> str | None:
    """What is wrong with a count, if anything: too many, or a ceiling that should come down."""
    if found > ceiling:
        return f"says Any {found} times, {ceiling} at most: name the type, or a Protocol, or object"
    if found < 0.9 * ceiling:
        return f"says Any {found} times by now; lower its ceiling from {ceiling}, so that it stays so"
    return None


def rooms() -> list[str]:
    folders = [*(ROOT / "rl_transfer").iterdir(), *(ROOT / "envs" / "rl_transfer_envs").iterdir()]
    return sorted(each.relative_to(ROOT).as_posix() for each in folders if (each / "__init__.py").is_file())


def test_every_room_has_a_ceiling() -> None:
    assert rooms() == sorted(CEILINGS), "a new room states its count, a room that is gone leaves the table"


@pytest.mark.parametrize("room", sorted(CEILINGS))
def test_any_only_becomes_rarer(room: str) -> None:
    complaint = verdict(count(lines_of(ROOT / room)), CEILINGS[room])
    assert complaint is None, f"{room} {complaint}"


@pytest.mark.parametrize("room", sorted(PER_HUNDRED_LINES))
def test_any_is_rare(room: str) -> None:
    lines = lines_of(ROOT / room)
    assert 100 * count(lines) / len(lines) <= PER_HUNDRED_LINES[room]


def test_what_is_counted() -> None:
    lines = [
        "from typing import Any, Literal",
        "def f(x: Any) -> dict[str, Any]: ...",
        "Anything = list[AnyStr]",
    ]
    assert count(lines) == 2


@pytest.mark.parametrize(("found", "fine"), [(0, False), (8, False), (9, True), (10, True), (11, False)])
def test_a_count_may_neither_rise_nor_leave_its_ceiling_behind(found: int, fine: bool) -> None:
    assert (verdict(found, ceiling=10) is None) == fine
