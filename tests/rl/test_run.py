"""One run, end to end: agreement with plain SB3, determinism, freezing that holds, the record."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO as SB3_PPO
from stable_baselines3.common.env_util import make_vec_env

from rl_transfer.errors import BundleError, TransferError
from rl_transfer.results import RunFolder
from rl_transfer.rl.environments import seeds
from rl_transfer.rl.environments.evaluate import Evaluator
from rl_transfer.rl.policies.algorithms import Schedule
from rl_transfer.rl.policies.bundle import load_policy
from support.rl import PPO, Execute, make_run

REVERSED = {"id": "CartPole-v1", "perturb": [{"action_remap": "reverse"}]}
FROZEN = {"copy": ("trunk",), "freeze": ("trunk",)}


def test_a_scratch_run_ends_with_the_weights_of_a_plain_sb3_script(run: Execute) -> None:
    folder = run(training={"total_steps": 256})
    spec = make_run(training={"total_steps": 256})
    arguments = {name: value for name, value in PPO.items() if name not in ("name", "n_envs")}
    arguments |= {"learning_rate": lambda left: left * 0.001, "clip_range": lambda left: left * 0.2}

    model = SB3_PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", n_envs=2),
        seed=seeds.network_seed(spec),
        device="cpu",
        **arguments,
    )
    model.set_random_seed(seeds.training_seed(spec))
    model.learn(256)

    ours = load_policy(folder.bundle).state
    for name, tensor in model.policy.state_dict().items():
        assert torch.equal(tensor, ours[name]), name


def test_the_same_run_twice_is_the_same_to_the_bit(run: Execute) -> None:
    first, second = run("a"), run("b")
    assert first.curve() == second.curve()
    assert first.record()["weights_digest"] == second.record()["weights_digest"]


def test_another_seed_is_another_run(run: Execute) -> None:
    first, second = run(), run(seed=1)
    assert first.path != second.path
    assert first.record()["weights_digest"] != second.record()["weights_digest"]


@pytest.mark.parametrize("deterministic", [True, False])
def test_evaluating_more_often_does_not_change_training(run: Execute, deterministic: bool) -> None:
    rare = run(evaluation={"every": 128, "episodes": 2, "deterministic": deterministic})
    often = run(evaluation={"every": 32, "episodes": 5, "deterministic": deterministic})
    assert len(rare.curve()) == 2
    assert len(often.curve()) == 5
    assert rare.record()["weights_digest"] == often.record()["weights_digest"]


def test_the_curve_begins_before_the_first_and_ends_after_the_last_update(run: Execute) -> None:
    folder = run()
    assert [point["step"] for point in folder.curve()] == [0, 64, 128]
    spec = make_run()
    # The first point is the untrained network on the seeds of evaluation 0.
    fresh = run("zero", strategy={}, training={"total_steps": 64})
    assert fresh.curve()[0]["returns"] == folder.curve()[0]["returns"]
    # The last point is the bundled policy on the seeds of the last evaluation.
    policy = load_policy(folder.bundle)
    played = Evaluator(spec.env, 3).run(policy.act(), seeds.evaluation_seeds(spec, 2))
    assert played.returns == folder.curve()[-1]["returns"]


def test_frozen_tensors_stay_and_the_rest_moves(run: Execute) -> None:
    source = run()
    target = run(env=REVERSED, strategy=FROZEN, source=source)
    before, after = load_policy(source.bundle).state, load_policy(target.bundle).state
    for name, tensor in after.items():
        frozen = name.startswith("mlp_extractor.")
        assert torch.equal(tensor, before[name]) == frozen, name
    record = target.record()
    assert record["frozen"]["digest_before"] == record["frozen"]["digest_after"]
    assert record["frozen"]["parts"] == ["policy_trunk", "value_trunk"]
    # CartPole's heads: 64 × 2 + 2 and 64 × 1 + 1.
    assert record["parameters"]["trainable"] == 130 + 65


def test_a_new_head_is_the_head_that_scratch_starts_with(run: Execute) -> None:
    source = run()
    target = run(env=REVERSED, strategy=FROZEN, source=source)
    actions = {row["tensor"]: row["action"] for row in target.record()["plan"]}
    assert actions["action_net.weight"] == "reset"
    assert actions["mlp_extractor.policy_net.0.weight"] == "copied"


def test_strategies_on_a_target_meet_the_same_start_states(run: Execute) -> None:
    one = make_run(env=REVERSED, strategy=FROZEN, source="x", seed=2)
    other = make_run(env=REVERSED, seed=2)
    assert seeds.evaluation_seeds(one, 3) == seeds.evaluation_seeds(other, 3)
    assert seeds.evaluation_seeds(one, 3) != seeds.evaluation_seeds(one, 4)
    assert seeds.evaluation_seeds(one, 3) != seeds.evaluation_seeds(make_run(env=REVERSED, seed=1), 3)


def test_the_zero_shot_gap_is_between_episodes_of_the_same_seeds(run: Execute) -> None:
    source = run()
    at_home = run(strategy={"copy": ("all",)}, source=source).record()["zero_shot"]
    assert at_home["source_returns"] == at_home["returns"], "the same task, the same seeds"
    away = run(env=REVERSED, strategy={"copy": ("all",)}, source=source).record()["zero_shot"]
    assert len(away["source_returns"]) == len(away["returns"]) == 3
    assert away["source_returns"] != away["returns"]


def test_retention_measures_the_final_policy_beside_the_source(run: Execute) -> None:
    source = run()
    target = run(
        env=REVERSED, strategy={"copy": ("all",)}, source=source, training={"total_steps": 640},
        evaluation={"every": 640, "episodes": 5},
    )  # fmt: skip
    found = target.record()["retention"]
    home = load_policy(source.bundle).env
    spec = make_run(env=REVERSED, evaluation={"every": 640, "episodes": 5})

    def played(folder: RunFolder) -> list[float]:
        evaluator = Evaluator(home, 5)
        return evaluator.run(load_policy(folder.bundle).act(), seeds.retention_seeds(spec, home)).returns

    assert found == {"returns": played(target), "source_returns": played(source)}
    assert found["returns"] != found["source_returns"], "else nothing is told apart here"
    assert target.record()["source_steps"] == 128


def test_a_source_that_a_strategy_needs_must_be_given(run: Execute) -> None:
    with pytest.raises(Exception, match="copies from a source policy, but none was given"):
        run(strategy={"copy": ("all",)})


def test_freezing_everything_is_refused(run: Execute) -> None:
    with pytest.raises(TransferError, match="leaves nothing to train"):
        run(strategy={"freeze": ("all",)})


def test_the_best_policy_can_be_kept_instead_of_the_last(run: Execute) -> None:
    folder = run(training={"total_steps": 256, "keep": "best"}, evaluation={"every": 32, "episodes": 3})
    means = [float(np.mean(point["returns"])) for point in folder.curve()]
    best = int(np.argmax(means))

    spec = make_run(training={"total_steps": 256, "keep": "best"}, evaluation={"every": 32, "episodes": 3})
    played = Evaluator(spec.env, 3).run(load_policy(folder.bundle).act(), seeds.evaluation_seeds(spec, best))
    assert played.returns == folder.curve()[best]["returns"]


def test_normalization_statistics_travel_with_the_policy(run: Execute) -> None:
    algorithm = {**PPO, "normalize": {"observation": True, "reward": True}}
    source = run(algorithm=algorithm)
    policy = load_policy(source.bundle)
    assert policy.normalizer is not None
    assert policy.normalizer.mean[""].shape == (4,)
    assert float(policy.bundle.tensors["normalization/observation//count"]) == pytest.approx(128 + 2 + 1e-4)


def test_the_random_run_has_one_evaluation_and_no_bundle(run: Execute) -> None:
    folder = run(policy="random", algorithm=None, training=None, strategy=None)
    assert [point["step"] for point in folder.curve()] == [0]
    assert not folder.bundle.exists()


def test_a_record_is_strict_json_and_names_the_versions(run: Execute) -> None:
    text = (run().path / "record.json").read_text(encoding="utf-8")

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is not JSON")

    record = json.loads(text, parse_constant=refuse)
    assert {"python", "torch", "stable-baselines3", "gymnasium"} <= record["versions"].keys()


def test_the_bundle_cannot_be_altered_unnoticed(run: Execute) -> None:
    folder = run()
    metadata = folder.bundle / "bundle.json"
    metadata.write_text(metadata.read_text(encoding="utf-8").replace("CartPole-v1", "CartPole-v0"))
    with pytest.raises(BundleError, match="was changed"):
        load_policy(folder.bundle)


def test_a_schedule_never_turns_negative() -> None:
    schedule = Schedule(0.001, 0.0)
    assert schedule(1.0) == 0.001
    assert schedule(0.25) == pytest.approx(0.00025)
    assert schedule(-0.02) == 0.0
