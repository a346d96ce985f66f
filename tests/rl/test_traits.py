"""The table of algorithms: complete, borne out by SB3's classes, and the only place that names them."""

import ast
import re
from pathlib import Path
from typing import get_args

import gymnasium as gym
import pytest
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from rl_transfer.errors import TransferError
from rl_transfer.rl.environments.build import make_vec_env
from rl_transfer.rl.policies import traits as table
from rl_transfer.rl.policies.algorithms import algorithm_class, build_model
from rl_transfer.rl.policies.bundle import build_policy
from rl_transfer.rl.policies.traits import ALGORITHMS, ANY, TRAITS, traits_of
from rl_transfer.spec import Algorithm
from support.algorithms import run_of
from support.rl import PPO, make_run

ROOM = Path(table.__file__).parent.parent
NAMES = re.compile(rf"\b\w*(?:{'|'.join(ALGORITHMS)})\b")


def built(name: str) -> BaseAlgorithm:
    run = make_run(**run_of(name))
    assert run.algorithm is not None
    config = run.algorithm.model_copy(update={"policy_kwargs": type(run.algorithm.policy_kwargs)()})
    return build_model(config, make_vec_env(run.env, config.n_envs), seed=0)


class Deep(BaseFeaturesExtractor):
    """As many small layers as are asked for."""

    def __init__(self, observation_space: gym.Space[object], depth: int) -> None:
        super().__init__(observation_space, features_dim=4)
        self.layers = nn.Sequential(*(nn.Linear(4, 4) for _ in range(depth)))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.layers(observations)
        return features


def test_a_features_extractor_that_grows_without_end_is_refused() -> None:
    network = {"features_extractor": f"{__name__}:Deep", "features_extractor_kwargs": {"depth": 10**9}}
    run = make_run(algorithm={**PPO, "policy_kwargs": network})
    assert run.algorithm is not None
    with pytest.raises(TransferError, match=r"cannot be built for .*: it has more than .* or 10,000 tensors"):
        build_model(run.algorithm, make_vec_env(run.env, 1), seed=0)


def docstrings(tree: ast.AST) -> set[int]:
    """The ids of a module's docstrings, those of attributes included."""
    expressions = (each for each in ast.walk(tree) if isinstance(each, ast.Expr))
    return {id(each.value) for each in expressions if isinstance(each.value, ast.Constant)}


def named(source: str) -> list[str]:
    """Names of algorithms in a module's code: in texts, imports, and as what is called."""
    tree = ast.parse(source)
    explained = docstrings(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in explained:
            found += NAMES.findall(node.value)
        elif isinstance(node, ast.Name | ast.alias):
            found += NAMES.findall(node.id if isinstance(node, ast.Name) else node.name)
    return found


def test_every_algorithm_of_the_spec_has_a_row() -> None:
    configs = get_args(get_args(Algorithm)[0])
    assert {get_args(config.model_fields["name"].annotation)[0] for config in configs} == set(TRAITS)


def test_an_unknown_algorithm_is_refused_with_what_is_known() -> None:
    with pytest.raises(TransferError, match="'ARS' has no row of traits; known are PPO, A2C"):
        traits_of("ARS")


@pytest.mark.parametrize("path", sorted(ROOM.rglob("*.py")), ids=lambda path: path.name)
def test_no_other_module_names_an_algorithm(path: Path) -> None:
    assert path == Path(table.__file__) or not named(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "source",
    [
        "if name == 'TRPO': pass",
        "raise E(f'use PPO, not {name}')",
        "from sb3_contrib import TQC",
        "name = 'MaskablePPO'",
    ],
)
def test_the_check_sees_a_name(source: str) -> None:
    assert named(source)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_row_says_what_sb3s_class_is(name: str) -> None:
    model, traits = built(name), TRAITS[name]
    assert type(model) is algorithm_class(name)
    assert type(model).__module__.partition(".")[0] == traits.package
    assert isinstance(model, OffPolicyAlgorithm) == traits.off_policy
    assert hasattr(model, "log_ent_coef") == traits.learns_entropy
    assert hasattr(model, "n_epochs") == traits.several_epochs
    assert hasattr(model, "exploration_final_eps") == (traits.family == "q-learning")
    assert hasattr(model.policy, "critic") == (traits.family == "actor-critic")
    twins = {child for child, _ in model.policy.named_children() if child.endswith("_target")}
    assert {target for _, target in traits.targets} == twins
    assert {online for online, _ in traits.targets} <= dict(model.policy.named_children()).keys()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_signature_is_in_what_sb3_saves(name: str) -> None:
    saved = vars(built(name))
    for key, value in TRAITS[name].signature.items():
        assert key in saved
        assert value in (ANY, saved[key])


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_policy_alone_is_the_one_that_the_model_builds(name: str) -> None:
    """The defaults that SB3's class fills in stand in the row."""
    model = built(name)
    run = make_run(**run_of(name))
    assert run.algorithm is not None
    config = run.algorithm.model_copy(update={"policy_kwargs": type(run.algorithm.policy_kwargs)()})
    alone = build_policy(config, model.observation_space, model.action_space)

    def shapes(policy: torch.nn.Module) -> dict[str, torch.Size]:
        return {key: each.shape for key, each in policy.state_dict().items()}

    assert shapes(alone) == shapes(model.policy)
