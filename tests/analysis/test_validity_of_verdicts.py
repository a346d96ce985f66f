"""The simulations of docs/validity.md: their rules are the product's, and small draws hold what is said."""

import numpy as np
import pytest

from benchmarks.validity import attribution as causes
from benchmarks.validity import rules
from benchmarks.validity.arms import CAP, DELTA, RANDOM, SHAPES
from benchmarks.validity.rules import corrected, guarded, plain, student, verdicts
from benchmarks.validity.score_intervals import draw, holds, holds_guarded
from benchmarks.validity.verdicts import TABLES, main, shares
from rl_transfer.analysis.arm_statistics import Interval, benjamini_hochberg
from rl_transfer.analysis.attribution import ControlCheck, Question, Summand, attribute
from rl_transfer.analysis.contrast import contrast
from rl_transfer.analysis.fieller import Line, Sample, confidence_set
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.analysis.sequential import block_permutation_p
from rl_transfer.analysis.special import t_cdf
from rl_transfer.analysis.tolerance import Tolerance

SCALE = ScoreScale("raw", RANDOM, np.nan, Tolerance(DELTA), random_returns=(RANDOM,), best=CAP)


@pytest.mark.parametrize("shape", ["normal", "capped"])
def test_the_simulated_rules_are_the_products(shape):
    rng = np.random.default_rng(5)
    x, y = (SHAPES[shape](rng, (12, 5), mean) for mean in (470.0, 420.0))
    y[:3], x[3:6] = 30.0, 500.0
    measured, found = plain(x, y), guarded(x, y)
    for place in range(12):
        sides = [
            {f"{name}{k}": float(v) for k, v in enumerate(each[place])}
            for name, each in zip("xy", (x, y), strict=True)
        ]
        mine = contrast(sides[0], sides[1], SCALE, 0.95, np.random.default_rng(0), ("a", "b"))
        first = mine.measured or mine
        for theirs, ours in ((measured, first), (found, mine)):
            values = [getattr(theirs, name)[place] for name in ("low", "high", "p", "equivalence_p")]
            expected = [ours.raw.low, ours.raw.high, ours.p, ours.equivalence_p]
            assert values == pytest.approx(expected, abs=1e-7)
        relevance = int(found.least[place] >= DELTA) - int(found.most[place] <= -DELTA)
        assert relevance == mine.relevance


def test_the_simulated_studentised_test_is_the_products():
    rng = np.random.default_rng(6)
    x, y = SHAPES["bimodal"](rng, (10, 4), 300.0), SHAPES["normal"](rng, (10, 5), 250.0)
    found = rules.studentised(x, y)
    for place in range(10):
        # Arms of different sizes are studentised there.
        expected = block_permutation_p([x[place]], [y[place]], np.random.default_rng(0), samples=1)
        assert found[place] == pytest.approx(expected)


def test_the_simulated_distribution_and_correction_are_the_products():
    t, degrees = np.array([-3.0, -0.5, 0.0, 1.0, 40.0]), np.array([1.0, 4.5, 8.0, 300.0, 3.0])
    assert student(t, 1 / degrees) == pytest.approx(
        [t_cdf(*each) for each in zip(t, degrees, strict=True)], abs=1e-7
    )
    p = np.random.default_rng(0).random((3, 6)) ** 3
    assert corrected(p) == pytest.approx(np.array([benjamini_hochberg(row) for row in p]))


def test_a_set_holds_theta_where_the_simulation_says_so():
    arms = draw(np.random.default_rng(1), "normal", 40, 5, 1.0, final=False)
    inside = holds(arms, 1.0, "fieller")
    for place, (x, a, f, r) in enumerate(zip(*arms, strict=True)):
        found = confidence_set(Line([Sample(x, 0 * x), Sample(-a, -f), Sample(0 * r, r)]), 0.95)
        if found.limited:
            assert (found.low <= 1 <= found.high) == inside[place]


def test_the_simulated_run_more_of_scores_is_the_products():
    """Bimodal arms of five, of which some happen to succeed or to fail altogether."""
    arms = draw(np.random.default_rng(2), "bimodal", 30, 5, 1.0, final=False)
    bare, guarded_too = holds(arms, 1.0, "fieller"), holds_guarded(arms, 1.0)
    shown = []
    for x, a, f, r in zip(*arms, strict=True):
        arm, scratch = (
            {f"{name}{k}": float(v) for k, v in enumerate(each)} for name, each in (("x", x), ("y", a))
        )
        scale = ScoreScale(
            "scratch", float(r.mean()), float(f.mean()), Tolerance(DELTA), random_returns=tuple(r.tolist()),
            finals=dict(zip(scratch, f.tolist(), strict=True)), best=float(max(x.max(), a.max(), f.max())),
        )  # fmt: skip
        found = contrast(arm, scratch, scale, 0.95, np.random.default_rng(0), ("a", "b"), lambda *_: 1.0).gain
        shown.append(not (found.low > 1.0 or found.high < 1.0))
    assert shown == guarded_too.tolist()
    assert guarded_too.sum() > bare.sum()


