"""What records say of the inside of networks, over seeds, against numbers by hand."""

import json
import math
from typing import Any

import pytest

from analysis.hand_made import FAST, FINE, SCRATCH, SLOW, arm, recorded, sweep, sweep_of, transfer_cell
from rl_transfer.analysis import analyse, summary
from rl_transfer.analysis.inside import PartInside, apart, inside
from rl_transfer.analysis.matrix import Steps


def part(rank: float, *, role: str = "trunk", distance: float | None = 0.5, **end: Any) -> dict[str, Any]:
    moment = {"dormant": 0.0, "saturated": None, "effective_rank": rank, "gradient_agreement": 0.5}
    return {
        "role": role, "units": 8, "features": 4, "start": moment, "end": {**moment, **end},
        "distance": distance, "distance_from_source": None,
    }  # fmt: skip


def diagnosed(**parts: Any) -> dict[str, Any]:
    return {"batch": {"observations": 4, "transitions": 4}, "parts": parts}


def matrix_of(scratch: list[Any], tuned: list[Any]) -> Any:
    both = ((SCRATCH, SLOW, scratch), (FINE, FAST, tuned))
    arms = {key: recorded(arm(key, [curve] * len(given)), diagnostics=given) for key, curve, given in both}
    return Steps(sweep(arms, seeds=len(scratch)))


def test_means_and_intervals_over_seeds_by_hand() -> None:
    steps = matrix_of([diagnosed(trunk=part(rank)) for rank in (1.0, 2.0, 3.0)], [None] * 3)
    found = inside(steps.arms[SCRATCH], 0.95)
    rank = found["trunk"].figures["effective_rank_end"]
    # 2 ± 4.303 · 1 / √3, and no rank is below 0
    assert (rank.mean, rank.low) == (2.0, 0.0)
    assert rank.high == pytest.approx(2 + 4.3027 / math.sqrt(3), abs=1e-3)
    assert rank.per_seed == {0: 1.0, 1: 2.0, 2: 3.0}
    assert "saturated_end" not in found["trunk"].figures, "nothing says so"
    assert "distance_from_source" not in found["trunk"].figures


def test_shares_and_cosines_stay_where_they_can_be() -> None:
    records = [
        diagnosed(trunk=part(1.0, dormant=x, gradient_agreement=y)) for x, y in ((0.0, 0.0), (0.5, 1.0))
    ]
    found = inside(matrix_of(records, [None] * 2).arms[SCRATCH], 0.95)["trunk"].figures
    assert (found["dormant_end"].low, found["dormant_end"].high) == (0.0, 1.0)
    assert (found["gradient_agreement_end"].low, found["gradient_agreement_end"].high) == (-1.0, 1.0)


@pytest.mark.parametrize("odd", [None, {}, {"parts": []}, {"parts": {"trunk": 3}}, {"parts": {"trunk": {}}}])
def test_records_that_say_nothing_or_oddities_are_passed_over(odd: Any) -> None:
    steps = matrix_of([diagnosed(trunk=part(2.0)), odd], [odd, odd])
    found = inside(steps.arms[SCRATCH], 0.95)["trunk"].figures["effective_rank_end"]
    assert found.per_seed == {0: 2.0}
    assert not found.interval.defined
    assert transfer_cell(steps.matrix()).inside == {}


def test_records_that_no_run_writes_neither_stop_the_report_nor_flood_it() -> None:
    parts = {f"p{number}": part(10**400) for number in range(1000)} | {"last": part(2.0)}
    found = inside(matrix_of([diagnosed(**parts)], [None]).arms[SCRATCH], 0.95)
    assert len(found) == 100
    assert "effective_rank_end" not in found["p0"].figures


def test_the_summary_has_them_where_records_have_and_is_what_it_was_elsewhere() -> None:
    with_them, without = (
        summary(matrix_of([given] * 3, [given] * 3).matrix()) for given in (diagnosed(trunk=part(2.0)), None)
    )
    assert all("inside" not in cell for cell in without)
    assert [{key: value for key, value in cell.items() if key != "inside"} for cell in with_them] == without
    assert with_them[0]["inside"]["trunk"]["effective_rank_end"]["mean"] == 2.0
    json.dumps(with_them, allow_nan=False)


def parts_of(*records: dict[str, Any]) -> dict[str, PartInside]:
    return inside(matrix_of([*records], [None] * len(records)).arms[SCRATCH], 0.95)


def test_what_stands_apart_is_told_trunks_first_and_the_widest_gap_first() -> None:
    mine = parts_of(*(
        diagnosed(trunk=part(5 + e, distance=0.9), head=part(9.0, role="head", distance=0.0))
        for e in (-0.1, 0.1)
    ))  # fmt: skip
    theirs = parts_of(*(
        diagnosed(trunk=part(1 + e, distance=0.5), head=part(1.0, role="head", distance=0.5))
        for e in (-0.1, 0.1)
    ))  # fmt: skip
    found = [(name, figure) for name, figure, _, _ in apart(mine, theirs)]
    # Distances have no spread at all here: no gap is wider. A head's distance of 0 is no news.
    assert found == [("trunk", "distance"), ("trunk", "effective_rank_end"), ("head", "effective_rank_end")]
    assert apart(mine, mine) == []


def test_a_lone_seed_stands_apart_from_nothing() -> None:
    assert apart(parts_of(diagnosed(trunk=part(5.0))), parts_of(diagnosed(trunk=part(1.0)))) == []


def test_the_matrix_of_old_records_has_nothing_inside() -> None:
    assert [cell.inside for cell in analyse(sweep_of({SCRATCH: [SLOW]})).cells] == [{}]
