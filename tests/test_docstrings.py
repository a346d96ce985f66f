"""Every docstring on a room's face tells what goes in, what comes out and what is raised."""

import ast
import re
from pathlib import Path
from textwrap import dedent

import pytest

from support.docstrings import lacking, rooms
from support.faces import Member, Rooms


@pytest.fixture(scope="module")
def members() -> tuple[Member, ...]:
    return rooms().members


@pytest.mark.full
def test_everything_on_a_face_is_documented(members: tuple[Member, ...]) -> None:
    assert len(members) > 500, "the faces are found"
    missing = [f"{member.key}: {', '.join(lacking(member))}" for member in members if lacking(member)]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("filler", ["the argument.", "as loaded.", "of ``model``.", "resolved."])
def test_no_parameter_is_explained_by_its_own_name(members: tuple[Member, ...], filler: str) -> None:
    texts = {each.key: ast.get_docstring(each.node) or "" for each in members}
    said = re.compile(rf"^\s+\w+: {re.escape(filler)}$", re.M)
    assert not [key for key, text in texts.items() if said.search(text)]


def test_a_face_is_what_others_import_and_what_is_exported(tmp_path: Path) -> None:
    package = tmp_path / "rl_transfer"
    inner = """
        def exported(): ...
        def imported(): ...
        def hidden(): ...
        class Thing:
            def act(self): ...
            def _private(self): ...
    """
    user = """
        from rl_transfer.low import inner
        from rl_transfer.low.inner import Thing
        inner.imported()
        Thing()
    """
    for name, text in {
        "__init__.py": "",
        "low/__init__.py": "from rl_transfer.low.inner import exported\n__all__ = ['exported']\n",
        "low/inner.py": inner,
        "low/neighbour.py": "from rl_transfer.low.inner import hidden\nhidden()\n",
        "high/user.py": user,
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(dedent(text), encoding="utf-8")
    members = Rooms(package).members
    assert {each.key for each in members} == {"low exported", "low imported", "low Thing", "low Thing.act"}
    assert [each.name for each in members if each.called] == ["Thing", "imported"]


FULL = '''
def mean(returns, *, weights):
    """The weighted mean.

    Args:
        returns: one per episode, in reward units.
        weights: as many, summing to one.

    Returns:
        The mean, in reward units.

    Raises:
        ValueError: the two differ in length.
    """
    if len(returns) != len(weights):
        raise ValueError("lengths differ")
    total = 0
    return total
'''


def member(text: str, *, called: bool = False) -> Member:
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    return Member("room", node.name, node, called)


def test_a_full_docstring_lacks_nothing() -> None:
    assert lacking(member(FULL)) == []


@pytest.mark.parametrize(
    ("cut", "word"),
    [
        ("        weights: as many, summing to one.\n", "Args: weights"),
        ("    Returns:\n        The mean, in reward units.\n\n", "Returns"),
        ("    Raises:\n        ValueError: the two differ in length.\n", "Raises: ValueError"),
    ],
)
def test_each_section_is_missed(cut: str, word: str) -> None:
    assert cut in FULL
    assert lacking(member(FULL.replace(cut, ""))) == [word]


@pytest.mark.parametrize(
    "text",
    [
        'def stop() -> None:\n    """End it."""\n    global_stop()\n',
        'def size(self):\n    """The number of rows."""\n    return len(self.rows)\n',
        '@property\ndef size(self):\n    """The number of rows."""\n    rows = 1\n    return rows\n',
    ],
)
def test_one_sentence_is_enough_where_it_says_all(text: str) -> None:
    assert lacking(member(text)) == []


def test_a_constructor_that_others_call_names_its_parameters() -> None:
    text = 'class Box:\n    """A box."""\n    def __init__(self, side):\n        self.side = side\n'
    assert lacking(member(text)) == []
    assert lacking(member(text, called=True)) == ["Args: side"]
