"""A user's hooks: the page's examples train, and what breaks the contract is refused before training."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium as gym
import pytest
import torch
from torch import nn

from rl_transfer.errors import BundleError, ConfigError, EnvironmentSpecError, RLTransferError, TransferError
from rl_transfer.results import RunFolder
from rl_transfer.rl.environments.build import make_env
from rl_transfer.rl.policies.bundle import load_policy
from rl_transfer.rl.training.preflight import preflight
from rl_transfer.spec import Environment, RLSuite
from rl_transfer.spec.modules import import_modules, import_named
from support.algorithms import run_of, target_of
from support.examples import ROOT, examples
from support.rl import Execute

PAGE = ROOT / "docs" / "hooks.md"
KINDS = {"loss": "PullToZero", "behaviour": "RandomStart", "architecture": "NormalizedTrunk"}
METHODS = {"loss": "loss", "behaviour": "wrap", "architecture": "build"}


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's Python as a module of the reader's."""
    text = "\n".join(each.text for each in examples(PAGE) if each.language == "python")
    (tmp_path / "my_hooks.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_hooks", raising=False)


def own(monkeypatch: pytest.MonkeyPatch, name: str, **hooks: object) -> None:
    """A module of the reader's with these classes."""
    module = ModuleType(name)
    vars(module).update(hooks)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Preflight of a suite with one hook, a class or a ready-made method of it."""

    def go(kind: str, made: object, name: str = "PPO", **verbs: Any) -> RLTransferError:
        if not isinstance(made, type) and callable(made):
            method = made
            made = type("Mine", (), {"__init__": lambda self, context: None, METHODS[kind]: method})
        own(monkeypatch, "broken_hooks", Mine=made)
        suite = suite_of(name, {"copy": ("all",), "hooks": {kind: "broken_hooks:Mine"}, **verbs})
        with pytest.raises((ConfigError, TransferError)) as caught:
            preflight(suite)
        assert caught.value.key == f"strategies.1.hooks.{kind}"
        return caught.value

    return go


def suite_of(name: str, verbs: dict[str, Any]) -> RLSuite:
    task = run_of(name)
    return RLSuite.model_validate({
        **{key: task[key] for key in ("algorithm", "training", "evaluation")},
        "name": "hooked", "seeds": 1, "sources": {"base": {"env": task["env"]}},
        "targets": {"changed": {"env": target_of(name)["env"]}},
        "strategies": [{"name": "scratch"}, {"name": "hooked", **verbs}],
    })  # fmt: skip


def hooked(run: Execute, name: str, source: RunFolder, **hooks: str) -> RunFolder:
    return run(**target_of(name, strategy={"copy": ("all",), "hooks": hooks}), source=source)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("PPO", "loss"), ("PPO", "behaviour"), ("PPO", "architecture"), ("A2C", "architecture"),
        ("SAC", "loss"), ("SAC", "behaviour"), ("DQN", "loss"), ("TD3", "behaviour"), ("TRPO", "behaviour"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("page")
def test_the_pages_hooks_pass_the_preflight_and_change_the_training(
    name: str, kind: str, run: Execute
) -> None:
    path = f"my_hooks:{KINDS[kind]}"
    preflight(suite_of(name, {"copy": ("all",), "hooks": {kind: path}}))
    source = run(**run_of(name))
    with_it, without = hooked(run, name, source, **{kind: path}), hooked(run, name, source)
    assert with_it.record()["weights_digest"] != without.record()["weights_digest"]


@pytest.mark.usefixtures("page")
def test_the_trial_leaves_no_trace_in_the_numbers(run: Execute, monkeypatch: pytest.MonkeyPatch) -> None:
    source = run(**run_of("PPO"))
    tried = hooked(run, "PPO", source, loss="my_hooks:PullToZero").record()
    monkeypatch.setattr("rl_transfer.rl.training.run.rehearse", lambda *_: None)
    task = target_of("PPO", strategy={"copy": ("all",), "hooks": {"loss": "my_hooks:PullToZero"}})
    assert run("untried", **task, source=source).record()["weights_digest"] == tried["weights_digest"]


@pytest.mark.usefixtures("page")
def test_a_bundle_that_no_description_can_rebuild_says_which_hook_made_it(run: Execute) -> None:
    folder = hooked(run, "PPO", run(**run_of("PPO")), architecture="my_hooks:NormalizedTrunk")
    with pytest.raises(BundleError, match="architecture hook my_hooks:NormalizedTrunk"):
        load_policy(folder.bundle)


def test_a_hook_that_leaves_the_layers_as_they_are_leaves_a_bundle_that_loads(
    run: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Shrunk:
        def __init__(self, context: Any) -> None:
            pass

        def build(self, model: Any, parts: Any) -> None:
            with torch.no_grad():
                model.policy.action_net.weight.mul_(0.5)

    own(monkeypatch, "shrinking", Shrunk=Shrunk)
    folder = hooked(run, "PPO", run(**run_of("PPO")), architecture="shrinking:Shrunk")
    assert load_policy(folder.bundle).metadata.get("rebuilt_by") is None


def test_a_silent_change_of_the_activation_is_a_rebuilt_network(
    run: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No tensor tells it: the bundle would load and act as another network."""

    class Sigmoid:
        def __init__(self, context: Any) -> None:
            pass

        def build(self, model: Any, parts: Any) -> None:
            model.policy.mlp_extractor.policy_net[1] = nn.Sigmoid()

    own(monkeypatch, "activating", Sigmoid=Sigmoid)
    folder = hooked(run, "PPO", run(**run_of("PPO")), architecture="activating:Sigmoid")
    with pytest.raises(BundleError, match="activating:Sigmoid"):
        load_policy(folder.bundle)


