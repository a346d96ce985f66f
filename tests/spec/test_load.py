"""Strict loading: every mistake is reported once, with its place, and nothing passes silently."""

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from rl_transfer.errors import ConfigError, TransferError
from rl_transfer.spec import Analysis, Loaded, RLSuite, TrainConfig, load, parse, shipped
from rl_transfer.spec.yaml_map import parse_value, read_yaml
from rl_transfer.spec.yaml_text import yaml_text

TRAIN = """\
name: try
env: {id: CartPole-v1}
algorithm:
  name: PPO
  n_envs: 2
  n_steps: 32
  batch_size: 64
  learning_rate: 3e-4
training: {total_steps: 640}
evaluation: {every: 64}
"""


def train(tmp_path: Path, text: str = TRAIN, *overrides: str) -> TrainConfig:
    return loaded(tmp_path, text, *overrides).config


def loaded(tmp_path: Path, text: str = TRAIN, *overrides: str) -> Loaded[TrainConfig]:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return load(str(path), {"rl": TrainConfig}, "train", list(overrides))


def refused(tmp_path: Path, text: str = TRAIN, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        train(tmp_path, text, *overrides)
    return caught.value.message


def test_a_number_with_an_exponent_is_a_number(tmp_path: Path) -> None:
    # PyYAML reads 3e-4 as text; YAML 1.2 says it is a float.
    assert train(tmp_path).algorithm.learning_rate == 3e-4


def test_the_config_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        train(tmp_path).training.total_steps = 3  # type: ignore[misc]


def test_all_mistakes_of_a_file_are_reported_at_once_with_line_and_column(tmp_path: Path) -> None:
    text = TRAIN.replace("n_steps", "n_stpes").replace("batch_size: 64", 'batch_size: "64"')
    message = refused(tmp_path, text.replace("training:", "trainng:"))
    path = tmp_path / "config.yaml"
    assert f"{path}:6:3: algorithm.n_stpes: unknown key 'n_stpes'. Did you mean 'n_steps'?" in message
    assert f"{path}:7:3: algorithm.batch_size: got '64' (text), expected an integer" in message
    assert "trainng: unknown key 'trainng'. Did you mean 'training'?" in message
    assert "training: this key is required and missing" in message


def test_accepted_keys_are_those_of_the_place(tmp_path: Path) -> None:
    message = refused(tmp_path, TRAIN.replace("{every: 64}", "{evry: 64, every: 64}"))
    assert "Did you mean 'every'? Accepted: deterministic, diagnostics, episodes, every" in message


def test_the_accepted_keys_of_a_place_are_told_once_for_all_its_mistakes(tmp_path: Path) -> None:
    message = refused(tmp_path, f"{TRAIN.rstrip()}\none: 1\ntwo: 2\nthree: 3\n")
    assert message.count("unknown key") == 3
    assert message.count("Accepted: ") == 1


def test_an_anchor_may_be_set_again_and_nothing_is_said(tmp_path: Path) -> None:
    text = TRAIN.replace("{every: 64}", "{every: &size 64, episodes: &size 2}")
    assert (train(tmp_path, text).evaluation.every, train(tmp_path, text).evaluation.episodes) == (64, 2)


def test_an_unknown_algorithm_names_the_known_ones(tmp_path: Path) -> None:
    assert "got 'PPPO', accepted: PPO, A2C" in refused(tmp_path, TRAIN.replace("PPO", "PPPO"))


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.total_steps=650", "total_steps is 650, which is no multiple of the 64"),
        ("training.total_steps=650", "use 640 or 704"),
        ("evaluation.every=32", "evaluation.every is 32, which is no multiple of the 64"),
        ("evaluation.every=1280", "exceeds training.total_steps"),
        ("training.total_steps=67108864", "asks for more than 1,048,576 evaluations in 67108864 steps"),
        ("algorithm.batch_size=48", "does not divide the rollout"),
        ("training.total_steps=yes", "got 'yes' (text), expected an integer"),
        ("training.total_steps=true", "got True (a truth value), expected an integer"),
        ("training.total_steps=6.5", "got 6.5 (a number), expected an integer"),
        ("training.total_steps=-64", "greater than 0"),
        ("algorithm.gamma=.nan", "not a finite number"),
        ("env.perturb=[{a: 1, b: 2}]", "a map with one entry"),
        ("training", "expected key=value"),
        ("name.first=x", "is the value 'try', not a mapping"),
    ],
)
def test_bad_overrides_say_what_is_accepted(tmp_path: Path, override: str, expected: str) -> None:
    message = refused(tmp_path, TRAIN, override)
    assert expected in message


