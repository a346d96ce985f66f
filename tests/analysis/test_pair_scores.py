"""Whatever stands in a record's ``source_scores``: it is damage, or it is read."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_transfer.analysis import analyse
from rl_transfer.analysis.pair_scores import pair_scores
from rl_transfer.frame.scores import SourceScores, TransferScore
from rl_transfer.results.reading import read_run
from rl_transfer.results.scores import wrong_scores
from support.cases import EVERY
from support.records import write_finished

from .hand_made import arm, sweep

SOUND = SourceScores(
    2048,
    {"zero_shot_return": TransferScore.of(9.5, episodes=3), "logme": TransferScore.none("no labels")},
    (9.0, 10.0),
    (9, 10),
    (8.0, 12.0),
).plain()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just("2048"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every address in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(each for key, part in inner for each in places(part, (*at, key)))]


def changed(at: tuple[Any, ...], put: Any, *, remove: bool) -> Any:
    found: Any = copy.deepcopy(SOUND)
    *path, last = at
    inside = found
    for key in path:
        inside = inside[key]
    if remove:
        del inside[last]
    else:
        inside[last] = put
    return found


KEY = ("base", "task", "fine-tune")
SWEEP = sweep({KEY: arm(KEY, [(1,) * 6], source_scores=SOUND)}, seeds=1)
MATRIX = analyse(SWEEP)


@given(st.sampled_from(places(SOUND)[1:]), JSON, st.booleans())
@settings(max_examples=300 if EVERY else 60, deadline=None)
def test_what_is_no_damage_is_read(at: tuple[Any, ...], put: Any, remove: bool) -> None:
    scores = changed(at, put, remove=remove)
    if wrong_scores(scores) is not None:
        return
    for run in SWEEP.runs:
        if run.record is not None and "source_scores" in run.record:
            run.record["source_scores"] = scores
    for score in pair_scores(SWEEP, MATRIX):
        assert math.isfinite(score.values[0, 0])


def test_what_a_run_writes_is_no_damage() -> None:
    assert wrong_scores(json.loads(json.dumps(SOUND))) is None
    assert wrong_scores(SourceScores(0, {}, cannot_act="other spaces").plain()) is None


WRONG: dict[tuple[Any, ...], list[Any]] = {
    ("steps",): [None, "2048", -1, True, 10**400],
    ("scores",): [[1]],
    ("scores", "logme"): [3.0],
    ("scores", "logme", "value"): ["high", True, 10**400],
    ("scores", "logme", "higher_is_better"): ["yes", None],
    ("returns",): [{}],
    ("returns", 0): ["9"],
    ("random_returns", 1): [None],
}


@pytest.mark.parametrize(("at", "put"), [(at, put) for at, values in WRONG.items() for put in values])
def test_a_resealed_record_with_other_content_is_damaged(
    at: tuple[Any, ...], put: Any, tmp_path: Path
) -> None:
    write_finished(tmp_path / "abc", source_scores=changed(at, put, remove=False))
    reading = read_run(tmp_path / "abc", "abc")
    assert reading.state == "damaged"
    place = ".".join(str(each) for each in at if isinstance(each, str))
    assert str(reading.problem).startswith(f"damaged: record.json has source_scores.{place} ")


@pytest.mark.parametrize("at", [each for each in places(SOUND)[1:] if isinstance(each[-1], str)])
def test_a_missing_key_is_damage_where_it_is_needed(at: tuple[Any, ...]) -> None:
    needed = {"steps", "scores", "value", "higher_is_better"}
    assert (wrong_scores(changed(at, None, remove=True)) is not None) == (at[-1] in needed)


@pytest.mark.parametrize("values", ["12", ["a"], {}, [None]])
def test_returns_before_training_are_numbers(values: object, tmp_path: Path) -> None:
    write_finished(tmp_path / "abc", zero_shot={"returns": values})
    assert "zero_shot.returns" in str(read_run(tmp_path / "abc", "abc").problem)
