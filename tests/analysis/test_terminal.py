"""The table of the terminal, to the column."""

from dataclasses import replace

import pytest

from rl_transfer.analysis import Matrix, Sweep, analyse, text_table
from rl_transfer.analysis.terminal import wrapped

from .hand_made import CONTROL, FAST, FINE, HARDLY, SCRATCH, SLOW, STRICT, on_targets, run, spread, sweep_of

FLAT = (0, 0, 0, 0, 0, 0)
WIDTH = 110


def table(target: str) -> Matrix:
    """Fine-tuning and a control that gains as much, on one target."""
    curves = {(None, "scratch"): SLOW, ("base", "frozen"): FAST, (None, "control"): FAST}
    arms = {(source, target, name): spread(c, by=HARDLY) for (source, name), c in curves.items()}
    strategies = {"frozen": {"copy": ["trunk"], "freeze": ["trunk"]}, "control": CONTROL}
    return analyse(sweep_of(arms, strategies=strategies, delta=STRICT))


def rows(matrix: Matrix, start: str) -> list[str]:
    return [line for line in text_table(matrix).splitlines() if line.startswith(f"  {start}")]


def test_a_table_of_short_names_by_hand() -> None:
    lines = text_table(table("task")).splitlines()
    assert lines[3:10] == [
        "  target  final quality         verdict         sample efficiency     verdict",
        "frozen from base (source scores 90.0 to 90.0)",
        "  task    +0.00 [+0.00, +0.00]  ? inconclusive  +0.24 [+0.24, +0.24]  ▲ positive*",
        "control (control: not corrected, not in the family)",
        "  task    +0.00 [+0.00, +0.00]  ? inconclusive  +0.24 [+0.24, +0.24]  ▲ positive",
        "scratch (baseline: final performance and area under the curve, raw)",
        "  task    100 [100.0, 100]                      60.0 [60.0, 60.0]",
    ]


@pytest.mark.parametrize("length", [20, 34, 35, 36, 37, 38, 39, 200])
def test_names_are_cut_so_that_the_longest_row_fills_the_width(length: int) -> None:
    head = "  +0.00 [+0.00, +0.00]  ? inconclusive  +0.24 [+0.24, +0.24]  ▲ positive*"
    room = WIDTH - len("  ") - len(head)
    name = "t" * length
    shown = name if length <= room else f"{name[: room - 1]}…"
    marked, plain, *_ = rows(table(name), "ttt")
    assert marked == f"  {shown}{head}"
    assert plain == marked.removesuffix("*")
    assert len(marked) == min(WIDTH, 2 + length + len(head))


def test_raw_gains_are_marked_beside_scores() -> None:
    fast, slow, flat = (spread(curve, by=HARDLY) for curve in (FAST, SLOW, FLAT))
    matrix = analyse(on_targets({"learnt": (fast, slow), "never": (fast, flat)}, bootstrap=20, delta=STRICT))
    (learnt, _), (never, _) = (rows(matrix, name) for name in ("learnt", "never"))
    assert "+0.24 [+0.24, +0.24]  " in learnt
    assert "] r" not in learnt
    assert "+84.0 [+84.0, +84.0] r  " in never


def test_a_section_names_the_range_of_its_source_and_a_strategy_without_one_has_none() -> None:
    planned = sweep_of(dict.fromkeys((SCRATCH, FINE, (None, "task", "wider")), [SLOW] * 4), bar=50.0)
    sources = [run("source", seed, [0] * 5 + [70 - seed], source="base") for seed in range(4)]
    lines = text_table(analyse(Sweep(planned.manifest, (*planned.runs, *sources)))).splitlines()
    assert "fine-tune from base (source scores 67.0 to 70.0, bar 50.0)" in lines
    assert "wider" in lines


def test_names_with_hyphens_are_not_broken() -> None:
    text = f"{'x' * 95} frozen-trunk-new-head gains"
    assert wrapped(text, indent="  ") == ["x" * 95, "  frozen-trunk-new-head gains"]
    exact = "y" * WIDTH
    assert wrapped(exact) == [exact]
    planned = sweep_of({SCRATCH: [SLOW] * 4})
    named = replace(planned, manifest={**planned.manifest, "name": "n-" * 60})
    assert max(map(len, text_table(analyse(named)).splitlines())) <= WIDTH