def test_of_two_values_that_do_not_go_together_the_one_on_the_command_line_is_shown(tmp_path: Path) -> None:
    less, more = "training.total_steps=128", "evaluation.every=1280"
    text = TRAIN.replace("every: 64", "every: 256")
    message = refused(tmp_path, text, less)
    assert f"command line ({less}): training.total_steps: evaluation.every (256) exceeds" in message
    assert f"command line ({more}): evaluation.every: " in refused(tmp_path, TRAIN, more)
    in_the_file = refused(tmp_path, text.replace("total_steps: 640", "total_steps: 128"))
    assert "yaml" in in_the_file.split("evaluation.every")[0]


def test_a_run_may_have_as_many_evaluations_as_a_curve_is_read_with(tmp_path: Path) -> None:
    assert train(tmp_path, TRAIN, "training.total_steps=67108800").training.total_steps == 67_108_800


def test_an_error_in_an_override_is_located_on_the_command_line(tmp_path: Path) -> None:
    assert "command line (training.total_steps=650)" in refused(tmp_path, TRAIN, "training.total_steps=650")


def test_overrides_reach_nested_keys_and_new_keys(tmp_path: Path) -> None:
    config = train(tmp_path, TRAIN, "env.perturb=[{length: 1.5}]", "env.perturb.0.length=2", "seed=3")
    assert config.env.perturb == ({"length": 2},)
    assert config.seed == 3


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, TRAIN + "name: again\n")
    assert f"{tmp_path / 'config.yaml'}:11:1: key 'name' stands twice" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1, 2", "not valid YAML"),
        ("- 1\n- 2\n", "expected a mapping"),
        ("", "expected a mapping of keys to values, found nothing"),
        ("a: 2020-01-01\n", "put it in quotes"),
        ("a: .inf\n", "not a finite number"),
        ("a: &x [*x]\n", "contains itself"),
        ("a: !!python/object:os.system {}\n", "config.yaml"),
    ],
)
def test_broken_yaml_gives_one_message(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in refused(tmp_path, text)


def test_missing_binary_and_folder_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load(str(tmp_path / "no.yaml"), {"rl": TrainConfig}, "train")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_yaml(tmp_path / "bytes.yaml")


def test_a_bare_name_never_reads_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text(TRAIN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"named with its path: \./mine"):
        load("mine", {"rl": TrainConfig}, "train")
    assert load("./mine.yaml", {"rl": TrainConfig}, "train").config.name == "try"


def test_names_of_strategies_and_targets_are_replaced_by_the_shipped_configs() -> None:
    suite = load("quickstart", {"rl": RLSuite}, "suites").config
    by_name = {strategy.name: strategy for strategy in suite.strategies}
    assert by_name["frozen-trunk-new-head"].freeze == ("trunk",)
    assert suite.targets["reversed-actions"].env.perturb
    assert suite.seeds == tuple(range(20))


def test_a_mistyped_strategy_is_located_and_corrected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Did you mean 'fine-tune'\?"):
        load("quickstart", {"rl": RLSuite}, "suites", ["strategies=[scratch, fine-tun]"])
    path = tmp_path / "s.yaml"
    path.write_text("strategies:\n  - scratch\n  - fine-tun\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"s\.yaml:3:5: strategies\.1: 'fine-tun' is no shipped"):
        load(str(path), {"rl": RLSuite}, "suites")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seeds=0", "seeds must be at least 1"),
        ("seeds=[1, 1]", "duplicates"),
        ("baseline=fine-tune", "a baseline trains from scratch"),
        ("baseline=other", "nothing can be claimed"),
        ("strategies=[scratch, random-frozen]", "none of which is in strategies"),
        ("strategies=[scratch, scratch]", "two of the same name"),
        ("targets.longer-pole.training={total_steps: 100}", "no multiple of the 256"),
        ("kind=video", "accepted: rl"),
    ],
)
def test_impossible_suites_are_refused(override: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load("quickstart", {"rl": RLSuite}, "suites", [override])
    assert expected in caught.value.message


@pytest.mark.parametrize("key", ["sources.cartpole.bar", "targets.longer-pole.reward_threshold"])
def test_scores_that_a_suite_names_are_bounded_like_the_reference(key: str) -> None:
    for value in ("1e300", "-1.1e12"):
        with pytest.raises(ConfigError) as caught:
            load("quickstart", {"rl": RLSuite}, "suites", [f"{key}={value}"])
        assert key in caught.value.message
    load("quickstart", {"rl": RLSuite}, "suites", [f"{key}=-1e12"])


def test_a_baseline_that_freezes_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'random-frozen' copies or freezes .* trains from scratch"):
        load("quickstart", {"rl": RLSuite}, "suites", ["baseline=random-frozen"])


def test_a_number_of_seeds_means_that_many_indices() -> None:
    suite = load("quickstart", {"rl": RLSuite}, "suites", ["seeds=3"]).config
    assert suite.seeds == (0, 1, 2)


def test_an_error_from_a_lower_room_is_joined_with_its_line(tmp_path: Path) -> None:
    found = loaded(tmp_path).located(TransferError("no such part", key="algorithm.n_steps"))
    assert found == f"{tmp_path / 'config.yaml'}:6:3: algorithm.n_steps: no such part"


@pytest.mark.parametrize("path", shipped("strategies").values(), ids=lambda path: path.stem)
def test_every_shipped_strategy_says_what_it_is(path: Path) -> None:
    data = read_yaml(path).data
    assert data["name"] == path.stem
    assert data["summary"].endswith(".")


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans())
def test_scalars_read_back_as_they_were_written(value: float) -> None:
    text = repr(value).lower() if isinstance(value, bool) else repr(value)
    assert parse_value(text) == value