def test_a_class_that_takes_no_context_is_told_the_signature(refused: Any) -> None:
    class Bare:
        def loss(self, model: Any, parts: Any, progress: float) -> None: ...

    assert "def __init__(self, context)" in refused("loss", Bare).message


def test_a_class_that_raises_while_it_is_built_is_quoted_with_its_line(refused: Any) -> None:
    class Raising:
        def __init__(self, context: Any) -> None:
            self.width = context.run.width

    message = refused("loss", Raising).message
    assert "AttributeError" in message
    assert "test_hooks.py, line" in message


@pytest.mark.parametrize(
    ("kind", "method", "contract"),
    [
        ("loss", lambda self, model: None, "def loss(self, model, parts, progress)"),
        ("loss", lambda self, model, parts, progress, extra: None, "takes (model, parts, progress, extra)"),
        ("behaviour", lambda self: None, "def wrap(self, env)"),
        ("architecture", lambda self, model: None, "def build(self, model, parts)"),
    ],
)
def test_other_arguments_than_the_kinds_are_refused(
    kind: str, method: Any, contract: str, refused: Any
) -> None:
    assert contract in refused(kind, method).message


def test_arguments_with_defaults_and_stars_are_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lenient:
        def __init__(self, *anything: Any) -> None:
            pass

        def loss(self, model: Any, *rest: Any, weight: float = 1.0) -> None:
            return None

    own(monkeypatch, "lenient", Lenient=Lenient)
    preflight(suite_of("PPO", {"copy": ("all",), "hooks": {"loss": "lenient:Lenient"}}))


