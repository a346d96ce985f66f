"""The graph of runs: each run once, sources feed their own seeds, nothing that counts is left out."""

from rl_transfer.results import Labels, run_id
from rl_transfer.spec import RLSuite, load
from rl_transfer.sweep.dispatch import Job
from rl_transfer.sweep.graph import Graph, build_graph, manifest
from support.untyped import untyped

LABELS = Labels(unit="environment steps", measure="mean episodic return")


def suite(*overrides: str) -> RLSuite:
    return load("quickstart", {"rl": RLSuite}, "suites", list(overrides)).config


def test_the_quickstart_has_20_sources_3_random_and_300_target_runs() -> None:
    graph = build_graph(suite())
    roles = [row.role for row in graph.rows]
    assert (roles.count("source"), roles.count("random"), roles.count("target")) == (20, 3, 3 * 5 * 20)
    assert len(graph.specs) == 323
    # 20 × 51,200 for the sources and 300 × 6,144 for the targets.
    assert sum(untyped(spec).total_steps for spec in graph.specs.values()) == 2_867_200


def test_the_random_policy_plays_at_least_100_episodes() -> None:
    for asked, played in ((10, 100), (250, 250)):
        graph = build_graph(suite(f"evaluation.episodes={asked}"))
        runs = [graph.specs[row.id] for row in graph.rows if row.role == "random"]
        assert {run.plain()["evaluation"]["episodes"] for run in runs} == {played}


def test_source_seed_i_feeds_target_seed_i() -> None:
    graph = build_graph(suite())
    sources = {row.id: row.seed for row in graph.rows if row.role == "source"}
    fed = [row for row in graph.rows if row.needs]
    assert fed
    assert all(sources[row.needs[0]] == row.seed for row in fed)


def test_controls_and_scratch_need_no_source_and_are_shared_by_all_sources() -> None:
    two = suite("sources.other={env: {id: CartPole-v1, perturb: [{gravity: x2}]}}")
    graph = build_graph(two)
    scratch = [row for row in graph.rows if row.strategy in ("scratch", "random-frozen")]
    assert all(row.source is None and not row.needs for row in scratch)
    assert len(scratch) == 2 * 3 * 20
    assert len([row for row in graph.rows if row.strategy == "fine-tune"]) == 2 * 3 * 20


RELU = "{name: PPO, n_steps: 32, n_envs: 8, batch_size: 256, policy_kwargs: {activation: relu}}"


def activations(graph: Graph, source: str, strategy: str) -> set[str | None]:
    rows = [row for row in graph.rows if row.role == "target" and row.strategy == strategy]
    found = [graph.specs[row.id].plain() for row in rows if row.source == source]
    return {run["algorithm"]["policy_kwargs"]["activation"] for run in found}


def test_every_run_of_a_cell_has_the_network_of_its_source() -> None:
    two = suite(f"sources.other={{env: {{id: CartPole-v1}}, algorithm: {RELU}}}", "seeds=2")
    graph = build_graph(two)
    for strategy in ("scratch", "random-frozen", "fine-tune", "frozen-trunk-new-head"):
        assert activations(graph, "other", strategy) == {"relu"}
        assert activations(graph, "cartpole", strategy) == {None}
    alone = {row.id for row in build_graph(suite("seeds=2")).rows}
    assert alone <= {row.id for row in graph.rows}, "runs of the other source keep their ids"
    scratch = [row for row in graph.rows if row.strategy == "scratch"]
    assert all(not row.needs for row in scratch)
    assert len({row.id for row in scratch}) == len(scratch) == 2 * 3 * 2


def test_a_source_whose_network_is_written_out_shares_the_baseline() -> None:
    same = RELU.replace("relu", "tanh, net_arch: {pi: [64, 64], vf: [64, 64]}")
    graph = build_graph(suite(f"sources.other={{env: {{id: CartPole-v1}}, algorithm: {same}}}", "seeds=1"))
    assert {row.source for row in graph.rows if row.strategy == "scratch"} == {None}


def test_where_nothing_is_copied_the_network_is_the_suites_own() -> None:
    other = f"sources.other={{env: {{id: CartPole-v1}}, algorithm: {RELU}}}"
    taught = suite(other, "strategies=[scratch, kickstarting]", "seeds=1")
    assert activations(build_graph(taught), "other", "kickstarting") == {None}
    both = suite(other, "strategies=[scratch, kickstarting, fine-tune]", "seeds=1")
    assert activations(build_graph(both), "other", "kickstarting") == {"relu"}


def test_what_the_suite_says_of_the_network_is_kept() -> None:
    two = suite(
        f"sources.other={{env: {{id: CartPole-v1}}, algorithm: {RELU}}}",
        "algorithm.policy_kwargs={activation: elu}", "seeds=1",
    )  # fmt: skip
    graph = build_graph(two)
    assert {row.source for row in graph.rows if row.strategy == "scratch"} == {None}
    assert activations(graph, "other", "fine-tune") == {"elu"}


def test_a_scratch_target_that_equals_a_source_is_that_run() -> None:
    graph = build_graph(
        suite("targets={base: {env: {id: CartPole-v1}, training: {total_steps: 51200}, "
              "evaluation: {every: 5120, episodes: 10}}}", "seeds=1")
    )  # fmt: skip
    source = next(row for row in graph.rows if row.role == "source")
    scratch = next(row for row in graph.rows if row.strategy == "scratch")
    assert source.id == scratch.id


def test_a_run_does_not_depend_on_names() -> None:
    first, second = suite(), suite("name=other", "targets.longer-pole.summary=text")
    assert build_graph(first).specs.keys() == build_graph(second).specs.keys()


def test_a_job_survives_the_trip_to_a_worker(tmp_path) -> None:
    for spec in build_graph(suite("seeds=1")).specs.values():
        job = Job.from_json(Job(spec, tmp_path, tmp_path / "bundle").to_json())
        assert run_id(job.run) == run_id(spec)


def test_facts_fill_gaps_of_the_manifest_but_never_overrule_the_user() -> None:
    config = suite("targets.longer-pole.reward_threshold=7", "seeds=1")
    facts = {"targets": {name: {"reward_threshold": 475.0} for name in config.targets}}
    targets = untyped(manifest(config, build_graph(config), LABELS, facts))["config"]["targets"]
    assert targets["longer-pole"]["reward_threshold"] == 7
    assert targets["weaker-motor"]["reward_threshold"] == 475.0