def test_overrides_address_strategies_by_name_and_know_the_targets() -> None:
    suite = load(
        "quickstart", {"rl": RLSuite}, "suites", ["strategies.fine-tune.freeze=[value_trunk]"]
    ).config
    assert suite.strategies[1].freeze == ("value_trunk",)
    with pytest.raises(ConfigError, match=r"no 'longer-pol' in targets\. Did you mean 'longer-pole'\?"):
        load("quickstart", {"rl": RLSuite}, "suites", ["targets.longer-pol.env.id=CartPole-v1"])


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("q: 0", "q: got 0 (a number), expected greater than 0"),
        ("confidence: 1", "confidence: got 1 (a number), expected less than or equal to 0.999999"),
        ("threshold_share: 0", "threshold_share: got 0 (a number), expected greater than 0"),
        ("bootstrap: 1000000000000", "bootstrap: got 1000000000000 (a number), expected less than"),
        ("delta: 1e9", "delta: got 1000000000.0 (a number), expected less than or equal to 1"),
        ("final_share: 2", "final_share: got 2 (a number), expected less than or equal to 1"),
        ("raw_delta: 0", "raw_delta: got 0 (a number), expected greater than 0"),
        ("reference: scrach", "reference: got 'scrach', accepted: scratch, threshold, or a number. Did you"),
    ],
)
def test_settings_that_the_analysis_cannot_use_are_refused_before_training(
    tmp_path: Path, setting: str, expected: str
) -> None:
    text = shipped("suites")["quickstart"].read_text(encoding="utf-8")
    path = tmp_path / "suite.yaml"
    path.write_text(f"{text}\nanalysis:\n  {setting}\n", encoding="utf-8")
    line = path.read_text(encoding="utf-8").count("\n")
    with pytest.raises(ConfigError) as caught:
        load(str(path), {"rl": RLSuite}, "suites")
    assert caught.value.message.startswith(f"{path}:{line}:3: analysis.{expected}")


def test_data_without_a_file_is_refused_with_its_keys() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(Analysis, {"q": 2, "detla": 0.1})
    assert caught.value.message.splitlines()[0] == "q: got 2 (a number), expected less than 1"
    assert "detla: unknown key 'detla'. Did you mean 'delta'?" in caught.value.message


def test_texts_are_written_so_that_readers_of_yaml_1_1_see_texts() -> None:
    old = YAML(typ="safe", pure=True)
    old.version = (1, 1)
    for text in ("no", "On", "y", "1_000", "190:20:30", "0b1", "2026-01-01", "~", "", "=", "mit", "a: b"):
        assert old.load(yaml_text({"license": text})) == {"license": text}
    assert yaml_text({"license": "mit"}) == "license: mit\n"


@given(st.floats(allow_nan=False))
@example(1e-05)
@example(-1e16)
@example(5e-324)
@example(float("-inf"))
def test_floats_are_numbers_to_every_reader(value: float) -> None:
    text = yaml_text({"rate": value})
    for read in (yaml.safe_load(text), YAML(typ="safe", pure=True).load(text)):
        assert (read, type(read["rate"])) == ({"rate": value}, float)


def test_a_small_rate_is_written_with_a_point() -> None:
    assert yaml_text({"rate": 1e-05}) == "rate: 1.0e-05\n"
