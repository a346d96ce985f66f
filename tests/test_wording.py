"""One hint at the closest name, one way to list things in words."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_transfer.wording import did_you_mean, in_words, listing, what_was_raised
from rl_transfer_envs import errors

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("given_name", "known", "hint"),
    [
        ("fine-tun", ["scratch", "fine-tune"], " Did you mean 'fine-tune'?"),
        ("TRUNK", ["head", "trunk"], " Did you mean 'trunk'?"),
        ("ppo", ["A2C", "PPO"], " Did you mean 'PPO'?"),  # case is ignored, the name's own is shown
        ("abcd", ["abxy"], " Did you mean 'abxy'?"),  # ratio 2 · 2 / 8 = 0.5 is close enough
        ("abcde", ["abxyz"], ""),  # 2 · 2 / 10 = 0.4 is not
        ("zebra", [], ""),
    ],
)
def test_the_closest_known_name_is_hinted_at(given_name: str, known: list[str], hint: str) -> None:
    assert did_you_mean(given_name, known) == hint


@given(st.text("abcxyZ-", max_size=8), st.lists(st.text("abcxyZ-", min_size=1, max_size=8), max_size=6))
def test_environments_hint_alike(given_name: str, known: list[str]) -> None:
    assert errors.did_you_mean(given_name, known) == did_you_mean(given_name, known)


@pytest.mark.parametrize(
    ("items", "last", "text"),
    [(["a"], "and", "a"), (["a", "b"], "or", "a or b"), (["a", "b", "c"], "and", "a, b and c")],
)
def test_lists_read_as_sentences(items: list[str], last: str, text: str) -> None:
    assert in_words(items, last) == text


@given(st.lists(st.sampled_from("abc"), max_size=12), st.integers(1, 12))
def test_a_cut_list_accounts_for_every_item(items: list[str], limit: int) -> None:
    text = listing(items, limit)
    shown, _, rest = text.partition(" and ")
    hidden = int(rest.split()[0]) if rest else 0
    assert len([item for item in shown.split(", ") if item]) + hidden == len(items)
    assert (hidden, "more" in text) == (max(0, len(items) - limit), len(items) > limit)


def test_similarity_is_computed_in_two_places_only() -> None:
    """The environments stand alone and keep their own; every other room uses :mod:`rl_transfer.wording`."""
    callers = {
        path.relative_to(ROOT).as_posix()
        for folder in ("rl_transfer", "envs")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr == "get_close_matches")
        or (isinstance(node, ast.ImportFrom) and node.module == "difflib")
        or (isinstance(node, ast.Name) and node.id == "SequenceMatcher")
    }
    assert callers == {"rl_transfer/wording.py", "envs/rl_transfer_envs/errors.py"}


def raised(work: Callable[[], object]) -> str:
    try:
        work()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is quoted
        return what_was_raised(error)
    raise AssertionError("nothing was raised")


def test_an_error_is_quoted_with_the_users_own_line_wherever_it_was_raised() -> None:
    first = raised(lambda: Path(__file__).samefile(None))  # type: ignore[arg-type]  # raises inside pathlib
    assert first.startswith("TypeError: ")
    assert "(test_wording.py, line " in first
    assert raised(lambda: dict[str, int]()["speed"]).startswith("KeyError: 'speed' (test_wording.py, line ")


def test_an_error_without_a_users_line_names_the_last_one_it_has_or_none() -> None:
    assert "(parser" not in raised(lambda: compile("def f(:", "mine.py", "exec"))
    assert "(mine.py, line 1)" in raised(lambda: compile("def f(:", "mine.py", "exec"))
    assert what_was_raised(ValueError("plain")) == "ValueError: plain"
