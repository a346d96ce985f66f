"""A suite whose targets have other spaces than its source is told so, and how to split it."""

from typing import Any

import pytest
import torch

from rl_transfer.errors import EnvironmentSpecError, TransferError
from rl_transfer.rl.training.preflight import preflight
from rl_transfer.spec import RLSuite

SUITE: dict[str, Any] = {
    "name": "mixed",
    "seeds": 2,
    "algorithm": {"name": "PPO", "n_envs": 1, "n_steps": 32, "batch_size": 32},
    "training": {"total_steps": 64},
    "evaluation": {"every": 32, "episodes": 1},
    "sources": {"pole": {"env": {"id": "CartPole-v1"}}},
    "targets": {
        "heavy": {"env": {"id": "CartPole-v1", "perturb": [{"masspole": "x5"}]}},
        "swing": {"env": {"id": "Acrobot-v1", "perturb": [{"link_mass_1": "x2"}]}},
    },
    "strategies": [{"name": "scratch"}, {"name": "fine-tune", "copy": ["all"]}],
}


def message_of(**changes: Any) -> str:
    with pytest.raises(TransferError) as caught:
        preflight(RLSuite.model_validate({**SUITE, **changes}))
    return caught.value.message


def test_a_mismatch_names_source_target_and_the_way_out() -> None:
    said = message_of()
    assert said.startswith("strategy 'fine-tune' from source 'pole' on target 'swing': ")
    assert "64×4 in the source, 64×6 here" in said
    assert "Target 'swing' observes Box(6), not Box(4) and acts in Discrete(3), not Discrete(2)" in said
    assert "Split the suite" in said


def test_a_mistake_of_the_strategy_itself_asks_for_no_split() -> None:
    strategies = [{"name": "scratch"}, {"name": "odd", "copy": ["all"], "freeze": ["policy_trunk.7"]}]
    said = message_of(targets={"heavy": SUITE["targets"]["heavy"]}, strategies=strategies)
    assert said.startswith("strategy 'odd' from source 'pole' on target 'heavy': ")
    assert "Split" not in said


def test_the_only_target_of_the_only_source_cannot_be_split_off() -> None:
    assert "Split" not in message_of(targets={"swing": SUITE["targets"]["swing"]})


def test_a_success_that_the_environment_never_tells_is_refused_before_anything_is_trained() -> None:
    target = {"heavy": {**SUITE["targets"]["heavy"], "success": {"info": "is_success"}}}
    with pytest.raises(EnvironmentSpecError, match="its info has no 'is_success', but nothing") as caught:
        preflight(RLSuite.model_validate({**SUITE, "targets": target}))
    assert caught.value.key == "targets.heavy.success"
    target["heavy"]["success"] = {"return": 475}
    preflight(RLSuite.model_validate({**SUITE, "targets": target}))


def test_it_plans_on_one_thread_as_runs_do() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        preflight(RLSuite.model_validate({**SUITE, "targets": {"heavy": SUITE["targets"]["heavy"]}}))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