def test_the_set_covers_where_a_known_span_does_not():
    arms = draw(np.random.default_rng(0), "normal", 2000, 5, 1.0, final=False)
    known, apart, whole = (holds(arms, 1.0, parts).mean() for parts in ("known", "apart", "fieller"))
    assert known < 0.85
    assert apart < 0.91
    assert 0.93 < whole < 0.97


def test_what_five_runs_at_the_cap_would_claim_is_not_claimed():
    rng = np.random.default_rng(0)
    x, y = SHAPES["capped"](rng, (300, 5), 450.0), 450 + 10 * rng.normal(size=(300, 5))
    assert shares(plain(x, y))["positive"] > 0.5
    assert shares(guarded(x, y))["positive"] == 0
    same = SHAPES["capped"](rng, (300, 5), 450.0), np.full((300, 5), CAP)
    assert shares(plain(*same))["equivalent"] > 0.5
    assert shares(guarded(*same))["equivalent"] == 0


def test_a_family_is_corrected_as_a_whole():
    rng = np.random.default_rng(0)
    normal = SHAPES["normal"]
    cells = [guarded(normal(rng, (50, 5), 300.0), normal(rng, (50, 5), 300.0)) for _ in range(12)]
    claimed = verdicts(cells)
    assert (claimed["positive"] | claimed["negative"]).any(axis=1).mean() < 0.15


def test_power_at_the_ceiling_is_a_matter_of_the_gap():
    rng = np.random.default_rng(7)
    found = [
        shares(guarded(np.full((400, 5), CAP), SHAPES["normal"](rng, (400, 5), mean)))["positive"]
        for mean in (136.0, 188.0, 196.0, 250.0)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.97
    assert found[-1] < 0.15
    assert found[2] < 0.75 < found[1] + 0.06


@pytest.mark.parametrize("table", ["capped", "families", "gaps", "doubted"])
def test_every_table_is_printed(table, capsys):
    assert set(TABLES) == {"shapes", "capped", "equal", "families", "doubted", "gaps"}
    rows = TABLES[table](1)
    assert next(rows).startswith("| ")
    assert set(next(rows)) == set("|-")
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert "invalid choice" in capsys.readouterr().err


def test_controls_are_asked_in_the_simulation_as_in_the_product():
    rng = np.random.default_rng(2)
    cells = [
        causes.draw(rng, SHAPES["normal"], (40, 20), g, c) for g, c in ((150, (0, 150)), (150, (-40, 10)))
    ]
    found, judged = causes.after(cells)

    def check(control: str, mine: rules.Tests, place: int) -> ControlCheck:
        interval = Interval(float(mine.gain[place]), float(mine.low[place]), float(mine.high[place]))
        part = Summand(interval, interval, float(mine.p[place]))
        sign = int(mine.least[place] >= DELTA) - int(mine.most[place] <= -DELTA)
        beyond = float(mine.above_p[place]), float(mine.below_p[place])
        return ControlCheck(control, part, part, sign, beyond, 20)

    over = [[guarded(cell.arm, control) for control in cell.controls] for cell in cells]
    for place in range(40):
        asked = {
            k: Question(
                tuple(check(str(c), mine, place) for c, mine in enumerate(over[k])),
                int(judged["positive"][place, k]) - int(judged["negative"][place, k]),
                DELTA,
            )
            for k in range(2)
        }
        said = [attribute(asked, 0.05)[k].finding for k in range(2)]
        mine = [
            next((name for name in causes.FINDINGS if found[name][place, k]), "unclear") for k in range(2)
        ]
        assert said == mine
    assert {name for name in causes.FINDINGS if found[name].any()} == {"helps", "not knowledge"}


def test_not_knowledge_is_no_longer_claimed_from_what_is_not_significant():
    rng = np.random.default_rng(3)
    half = causes.draw(rng, SHAPES["normal"], (400, 5), 120, (60,))
    found, judged = causes.after([half])
    assert causes.before(half)[judged["positive"][:, 0]].mean() > 0.2
    assert found["not knowledge"].mean() < 0.01
    none = causes.draw(rng, SHAPES["normal"], (400, 5), 120, (120,))
    found, _ = causes.after([none])
    assert (found["helps"] | found["hurts"]).mean() < 0.06


@pytest.mark.parametrize("arguments", [[], ["--families"]])
def test_the_tables_of_controls_are_printed(arguments, capsys):
    causes.main(["--repeats", "1", *arguments])
    lines = capsys.readouterr().out.splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) == 2 + 3 * (4 if arguments else len(causes.TRUTHS))