STATE = {"state_dict": lambda self: {"calls": 1}, "load_state_dict": lambda self, state: None}


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        ({"load_state_dict": None}, "has a method 'state_dict' and no 'load_state_dict' of its own"),
        ({"state_dict": None}, "has a method 'load_state_dict' and no 'state_dict' of its own"),
        ({"state_dict": lambda self, more: {}}, "with a state is called with def state_dict(self)"),
        ({"load_state_dict": lambda self: None}, "def load_state_dict(self, state)"),
        ({"state_dict": lambda self: [1]}, "it is a list; expected is a dict"),
        ({"state_dict": lambda self: {"own": nn.Linear(1, 1)}}, "it holds a torch.nn.modules.linear.Linear"),
        ({"state_dict": lambda self: {"own": open}}, "it holds a function, a class or the like"),
        ({"state_dict": lambda self: {"own": iter(())}}, "is no plain data"),
        ({"state_dict": lambda self: dict[str, int]()["calls"]}, "raised KeyError: 'calls' (test_hooks.py"),
        ({"load_state_dict": lambda self, state: state["x"]}, "raised KeyError: 'x' (test_hooks.py"),
        ({"state_dict": lambda self: {"at": id(self)}}, "gave another state after load_state_dict"),
        (
            {"state_dict": lambda self: {"at": torch.tensor([float(id(self))], dtype=torch.float64)}},
            "gave another state after load_state_dict",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["loss", "behaviour"])
def test_a_state_that_checkpoints_cannot_use_is_refused_before_training(
    kind: str, methods: dict[str, Any], said: str, refused: Any
) -> None:
    method: Any = (lambda self, *_: None) if kind == "loss" else (lambda self, env: env)
    body = {"__init__": lambda self, context: None, METHODS[kind]: method, **STATE, **methods}
    made = type("Mine", (), {name: each for name, each in body.items() if each is not None})
    assert said in refused(kind, made).message


@pytest.mark.parametrize("name", ["PPO", "A2C", "DQN", "SAC", "TD3"])
def test_a_model_taken_for_a_network_is_found_before_training(name: str, refused: Any) -> None:
    message = refused("loss", lambda self, model, parts, progress: sum(model.parameters()), name).message
    assert "AttributeError" in message
    assert f"model is Stable-Baselines3's {name}, and its networks are model.policy" in message


def test_a_buffer_of_another_family_is_found_before_training(refused: Any) -> None:
    def loss(self: Any, model: Any, parts: Any, progress: float) -> Any:
        return model.rollout_buffer.returns.mean()

    assert "rollout_buffer" in refused("loss", loss, "SAC").message


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda model: 0.5, "gave float; expected is a scalar tensor"),
        (lambda model: model.policy.action_net.bias, "of shape [2]"),
        (lambda model: model.policy.action_net.bias.sum().detach(), "without gradient"),
        (lambda model: model.policy.action_net.bias.sum() * float("nan"), "finite number"),
        (
            lambda model: torch.ones(2, requires_grad=True).sum(),
            "depends on none of model.policy's parameters",
        ),
    ],
)
def test_a_loss_must_be_a_finite_scalar_with_gradient(given: Any, said: str, refused: Any) -> None:
    assert said in refused("loss", lambda self, model, parts, progress: given(model)).message


def test_a_hook_that_exits_ends_in_a_message(refused: Any) -> None:
    def loss(self: Any, model: Any, parts: Any, progress: float) -> Any:
        sys.exit("enough")

    assert "raised SystemExit: enough (test_hooks.py" in refused("loss", loss).message


def test_a_loss_of_frozen_parameters_may_lack_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has one again when they thaw."""

    class OnTheTrunk:
        def __init__(self, context: Any) -> None:
            pass

        def loss(self, model: Any, parts: Any, progress: float) -> Any:
            return model.policy.mlp_extractor.policy_net[0].weight.square().sum()

    own(monkeypatch, "thawing", OnTheTrunk=OnTheTrunk)
    thaw = {"freeze": ("policy_trunk",), "thaw": ({"at": 0.5, "parts": ("policy_trunk",)},)}
    preflight(suite_of("PPO", {"copy": ("all",), "hooks": {"loss": "thawing:OnTheTrunk"}, **thaw}))


class Wider(gym.ObservationWrapper[Any, Any, Any]):
    """One more feature."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.observation_space = gym.spaces.Box(-1, 1, (5,))

    def observation(self, observation: Any) -> Any:
        return torch.zeros(5).numpy()


