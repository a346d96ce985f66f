"""A folder of agents in rl-zoo's layout as a table: imported or why not, measured, published."""

import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import sb3_contrib
from gymnasium import spaces

from rl_transfer.errors import BundleError
from rl_transfer.rl.agents import Agent, table_of
from rl_transfer.rl.room import play
from rl_transfer.rl.sources.load import load_source
from rl_transfer.rl.sources.published import Score, read_tables
from support.cli import Call, calling
from support.foreign import CONTINUOUS, DISCRETE, OnlySpaces, as_of_2020, normalized, saved, sb3_model

BENCHMARK = """\
# Performance of trained agents

|algo|        env_id         |mean_reward|std_reward|n_timesteps|eval_timesteps|eval_episodes|
|----|-----------------------|----------:|---------:|-----------|-------------:|------------:|
|ppo |[CartPole-v1](https://huggingface.co/sb3/ppo-CartPole-v1)| 500.000| 0.000|100k|150000|300|
|dqn |Acrobot-v1             |    -76.639|     11.75|100k       |        150000|         1932|
|ppo |Pendulum-v1            |  -1,172.5 |          |100k       |         1    |  1          |

text
"""


def spaces_of(name: str) -> tuple[spaces.Space[object], spaces.Space[object]]:
    env = gym.make(name)
    return env.observation_space, env.action_space


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Agents that can be played, agents that cannot, and files that are none."""
    root = tmp_path / "agents"
    for algorithm, name in (("PPO", "CartPole-v1"), ("DQN", "Acrobot-v1"), ("SAC", "Pendulum-v1")):
        path = root / algorithm.lower() / f"{name}_1" / f"{name}.zip"
        saved(sb3_model(algorithm, *spaces_of(name)), path)
    as_of_2020(
        saved(sb3_model("A2C", *spaces_of("CartPole-v1")), root / "a2c" / "CartPole-v0_1" / "CartPole-v0.zip")
    )
    saved(
        sb3_model("PPO", spaces.Box(-1, 1, (5,)), DISCRETE), root / "ppo" / "Acrobot-v1_1" / "Acrobot-v1.zip"
    )
    saved(sb3_model("TD3", spaces.Box(-1, 1, (5,)), CONTINUOUS), root / "td3" / "Walker2DBulletEnv-v0.zip")
    ars = sb3_contrib.ARS("LinearPolicy", OnlySpaces(spaces.Box(-1, 1, (4,)), DISCRETE), device="cpu")
    saved(ars, root / "ars" / "CartPole-v1_1" / "CartPole-v1.zip")
    (root / "broken-CartPole-v1.zip").write_bytes(b"PK\x03\x04 no zip")
    (root / "benchmark.md").write_text(BENCHMARK)
    return root


def rows(folder: Path) -> dict[str, Agent]:
    told: list[str] = []
    found = table_of(folder, 3, 0, say=told.append)
    assert told == [row.file for row in found.rows]
    return {row.file: row for row in found.rows}


def test_every_zip_has_a_row_and_none_stops_the_others(folder: Path) -> None:
    found = rows(folder)
    assert list(found) == sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.zip"))
    status = {file: (row.imported, row.measured is not None) for file, row in found.items()}
    assert status == {
        "a2c/CartPole-v0_1/CartPole-v0.zip": (True, True),
        "ars/CartPole-v1_1/CartPole-v1.zip": (False, False),
        "broken-CartPole-v1.zip": (False, False),
        "dqn/Acrobot-v1_1/Acrobot-v1.zip": (True, True),
        "ppo/Acrobot-v1_1/Acrobot-v1.zip": (True, False),
        "ppo/CartPole-v1_1/CartPole-v1.zip": (True, True),
        "sac/Pendulum-v1_1/Pendulum-v1.zip": (True, True),
        "td3/Walker2DBulletEnv-v0.zip": (True, False),
    }
    reasons = {file: row.failure or "" for file, row in found.items()}
    assert "ARS policy" in reasons["ars/CartPole-v1_1/CartPole-v1.zip"]
    assert "truncated or no zip" in reasons["broken-CartPole-v1.zip"]
    assert "observation space" in reasons["ppo/Acrobot-v1_1/Acrobot-v1.zip"]
    assert "Walker2DBulletEnv-v0" in reasons["td3/Walker2DBulletEnv-v0.zip"]
    assert found["a2c/CartPole-v0_1/CartPole-v0.zip"].env == "CartPole-v1"


def test_the_measured_score_is_that_of_evaluate(folder: Path) -> None:
    for file in ("ppo/CartPole-v1_1/CartPole-v1.zip", "sac/Pendulum-v1_1/Pendulum-v1.zip"):
        row = rows(folder)[file]
        played = play(load_source(folder / file), None, 3, 0, True)[1].returns
        assert row.measured == played
        plain = row.plain()["measured"]
        assert isinstance(plain, dict)
        assert plain["mean"] == pytest.approx(np.mean(played))
        assert plain["std"] == pytest.approx(np.std(played, ddof=1))


@pytest.mark.full
def test_published_scores_are_found_by_algorithm_and_name(folder: Path) -> None:
    found = rows(folder)
    assert found["ppo/CartPole-v1_1/CartPole-v1.zip"].published == Score(500.0, 0.0)
    assert found["dqn/Acrobot-v1_1/Acrobot-v1.zip"].published == Score(-76.639, 11.75)
    assert found["sac/Pendulum-v1_1/Pendulum-v1.zip"].published is None, "the table has PPO's"
    assert found["ars/CartPole-v1_1/CartPole-v1.zip"].published is None
    results = folder / "sac" / "Pendulum-v1_1" / "results.json"
    results.write_text('{"mean_reward": -150.5, "std_reward": 90.1, "is_deterministic": true}')
    (folder / "more.csv").write_text("algo,env_id,mean_reward\na2c,CartPole-v0,200\nppo,CartPole-v1,1\n")
    found = rows(folder)
    assert found["sac/Pendulum-v1_1/Pendulum-v1.zip"].published == Score(-150.5, 90.1)
    assert found["a2c/CartPole-v0_1/CartPole-v0.zip"].published == Score(200.0, None)
    assert table_of(folder, 1, 0, say=lambda _: None).notes == (
        "more.csv contradicts another table on ppo CartPole-v1",
    )
    results.write_text('["no object"]')
    assert rows(folder)["sac/Pendulum-v1_1/Pendulum-v1.zip"].published is None


def test_tables_of_another_form_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "benchmark.md").write_text(BENCHMARK)
    (tmp_path / "other.csv").write_text("a,b\n1,2\nppo\n")
    (tmp_path / "words.csv").write_text(
        "algo,env_id,mean_reward\nppo,CartPole-v1,many\nppo,CartPole-v1,nan\n"
    )
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "big.csv").write_bytes(b"x" * (4 * 2**20 + 1))
    scores, notes = read_tables(tmp_path)
    assert scores == {
        ("ppo", "CartPole-v1"): Score(500.0, 0.0),
        ("dqn", "Acrobot-v1"): Score(-76.639, 11.75),
        ("ppo", "Pendulum-v1"): Score(-1172.5, None),
    }
    assert [note.split()[0] for note in notes] == ["big.csv", "bytes.csv"]


def test_the_command_prints_the_table_and_the_gaps(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    call: Call = calling(capfd)
    outcome = call("policies", "table", str(folder), "--episodes", "2")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["agent", "algorithm", "environment", "measured", "published"]
    (cartpole,) = [line for line in lines if line.startswith("ppo/CartPole-v1_1/CartPole-v1.zip ")]
    assert cartpole.endswith("500.00 ± 0.00")
    assert "8 agents, 6 imported, 4 measured" in lines
    assert any(line.startswith("ars/CartPole-v1_1/CartPole-v1.zip was not imported: ") for line in lines)
    assert any(line.startswith("td3/Walker2DBulletEnv-v0.zip was not measured: ") for line in lines)
    assert "ppo/CartPole-v1_1/CartPole-v1.zip" in outcome.err, "what it is at"
    data = json.loads(call("policies", "table", str(folder), "--episodes", "2", "--json").out)
    assert len(data["agents"]) == 8
    assert {len(each["measured"]["returns"]) for each in data["agents"] if each["measured"]} == {2}


def test_agents_that_might_do_better_with_a_mask_are_told(folder: Path) -> None:
    env = normalized(*spaces_of("Pendulum-v1"))
    env.obs_rms.mean[2], env.obs_rms.var[2] = 0, 1e-11
    env.save(str(folder / "sac" / "Pendulum-v1_1" / "vecnormalize.pkl"))
    text = table_of(folder, 1, 0, say=lambda _: None).text()
    told = "sac/Pendulum-v1_1/Pendulum-v1.zip: 1 of its inputs (2) were always 0 while it was trained"
    assert [
        line for line in text.splitlines() if line.startswith(told) and line.endswith("; see --mask-zeros")
    ]
    assert "--mask-zeros" not in table_of(folder, 1, 0, mask_zeros=True, say=lambda _: None).text()


def test_a_folder_without_agents_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds no zip"):
        table_of(tmp_path, 1, 0)
    with pytest.raises(BundleError, match="is no folder"):
        table_of(tmp_path / "nowhere", 1, 0)
