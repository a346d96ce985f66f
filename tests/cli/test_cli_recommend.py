"""``recommend``: sources ranked from a few steps of a target, and what cannot be ranked."""

import json
import re
from pathlib import Path

import pytest

from rl_transfer.results import RunFolder, run_id
from rl_transfer.rl.room import ROOM
from support.cli import Call
from support.image import save_arrays
from support.rl import make_run

SHORT = {"time_limit": 20}


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two policies for CartPole and one for Acrobot."""
    root = tmp_path_factory.mktemp("policies")
    for name, env, perturb in (
        ("near", "CartPole-v1", [SHORT]),
        ("far", "CartPole-v1", [SHORT, {"length": "x5"}]),
        ("other", "Acrobot-v1", [SHORT]),
    ):
        run = make_run(
            env={"id": env, "perturb": perturb},
            training={"total_steps": 32},
            evaluation={"every": 32, "episodes": 1},
        )
        folder = RunFolder(root / run_id(run))
        ROOM.execute(run, folder, None, say=lambda _: None)
        folder.path.rename(root / name)
    (root / "target.yaml").write_text(
        "env: {id: CartPole-v1, perturb: [{time_limit: 20}, {length: x1.2}]}\n", encoding="utf-8"
    )
    return root


def test_sources_are_ranked_and_one_that_cannot_act_is_named(call: Call, policies: Path) -> None:
    names = [str(policies / name) for name in ("far", "near", "other")]
    target = str(policies / "target.yaml")
    found = call("recommend", "--target", target, "--sources", *names, "--budget", "200", "--json")
    assert found.code == 0, found.err
    content = json.loads(found.out)
    assert content["budget"] == 200
    first, second, last = content["sources"]
    assert {first["place"], second["place"]} <= {1, 2}
    assert first["combined"] >= second["combined"]
    assert first["steps"] == second["steps"] == 200
    assert len(first["returns"]) >= 5
    by_name = {each["source"]: each for each in content["sources"]}
    distances = [by_name[name]["scores"]["context_distance"]["value"] for name in names[:2]]
    assert distances[0] > distances[1], "from x5 and from x1 to x1.2"
    assert by_name[names[1]]["standings"]["context_distance"] == 1
    assert (last["source"], last["place"], last["combined"], last["steps"]) == (names[2], None, None, 0)
    assert last["cannot_act"] == "its observation space is Box(6), the target's is Box(4)"


def test_one_source_is_scored_and_nothing_is_ranked(call: Call, policies: Path) -> None:
    found = call("recommend", str(policies / "near"), "-t", str(policies / "target.yaml"), "--budget", "60")
    assert found.code == 0, found.err
    assert "! 1 source that can act: there is nothing to rank" in found.out
    assert "zero_shot_return" in found.out
    assert "Nothing was trained" in found.out


def test_a_calibration_decides(call: Call, policies: Path, tmp_path: Path) -> None:
    names = [str(policies / name) for name in ("far", "near")]
    for score, first in (("context_distance", names[1]), ("td_error", None)):
        path = tmp_path / "calibration.json"
        path.write_text(json.dumps({"schema": 1, "weights": {score: 2}}), encoding="utf-8")
        found = call(
            "recommend", *names, "-t", str(policies / "target.yaml"), "--budget", "60",
            "--calibration", str(path), "--json",
        )  # fmt: skip
        best = json.loads(found.out)["sources"][0]
        assert best["standings"][score] == 1
        assert best["source"] == (first or best["source"])


@pytest.fixture
def gains(tmp_path: Path) -> Path:
    """A calibration of a sweep in which the longest pole's policy is the best everywhere."""
    envs = [{"id": "CartPole-v1", "perturb": [SHORT, {"length": f"x{each}"}]} for each in (1, 2, 4)]
    rows = [[10.0 * row] * 3 for row in range(3)]
    entry = {"sweep": "poles", "sources": envs, "targets": envs, "gains": rows}
    content = {"weights": {"td_error": 1}, "strategy": "fine-tune", "metric": "auc_gain", "gains": [entry]}
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.full
def test_gains_of_finished_sweeps_rank_by_themselves_or_stand_beside(
    call: Call, policies: Path, gains: Path
) -> None:
    names = [str(policies / name) for name in ("near", "far", "other")]
    given = [*names, "-t", str(policies / "target.yaml"), "--budget", "60", "--calibration", str(gains)]
    content = json.loads(call("recommend", *given, "--by", "predicted_gain", "--json").out)
    assert content["by"] == "predicted_gain"
    first, second, last = content["sources"]
    assert [each["source"] for each in (first, second)] == [names[1], names[0]]
    assert first["scores"]["predicted_gain"]["value"] > second["scores"]["predicted_gain"]["value"]
    assert first["scores"]["predicted_gain"]["beyond"] == ["length"], "x5, and the sweep ends at x4"
    assert second["scores"]["predicted_gain"]["known_source"] is True
    assert "Acrobot-v1 and CartPole-v1 are different" in last["scores"]["predicted_gain"]["reason"]
    plain = call("recommend", *given)
    assert plain.code == 0, plain.err
    assert "far: predicted gain +" in plain.out
    assert "9 pairs of poles" in plain.out
    alone = call("recommend", *given, "--by", "td_error")
    assert "ranked by td_error alone" in alone.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 3, "no source is named"),
        (["NEAR", "--kind", "rll"], 3, "expected rl, image or text"),
        (["nowhere.zip"], 6, "nowhere.zip: no such file or folder"),
        (["NEAR", "NEAR"], 3, "is given twice; name each once"),
        (["NEAR", "NEAR/"], 3, "is given twice; name each once"),
        (["NEAR", "--budget", "1000001"], 3, "at most 1,000,000, for all samples"),
        (["NEAR", "--budget", "39"], 3, "39 steps are too few .* give at least 40"),
        (["NEAR", "--calibration", "absent.json"], 7, "absent.json"),
        (["NEAR", "--by", "predicted_gains"], 3, "Did you mean 'predicted_gain'"),
        (["NEAR", "--by", "predicted_gain"], 3, "needs the gains of finished sweeps: give --calibration"),
        (["NEAR", "-t", "CartPool-v1"], 4, "CartPool-v1"),
    ],
)
def test_bad_input_is_told(call: Call, policies: Path, arguments: list[str], code: int, message: str) -> None:
    given = [each.replace("NEAR", str(policies / "near")) for each in arguments]
    target = [] if "-t" in given else ["-t", str(policies / "target.yaml")]
    found = call("recommend", *given, *target)
    assert found.code == code, found.err
    assert re.search(message, found.err)


def test_a_backbone_by_name_is_an_image_classifier(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    data = tmp_path / "data.yaml"
    data.write_text(f"{{name: arrays, path: {save_arrays(tmp_path / 'stripes.npz')}}}", encoding="utf-8")
    found = call("recommend", "torchvision/squeezenet1_1", "-t", str(data), "--budget", "6")
    assert found.code == 6
    assert "there is no squeezenet1_1-b8a52dc0.pth" in found.err
