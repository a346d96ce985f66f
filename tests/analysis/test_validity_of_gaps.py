"""Small seeded samples of the simulation of gaps in docs/validity.md."""

import pytest

from benchmarks.validity import gaps


def test_independent_rows_are_apart_as_often_as_they_may_be_and_found_apart() -> None:
    # 40 draws at 5 %: 2 expected, standard deviation 1.4; the bound is three of them more.
    assert (gaps.of_rows(20, gaps.ALIKE, 40).mean(axis=0) <= 0.155).all()
    mmd, _, given_class, _ = gaps.of_rows(20, gaps.APART["means 0.8 apart"], 12).mean(axis=0)
    assert min(mmd, given_class) > 0.5
    _, coral, _, _ = gaps.of_rows(60, gaps.APART["1.6 times as wide"], 6).mean(axis=0)
    assert coral > 0.8


def test_steps_of_environments_must_be_permuted_with_them() -> None:
    assert (gaps.of_steps((4, 16), gaps.ALIKE, 40).mean(axis=0) <= 0.155).all()
    assert (gaps.of_steps((4, 16), gaps.ALIKE, 8, grouped=False).mean(axis=0)[:3] > 0.5).all()


def test_strata_take_away_what_other_actions_do() -> None:
    marginal, given = (gaps.of_other_actions(60, 1.0, strata, 15) for strata in (False, True))
    assert marginal == 1.0
    assert given <= 0.2


def test_every_row_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps, "ROWS", (10, 12))
    monkeypatch.setattr(gaps, "STEPS", ((4, 8),))
    lines = [*gaps.false_alarms(4), *gaps.power(2), *gaps.other_actions(2)]
    assert len(lines) == 3 * 2 + 4 + 4 * 3 + 3
    assert all(line.count("|") in (5, 7) for line in lines)
    assert all(0 <= float(line.strip("| ").split("|")[-1]) <= 1 for line in lines[2:6])
