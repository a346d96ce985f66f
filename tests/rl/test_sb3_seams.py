"""SB3's private members: each that the seams use still exists, and nothing else uses any."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from rl_transfer.rl import sb3_seams
from rl_transfer.rl.environments.build import make_vec_env
from rl_transfer.rl.policies.algorithms import build_model
from rl_transfer.rl.policies.traits import ALGORITHMS, TRAITS, names_with
from support.algorithms import run_of
from support.rl import make_run

ROOT = Path(__file__).resolve().parent.parent.parent
SEAMS = Path(sb3_seams.__file__)
BY_NAME = {
    "getattr", "setattr", "hasattr", "delattr", "attrgetter", "methodcaller",
    "get_attr", "set_attr", "env_method", "__getattribute__", "__setattr__",
}  # fmt: skip
"""What takes the name of a member as a text."""
PUBLIC_NOWHERE = {
    "_version", "_forward_hooks", "_forward_pre_hooks", "_parameters", "_get_file_writer", "_exit",
    "_is_all_true", "_cache", "_optimizer_step_pre_hooks", "_optimizer_step_post_hooks", "_forkserver",
    "_forkserver_pid", "_validate_args",
}  # fmt: skip
"""Private members of torch's, of Numba's, of ``os`` and of ``multiprocessing`` that have no public name."""

ON_MODELS: dict[str, tuple[str, ...]] = {
    "_current_progress_remaining": ALGORITHMS,
    "_update_learning_rate": ALGORITHMS,
    "_setup_lr_schedule": ALGORITHMS,
    "_update_info_buffer": ALGORITHMS,
    "_n_updates": ALGORITHMS,
    "_create_aliases": names_with(lambda traits: traits.off_policy),
    "_sample_action": names_with(lambda traits: traits.off_policy),
    "_on_step": names_with(lambda traits: traits.off_policy),
    "_total_timesteps": ALGORITHMS,
    "_episode_num": ALGORITHMS,
    "_update_current_progress_remaining": ALGORITHMS,
    "_compute_actor_grad": names_with(lambda traits: traits.natural_gradient),
}
ON_CLASSES: dict[str, tuple[type, ...]] = {
    "_get_action_dist_from_latent": (ActorCriticPolicy,),
    "_get_samples": (RolloutBuffer, DictRolloutBuffer),
    "_get_indices": (VecEnv,),
    "_reset_seeds": (VecEnv,),
    "_reset_options": (VecEnv,),
}
ON_ENVIRONMENTS = ("_seeds", "_options")
REMEMBERED = ("_last_obs", "_last_episode_starts", "_last_original_obs")
"""On every model, and under these names in the zips that SB3 saves."""


def model_of(name: str) -> BaseAlgorithm:
    run = make_run(**run_of(name))
    assert run.algorithm is not None
    return build_model(run.algorithm, make_vec_env(run.env, run.algorithm.n_envs), seed=0)


def accessed(node: ast.AST) -> Iterator[ast.Attribute]:
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and each.attr.startswith("_") and not each.attr.startswith("__"):
            yield each


def own_members(tree: ast.AST) -> set[str]:
    """What the classes and functions of a module define or assign on ``self``."""
    found = {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)}
    for line in (line for made in ast.walk(tree) if isinstance(made, ast.ClassDef) for line in made.body):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            found.add(line.target.id)
    for each in accessed(tree):
        if isinstance(each.ctx, ast.Store) and isinstance(each.value, ast.Name) and each.value.id == "self":
            found.add(each.attr)
    return found


def foreign(source: str) -> list[str]:
    """Accesses to private members that the module did not make itself, and names of SB3's in texts."""
    tree = ast.parse(source)
    own, sb3 = own_members(tree), {*ON_MODELS, *ON_CLASSES}
    found = [
        ast.unparse(each)
        for each in accessed(tree)
        if each.attr not in PUBLIC_NOWHERE
        and not (ast.unparse(each.value) in ("self", "cls", "other", "super()") and each.attr in own)
    ]
    texts = [each.value for each in ast.walk(tree) if isinstance(each, ast.Constant)]
    found += [each for each in texts if isinstance(each, str) and each in sb3]
    return found + [name for name in named_in_texts(tree) if name not in own | PUBLIC_NOWHERE]


def by_members(node: ast.expr) -> bool:
    """Whether an expression is ``vars(…)`` or ``….__dict__``."""
    text = ast.unparse(node)
    return text.startswith("vars(") or text.endswith("__dict__")


