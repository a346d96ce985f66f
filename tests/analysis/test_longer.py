"""Training from scratch for the source's steps too: in spec, plan and analysis."""

from typing import Any

import pytest

from analysis.hand_made import FAST, FINE, SCRATCH, SLOW, STEPS, arm, spread, sweep
from rl_transfer.analysis import analyse, headlines, summary, text_table
from rl_transfer.errors import ConfigError
from rl_transfer.spec import RLSuite
from rl_transfer.spec.image import ImageSuite
from rl_transfer.spec.load import load, parse
from rl_transfer.spec.strategy import StrategyConfig
from rl_transfer.sweep.graph import build_graph

STRATEGIES: Any = {
    "scratch": {},
    "fine-tune": {"copy": ["all"]},
    "longer": {"control": True, "with_source_steps": True},
}
LONG = tuple(100 * place for place in range(16))


def given(above: float | None, failed: int = 0) -> Any:
    """Transfer and scratch end at 100 after 500 steps; the longer arm so much higher after 1,500."""
    arms: Any = {SCRATCH: arm(SCRATCH, spread(SLOW, 8)), FINE: arm(FINE, spread(FAST, 8))}
    if above is None:
        return sweep(arms, seeds=8, strategies={"fine-tune": {"copy": ["all"]}})
    key = None, "task", "longer"
    curves: list[Any] = spread([100.0 + above] * len(LONG), 8)
    arms[key] = arm(key, [*curves[: 8 - failed], *[None] * failed], steps=LONG)
    return sweep(arms, seeds=8, strategies=STRATEGIES)


@pytest.mark.parametrize(
    ("above", "verdict", "words"),
    [
        (50.0, "negative", "(1,500 environment steps, source and target together) ends higher by 0.50"),
        (-50.0, "positive", "ends lower by 0.50"),
        (0.0, "inconclusive", ""),
    ],
)
def test_only_final_quality_is_compared_with_it(above, verdict, words):
    matrix = analyse(given(above))
    (cell,) = matrix.select(kind="transfer")
    entry = cell.comparisons["asymptotic_gain"]
    assert entry.longer is not None
    assert (str(entry.longer.verdict), entry.longer.steps) == (verdict, 1500)
    assert entry.longer.over.raw.point == pytest.approx(-above)
    assert cell.comparisons["auc_gain"].longer is None
    assert words in headlines(matrix)[0]
    assert ("together" in text_table(matrix)) == bool(words)
    (row,) = [each for each in summary(matrix) if each["kind"] == "transfer"]
    found = row["comparisons"]["asymptotic_gain"]["longer_scratch"]
    assert (found["strategy"], found["verdict"], found["steps"]) == ("longer", verdict, 1500)
    assert found["final_performance"] == pytest.approx(100 + above)


def test_it_changes_nothing_else():
    plain, beside = analyse(given(None)), analyse(given(400.0))
    assert [cell.strategy for cell in beside.cells] == ["scratch", "fine-tune"]
    assert beside.family == plain.family == 1
    assert beside.targets["task"].budget == STEPS[-1], "claims name the target's budget, not the longer one"
    for one, other in zip(plain.cells, beside.cells, strict=True):
        # By their words: nan is not nan
        assert repr(one.metrics) == repr(other.metrics)
        assert repr(one.scale) == repr(other.scale), "the best return seen is that of arms of the same budget"
        for metric in one.comparisons:
            assert repr(one.comparisons[metric].raw) == repr(other.comparisons[metric].raw)
            assert one.comparisons[metric].verdict == other.comparisons[metric].verdict


def test_missing_runs_of_it_are_named_and_nothing_is_said():
    matrix = analyse(given(50.0, failed=1))
    found = matrix.select(kind="transfer")[0].comparisons["asymptotic_gain"].longer
    assert found is not None
    assert found.problem == "1 of 8 longer runs missing (seed 7 failed: boom)"
    assert (str(found.verdict), found.adjusted_p) == ("inconclusive", 1)
    assert "together" not in headlines(matrix)[0]


def suite(*overrides: str) -> RLSuite:
    names = "strategies=[scratch, fine-tune, scratch-longer]"
    return load("quickstart", {"rl": RLSuite}, "suites", [names, *overrides]).config


def test_the_plan_has_runs_of_the_sources_steps_and_the_targets():
    graph = build_graph(suite("seeds=2"))
    rows = [row for row in graph.rows if row.strategy == "scratch-longer"]
    assert {(row.source, row.needs) for row in rows} == {(None, ())}
    assert {graph.specs[row.id].total_steps for row in rows} == {51_200 + 6_144}
    others = {row.id for row in graph.rows} - {row.id for row in rows}
    assert others == {row.id for row in build_graph(load("quickstart", {"rl": RLSuite}, "suites", [
        "strategies=[scratch, fine-tune]", "seeds=2"]).config).rows}  # fmt: skip


@pytest.mark.parametrize(
    ("override", "match"),
    [
        ("sources.cartpole={env: {id: CartPole-v1}, policy: somewhere}", "nobody knows how many it took"),
        ("baseline=scratch-longer", "the target's budget alone"),
        (
            "sources.cartpole={env: {id: CartPole-v1}, training: {total_steps: 48}, evaluation: {every: 16}, "
            "algorithm: {name: PPO, n_envs: 1, n_steps: 16, batch_size: 16}}",
            "with the steps of cartpole: training.total_steps is 6192, which is no multiple of the 256",
        ),
    ],
)
def test_what_it_cannot_do_is_refused(override, match):
    with pytest.raises(ConfigError, match=match):
        suite(override)


def test_labelled_data_count_epochs_of_source_and_target():
    names = "strategies=[scratch, scratch-longer]"
    given = load("image-quickstart", {"image": ImageSuite}, "suites", [names]).config
    graph = build_graph(given)
    epochs = {
        row.source: graph.specs[row.id].total_steps for row in graph.rows if row.strategy == "scratch-longer"
    }
    assert epochs == {"letters": 30 + 12, "faces": 30 + 12, "untrained": 30}
    with pytest.raises(ConfigError, match=r"evaluation\.every is 3, which does not divide"):
        load("image-quickstart", {"image": ImageSuite}, "suites", [names, "sources.faces.training.epochs=13",
             "sources.faces.evaluation={every: 13}"])  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        ({"copy": ["all"], "control": True}, "training from scratch"),
        ({"freeze": ["trunk"], "control": True}, "training from scratch"),
        ({}, "say control: true"),
        ({"control": True, "control_for": ["a"]}, "names a strategy"),
    ],
)
def test_a_strategy_that_is_no_longer_scratch_is_refused(entry, match):
    with pytest.raises(ConfigError, match=match):
        parse(StrategyConfig, {"name": "odd", "with_source_steps": True, **entry})


def test_what_is_written_of_other_strategies_stays_as_it_was():
    assert "with_source_steps" not in parse(StrategyConfig, {"name": "plain"}).plain()
    kept = parse(StrategyConfig, {"name": "longer", "with_source_steps": True, "control": True})
    assert kept.plain()["with_source_steps"] is True
    assert "with_source_steps" not in kept.verbs().plain()
