"""Every kind of run implements the one protocol, and errors of a run are told in the suite's keys."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from rl_transfer.errors import BundleError, ConfigError, TransferError
from rl_transfer.frame import EvaluationRequest, InspectionHints, Room, bundle_folder, located
from rl_transfer.spec import MatrixConfig
from rl_transfer.spec.experiment import RunConfig
from rl_transfer.sweep.dispatch import KINDS, bundle_kind, room

VERBS = (
    "execute",
    "resolve_run",
    "resolve",
    "preflight",
    "find_source",
    "inspect",
    "evaluate",
    "score_sources",
)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_room_has_every_verb_with_the_protocols_parameters(kind: str) -> None:
    runner = room(kind)
    assert runner.labels.unit
    assert runner.labels.measure
    for verb in VERBS:
        wanted = list(inspect.signature(getattr(Room, verb)).parameters)[1:]
        assert list(inspect.signature(getattr(runner, verb)).parameters) == wanted, verb


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kinds_configs_say_its_name(kind: str) -> None:
    row = KINDS[kind]
    for config in (row.run, row.suite, row.train, row.transfer):
        assert config.model_fields["kind"].default == kind
    assert issubclass(row.run, RunConfig)
    assert issubclass(row.suite, MatrixConfig)


def test_a_request_that_makes_no_sense_for_the_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text("{}", encoding="utf-8")
    for policy in (str(tmp_path), "ppo.zip"):
        with pytest.raises(ConfigError, match=f"{policy} is a policy; .* not on --data"):
            room("rl").evaluate(policy, EvaluationRequest(data="images"))
    with pytest.raises(BundleError, match="nowhere: no such bundle or run folder"):
        room("rl").evaluate("nowhere", EvaluationRequest(data="images"))
    with pytest.raises(ConfigError, match=r"and --env is for policies only\. Leave it out"):
        room("image").evaluate("nowhere", EvaluationRequest(env="CartPole-v1"))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"episodes": 100}, "--episodes is"),
        ({"seed": 0}, "--seed is"),
        ({"deterministic": False}, "--stochastic is"),
        ({"algorithm": "PPO"}, "--algorithm is"),
        ({"success": 475.0}, "--success is"),
        ({"episodes": 7, "seed": 3}, "--episodes and --seed are"),
    ],
)
def test_a_classifier_has_no_options_of_policies_not_even_at_their_defaults(
    given: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError, match=f"{named} for policies only"):
        room("image").evaluate("nowhere", EvaluationRequest(**given))


@pytest.mark.parametrize("hint", [{"env": "CartPole-v1"}, {"algorithm": "PPO"}])
def test_a_classifiers_bundle_needs_no_hints(hint: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"its bundle tells everything, and --(env|algorithm) is"):
        room("image").inspect("nowhere", InspectionHints(**hint))


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        ("strategy.freeze", "strategies.2.freeze"),
        ("strategy", "strategies.2"),
        ("algorithm.n_steps", "algorithm.n_steps"),
        ("elsewhere.deep", "strategies.2"),
        (None, "strategies.2"),
    ],
)
def test_errors_of_a_run_get_the_suites_key(raised: str | None, told: str) -> None:
    with (
        pytest.raises(TransferError) as caught,
        located("strategies.2", {"strategy": "strategies.2"}, shared=("algorithm",), prefix="here: "),
    ):
        raise TransferError("wrong", key=raised)
    assert (caught.value.key, caught.value.message) == (told, "here: wrong")


def test_a_bundle_of_a_kind_that_nobody_knows_is_no_policy(tmp_path: Path) -> None:
    manifest = tmp_path / "bundle.json"
    manifest.write_text(json.dumps({"metadata": {"kind": "sound"}}), encoding="utf-8")
    with pytest.raises(BundleError, match=r"of kind 'sound', and here are rl, image and text; a newer"):
        bundle_kind(str(tmp_path))
    manifest.write_text(json.dumps({"metadata": {}}), encoding="utf-8")
    assert bundle_kind(str(tmp_path)) == "rl", "policies do not say it"


def test_what_is_no_bundle_is_refused_with_the_kinds_hint(tmp_path) -> None:
    (tmp_path / "weights.pth").touch()
    for name in ("absent", "weights.pth"):
        with pytest.raises(BundleError, match=r"\. Look elsewhere$"):
            bundle_folder(tmp_path / name, hint="Look elsewhere")
