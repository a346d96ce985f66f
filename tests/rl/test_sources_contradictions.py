"""What a user says of a foreign file is held against what the file says."""

import json
from pathlib import Path

import pytest
from gymnasium import spaces

from rl_transfer.errors import BundleError
from rl_transfer.results import RunStore, run_id
from rl_transfer.rl.sources.env_names import same_task
from rl_transfer.rl.sources.load import load_source
from rl_transfer.rl.training.run import execute
from rl_transfer.spec import Environment, Evaluation, RLRun
from support.cli import Call, calling
from support.foreign import CONTINUOUS, edit_data, saved, sb3_model

CARTPOLE = spaces.Box(-1, 1, (4,))
TWO = spaces.Discrete(2)


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    return calling(capfd)


@pytest.mark.parametrize(
    ("trained", "given", "named"),
    [("PPO", "A2C", "PPO"), ("A2C", "PPO", "A2C"), ("PPO", "TRPO", "PPO"), ("DDPG", "TD3", "DDPG")],
)
def test_another_algorithm_than_the_hyperparameters_say_is_refused(
    trained: str, given: str, named: str, tmp_path: Path
) -> None:
    actions = CONTINUOUS if trained == "DDPG" else TWO
    path = saved(sb3_model(trained, CARTPOLE, actions), tmp_path / "m.zip")
    with pytest.raises(BundleError, match=f"{given} was given, but its hyperparameters are those of {named}"):
        load_source(path, env=Environment(id="Anywhere-v0"), algorithm=given)
    assert load_source(path, env=Environment(id="Anywhere-v0"), algorithm=trained).algorithm.name == trained


def test_without_hyperparameters_the_users_word_is_taken(tmp_path: Path) -> None:
    path = edit_data(saved(sb3_model("PPO"), tmp_path / "m.zip"), lambda data: data.pop("gae_lambda"))
    assert load_source(path, env=Environment(id="Anywhere-v0"), algorithm="A2C").algorithm.name == "A2C"


def test_another_environment_than_the_name_says_is_refused(tmp_path: Path) -> None:
    path = saved(sb3_model("PPO", CARTPOLE, TWO), tmp_path / "ppo-CartPole-v0.zip")
    with pytest.raises(BundleError, match=r"Acrobot-v1 was given, but by its name .* CartPole-v0.*rename"):
        load_source(path, env=Environment(id="Acrobot-v1"))
    shorter = Environment(id="CartPole-v1", perturb=({"length": 0.3},))
    assert load_source(path, env=shorter).env == shorter


def test_an_environment_with_other_spaces_is_refused_where_the_name_says_none(tmp_path: Path) -> None:
    path = saved(sb3_model("PPO", CARTPOLE, TWO), tmp_path / "best.zip")
    with pytest.raises(BundleError, match=r"Acrobot-v1 was given, but the policy observes .*\(4,\).*\(6,\)"):
        load_source(path, env=Environment(id="Acrobot-v1"))
    three = saved(sb3_model("PPO", CARTPOLE, spaces.Discrete(3)), tmp_path / "three.zip")
    with pytest.raises(
        BundleError, match=r"the policy acts in Discrete\(3\) and CartPole-v1 has Discrete\(2\)"
    ):
        load_source(three, env=Environment(id="CartPole-v1"))
    assert load_source(path, env=Environment(id="CartPole-v1")).env.id == "CartPole-v1"


@pytest.mark.parametrize("name", ["ppo-CartPole-v1.zip", "ppo-CartPole-v0.zip"])
def test_saying_what_the_file_says_changes_nothing(name: str, tmp_path: Path) -> None:
    """A sweep resolves a zip before its runs, which load it again in the environment that was found."""
    path = saved(sb3_model("PPO", CARTPOLE, TWO), tmp_path / name)
    policy = load_source(path)
    assert load_source(path, env=policy.env).digest == policy.digest
    run = RLRun(
        policy="given", env=policy.env, evaluation=Evaluation(every=1, episodes=2),
        source=f"digest:{policy.digest}", given=str(path),
    )  # fmt: skip
    folder = RunStore(tmp_path / "store").folder(run_id(run))
    execute(run, folder, say=lambda _: None)
    assert folder.finished


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("CartPole-v0", "CartPole-v1", True),
        ("CartPole-v1", "own:CartPole-v1", True),
        ("LunarLanderContinuous-v2", "LunarLander-v3", True),
        ("CartPole-v1", "Acrobot-v1", False),
        ("Hopper-v3", "Walker2d-v5", False),
        ("Nowhere-v0", "Elsewhere-v0", False),
    ],
)
def test_versions_of_one_environment(first: str, second: str, same: bool) -> None:
    assert same_task(first, second) is same
    assert same_task(second, first) is same


def test_the_command_line_refuses_both(call: Call, tmp_path: Path) -> None:
    path = str(saved(sb3_model("PPO", CARTPOLE, TWO), tmp_path / "ppo-CartPole-v1.zip"))
    for arguments, expected in (
        (("-a", "A2C"), "A2C was given, but its hyperparameters are those of PPO"),
        (("-e", "Acrobot-v1"), "Acrobot-v1 was given, but by its name"),
    ):
        outcome = call("policies", "import", path, "-o", str(tmp_path / "out"), *arguments)
        assert outcome.code == 6
        assert expected in outcome.err
        assert not (tmp_path / "out").exists()


def test_a_zip_is_evaluated_as_it_is_inspected(call: Call, tmp_path: Path) -> None:
    path = str(saved(sb3_model("PPO", CARTPOLE, TWO), tmp_path / "ppo-CartPole-v0.zip"))
    outcome = call("evaluate", path, "--episodes", "3")
    assert outcome.code == 0, outcome.err
    assert "note: environment CartPole-v0 is now CartPole-v1" in outcome.out
    assert "CartPole-v1 (unperturbed): mean return" in outcome.out
    assert call("policies", "import", path, "-o", str(tmp_path / "bundle")).code == 0
    ours = json.loads(call("evaluate", str(tmp_path / "bundle"), "--episodes", "3", "--json").out)
    zips = json.loads(call("evaluate", path, "--episodes", "3", "--json").out)
    assert zips.pop("notes")
    assert zips == ours
    elsewhere = call("evaluate", path, "--episodes", "3", "--env", "cartpole-longer-pole")
    assert "cartpole-longer-pole, CartPole-v1 (" in elsewhere.out


def test_a_zip_that_does_not_say_its_environment_is_evaluated_where_the_user_says(
    call: Call, tmp_path: Path
) -> None:
    path = str(saved(sb3_model("PPO", CARTPOLE, TWO), tmp_path / "best.zip"))
    assert call("evaluate", path, "--episodes", "2").code == 6
    outcome = call("evaluate", path, "--episodes", "2", "--env", "CartPole-v1")
    assert outcome.code == 0, outcome.err
    wrong = call("evaluate", path, "--episodes", "2", "--env", "Acrobot-v1")
    assert wrong.code == 5
    assert "a policy can only act where they agree" in wrong.err