def named_in_texts(tree: ast.AST) -> Iterator[str]:
    """Private members that are named by a text: in ``getattr`` and its kin, in ``vars(…)[…]``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in BY_NAME:
            where: list[ast.AST] = [*node.args]
        elif isinstance(node, ast.Subscript) and by_members(node.value):
            where = [node.slice]
        elif isinstance(node, ast.Call) and by_members(getattr(node.func, "value", node)):
            where = [*node.args]
        else:
            continue
        for text in (each for place in where for each in ast.walk(place) if isinstance(each, ast.Constant)):
            if isinstance(text.value, str) and re.fullmatch(r"_[a-z]\w*", text.value):
                yield text.value


def test_every_member_that_the_seams_use_is_looked_up_below() -> None:
    tree = ast.parse(SEAMS.read_text(encoding="utf-8"))
    used = {each.attr for each in accessed(tree)}
    texts = {each.value for each in ast.walk(tree) if isinstance(each, ast.Constant)}
    used |= {name for name in ON_CLASSES if name in texts}
    assert used == {*ON_MODELS, *ON_CLASSES, *ON_ENVIRONMENTS, *REMEMBERED}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_members_exist_on_models_and_nowhere_unexpected(name: str) -> None:
    model = model_of(name)
    for member, algorithms in ON_MODELS.items():
        assert hasattr(model, member) == (name in algorithms), (name, member)
    assert all(hasattr(model, member) for member in REMEMBERED)


def test_the_members_exist_on_policies_buffers_and_environments() -> None:
    for member, classes in ON_CLASSES.items():
        for each in classes:
            assert callable(getattr(each, member)), (each, member)
    env = DummyVecEnv([lambda: make_vec_env(make_run().env, 1).envs[0]])  # type: ignore[attr-defined]
    env.seed(3)
    env.set_options({"low": -0.1})
    assert sb3_seams.pending_seeds(env) == [3]
    assert sb3_seams.pending_options(env) == [{"low": -0.1}]
    sb3_seams.forget_pending(env)
    assert (sb3_seams.pending_seeds(env), sb3_seams.pending_options(env)) == ([None], [{}])
    assert sb3_seams.instance_numbers(env, None) == [0]


@pytest.mark.parametrize("folder", ["rl_transfer", "benchmarks"])
def test_no_other_module_touches_a_private_member(folder: str) -> None:
    paths = [path for path in sorted((ROOT / folder).rglob("*.py")) if path != SEAMS]
    found = {path: foreign(path.read_text(encoding="utf-8")) for path in paths}
    assert not {path.name: names for path, names in found.items() if names}


@pytest.mark.parametrize(
    "source",
    [
        "model._update_learning_rate([])",
        "getattr(model, '_create_aliases')()",
        "class Batch(VecEnv):\n    def reset(self):\n        return self._seeds",
        "type(buffer)._get_samples(buffer, rows)",
        "getattr(model, '_last_obs')",
        "setattr(model, '_n_updates', 0)",
        "hasattr(model, '_vec_normalize_env')",
        "vars(model)['_last_obs']",
        "model.__dict__['_last_obs']",
        "vars(model).get('_last_obs')",
        "operator.attrgetter('_last_obs')(model)",
        "env.get_attr('_elapsed_steps')",
    ],
)
def test_the_check_sees_a_violation(source: str) -> None:
    assert foreign(source)


def test_the_rate_is_reported_after_each_write(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("PPO")
    rates: list[float] = []

    def write(rate: float) -> None:
        rates.append(rate)
        for group in model.policy.optimizer.param_groups:
            group["lr"] = 2 * rate

    sb3_seams.after_learning_rate_update(model, write)
    model.learn(model.n_steps * model.n_envs * 2)  # type: ignore[attr-defined]
    assert rates == [model.lr_schedule(1.0)] * 2
    assert model.policy.optimizer.param_groups[0]["lr"] == 2 * rates[-1]


@pytest.mark.parametrize("name", names_with(lambda traits: traits.off_policy))
def test_aliases_follow_a_replaced_network(name: str) -> None:
    model = model_of(name)
    online, target = TRAITS[name].targets[0]
    replaced = torch.nn.Linear(1, 1)
    setattr(model.policy, target, replaced)
    assert getattr(model, target) is not replaced
    sb3_seams.renew_network_aliases(model)
    assert getattr(model, target) is replaced
    assert getattr(model, online) is getattr(model.policy, online)


def test_a_stand_in_gives_its_place_back_unless_it_was_taken() -> None:
    class Owner:
        def say(self) -> str:
            return "own"

    owner = Owner()
    first: Callable[[], str] = lambda: "first"  # noqa: E731
    stand_in = sb3_seams.StandIn(owner, "say", first)
    stand_in.attach()
    assert owner.say() == "first"
    stand_in.detach()
    assert owner.say() == "own"
    stand_in.attach()
    owner.say = lambda: "second"  # type: ignore[method-assign]
    stand_in.detach()
    assert owner.say() == "second"
