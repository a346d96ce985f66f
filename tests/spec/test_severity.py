"""A list of severities stands for targets that are written out by hand."""

from pathlib import Path

import pytest

from rl_transfer.errors import ConfigError, EnvironmentSpecError
from rl_transfer.results import run_id
from rl_transfer.spec import Loaded, RLSuite, load
from rl_transfer.sweep.graph import build_graph

HEAD = """\
name: doses
seeds: 1
algorithm: {name: PPO, n_envs: 2, n_steps: 16, batch_size: 16, n_epochs: 1}
training: {total_steps: 64}
evaluation: {every: 32, episodes: 2}
sources:
  base: {env: {id: CartPole-v1}}
strategies: [scratch, fine-tune]
targets:
"""
AXIS = """\
  heavy:
    severity: [0.25, 0.5, 1.0]
    summary: a heavier cart
    training: {total_steps: 96}
    env:
      id: CartPole-v1
      perturb:
        - masscart: {towards: high}
        - observation_noise: {std: {towards: high}}
        - gravity: {severity: 0.1, towards: low}
        - time_limit: 100
  base-again: {env: {id: CartPole-v1}}
"""


def suite(tmp_path: Path, targets: str, *overrides: str) -> Loaded[RLSuite]:
    path = tmp_path / "suite.yaml"
    path.write_text(HEAD + targets, encoding="utf-8")
    return load(str(path), {"rl": RLSuite}, "suites", list(overrides))


def by_hand(*severities: str) -> str:
    return "".join(
        f"""\
  heavy-{float(each):g}:
    summary: a heavier cart
    training: {{total_steps: 96}}
    env:
      id: CartPole-v1
      perturb:
        - masscart: {{severity: {each}, towards: high}}
        - observation_noise: {{std: {{severity: {each}, towards: high}}}}
        - gravity: {{severity: 0.1, towards: low}}
        - time_limit: 100
"""
        for each in severities
    )


def test_one_line_makes_the_targets_and_the_ids_of_those_written_by_hand(tmp_path: Path) -> None:
    config = suite(tmp_path, AXIS).config
    assert list(config.targets) == ["heavy-0.25", "heavy-0.5", "heavy-1", "base-again"]
    written = suite(
        tmp_path, by_hand("0.25", "0.5", "1.0") + "  base-again: {env: {id: CartPole-v1}}\n"
    ).config
    graph, expected = build_graph(config), build_graph(written)
    assert graph.rows == expected.rows
    assert {key: spec.plain() for key, spec in graph.specs.items()} == {
        key: spec.plain() for key, spec in expected.specs.items()
    }
    assert all(run_id(spec) == key for key, spec in graph.specs.items())


def test_axis_and_severity_are_in_the_config_and_only_there(tmp_path: Path) -> None:
    config = suite(tmp_path, AXIS).config
    found = [(each.axis, each.severity) for each in config.targets.values()]
    assert found == [("heavy", 0.25), ("heavy", 0.5), ("heavy", 1.0), (None, None)]
    plain = config.plain()["targets"]
    assert plain["heavy-0.25"]["severity"] == 0.25
    assert not {"axis", "severity"} & plain["base-again"].keys()
    assert RLSuite.model_validate_json(config.model_dump_json()) == config


def test_an_override_replaces_the_list(tmp_path: Path) -> None:
    config = suite(tmp_path, AXIS, "targets.heavy.severity=[0.1, 0.9]").config
    assert list(config.targets) == ["heavy-0.1", "heavy-0.9", "base-again"]


BAD = [
    ("severity: []", "targets.heavy.severity: expected numbers above 0"),
    ("severity: [0.5, 2]", "got [0.5, 2]"),
    ("severity: [0, 0.5]", "got [0, 0.5]"),
    ("severity: [true]", "got [True]"),
    ("severity: [0.5, 0.5]", "severity 0.5 makes a target 'heavy-0.5', and there is one"),
    ("severity: 0.5", "a list such as [0.25, 0.5, 1.0]"),
    ("axis: heavy", "a list such as [0.25, 0.5, 1.0]"),
]


@pytest.mark.parametrize(("line", "words"), BAD)
def test_what_is_no_list_of_severities_is_refused_where_it_stands(
    tmp_path: Path, line: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        suite(tmp_path, AXIS.replace("severity: [0.25, 0.5, 1.0]", line))
    assert words in caught.value.message
    assert f"{tmp_path / 'suite.yaml'}:1" in caught.value.message  # lines 10 to 19


def test_a_target_in_which_nothing_takes_the_severity_is_refused(tmp_path: Path) -> None:
    text = "  late: {severity: [0.5], env: {id: CartPole-v1, perturb: [{action_delay: 2}]}}\n"
    with pytest.raises(ConfigError, match=r"nothing in env.perturb takes the severity"):
        suite(tmp_path, text)


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"makes a target 'heavy-0.5', and there is one"):
        suite(tmp_path, AXIS + "  heavy-0.5: {env: {id: CartPole-v1}}\n")


def test_mistakes_in_a_target_with_a_dot_in_its_name_have_their_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        suite(tmp_path, AXIS.replace("total_steps: 96", "total_steps: 97"))
    assert f"{tmp_path / 'suite.yaml'}:13:16: targets.heavy-0.25.training.total_steps" in caught.value.message
    loaded = suite(tmp_path, AXIS)
    error = EnvironmentSpecError("no such thing", key="targets.heavy-0.25.env.perturb.0.masscart")
    assert loaded.located(error).startswith(f"{tmp_path / 'suite.yaml'}:17:11: targets.heavy-0.25.env")