@pytest.mark.parametrize(
    ("wrap", "said"),
    [
        (lambda self, env: None, "gave None; expected is the wrapped environment"),
        (lambda self, env: Wider(env), "changed the observation space"),
        (lambda self, env: env.unknown, "AttributeError"),
    ],
)
def test_a_behaviour_gives_an_environment_of_the_same_spaces(wrap: Any, said: str, refused: Any) -> None:
    assert said in refused("behaviour", wrap).message


class Stumbling(gym.Wrapper[Any, Any, Any, Any]):
    def step(self, action: Any) -> Any:
        raise KeyError("speed")


def test_a_wrapper_that_raises_while_it_plays_is_found_before_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    methods = {"__init__": lambda self, context: None, "wrap": lambda self, env: Stumbling(env)}
    own(monkeypatch, "stumbling", Stumble=type("Stumble", (), methods))
    with pytest.raises(TransferError, match=r"stumbling:Stumble raised KeyError: 'speed' \(test_hooks.py"):
        preflight(suite_of("PPO", {"copy": ("all",), "hooks": {"behaviour": "stumbling:Stumble"}}))


def test_new_parameters_without_an_optimizer_are_refused(refused: Any) -> None:
    def build(self: Any, model: Any, parts: Any) -> None:
        model.policy.mlp_extractor.policy_net.append(nn.LayerNorm(16))

    message = refused("architecture", build).message
    assert "no optimizer steps: mlp_extractor.policy_net.4.weight" in message
    assert "add_param_group" in message


def test_a_single_transfer_is_refused_before_its_first_step(
    run: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = {"__init__": lambda self, context: None, "loss": lambda self, model, *_: model.parameters()}
    own(monkeypatch, "confused", Confused=type("Confused", (), methods))
    source = run(**run_of("PPO"))
    with pytest.raises(TransferError, match="model is Stable-Baselines3's PPO") as caught:
        hooked(run, "PPO", source, loss="confused:Confused")
    assert caught.value.key == "strategy.hooks.loss"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("my_hooks:PullToZerro", "has no 'PullToZerro'. Did you mean 'PullToZero'?"),
        ("my_hooks:torch", "is a module; a loss hook is a class"),
        ("my_hooks:RandomStart", "has no method 'loss'"),
        ("my_hooks", "expected an import path module:Name"),
        ("my_hooks:", "expected an import path module:Name"),
        (":PullToZero", "expected an import path module:Name"),
        (".my_hooks:PullToZero", "expected an import path module:Name"),
        ("no_such_module:Hook", "No module named 'no_such_module'"),
    ],
)
@pytest.mark.usefixtures("page")
def test_a_path_that_leads_to_no_hook_is_refused_with_what_there_is(path: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        preflight(suite_of("PPO", {"copy": ("all",), "hooks": {"loss": path}}))
    assert said in caught.value.message
    assert caught.value.key == "strategies.1.hooks.loss"


def test_a_module_that_exits_on_import_ends_in_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script without a guard: its exit, with code 0 as a rule, would be taken for the command's."""
    (tmp_path / "my_script.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    env = Environment(id="CartPole-v1", env_module="my_script")
    assert import_named(env) == {"my_script"}
    with pytest.raises(ConfigError, match=r"SystemExit: 0 \(my_script\.py, line 2\)"):
        import_modules(["my_script"])
    with pytest.raises(ConfigError, match=r"SystemExit: 0 \(my_script\.py, line 2\)"):
        preflight(suite_of("PPO", {"copy": ("all",), "hooks": {"loss": "my_script:Hook"}}))
    with pytest.raises(EnvironmentSpecError, match="fails on import with SystemExit: 0"):
        make_env(env)
