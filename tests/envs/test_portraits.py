"""What is perturbed, in words and numbers; and pictures of it, from a process that may fail alone."""

import base64
import io
import json
import subprocess
import sys
from typing import Any

import pytest
from PIL import Image

from rl_transfer_envs.show import portrait
from rl_transfer_envs.show.portrait import MOST_BYTES, portraits
from rl_transfer_envs.show.told import told

CARTPOLE = "CartPole-v1"
LONGER = {"id": CARTPOLE, "perturb": [{"length": "x3"}]}


@pytest.mark.parametrize(
    ("perturb", "words"),
    [
        ({"length": "x3"}, "length ×3: 0.5 → 1.5 m (half the pole's length)"),
        ({"length": 1.5}, "length: 0.5 → 1.5 m, ×3 (half the pole's length)"),
        (
            {"length": {"uniform": [0.5, 1.5]}},
            "length drawn for each episode: uniform [0.5, 1.5] m, unperturbed 0.5 (half the pole's length)",
        ),
        (
            {"length": {"choice": ["x0.5", "x2"]}},
            "length drawn for each episode: choice [0.25, 1] m, unperturbed 0.5 (half the pole's length)",
        ),
        (
            {"gravity": {"drift": [9.8, 14]}},
            "gravity moves within each episode [9.8, 14] m/s^2, unperturbed 9.8 (gravitational acceleration)",
        ),
        ({"action_remap": "reverse"}, "action_remap: reverse (permute discrete actions)"),
        (
            {"attribute": {"tau": 0.03}},
            "attribute of tau: 0.03 (numbers at attribute paths of env.unwrapped, absolute or relative)",
        ),
        ({"time_limit": 200}, "time_limit: 200 steps (truncate episodes after another number of steps)"),
        (
            {"observation_noise": 0.1},
            "observation_noise: std 0 → 0.1 unit of the observation "
            "(add normal or uniform noise to the observation)",
        ),
    ],
)  # fmt: skip
def test_a_perturbation_is_told_from_which_value_to_which(perturb: Any, words: str) -> None:
    assert told({"id": CARTPOLE, "perturb": [perturb]}) == [words]


def test_a_default_that_constructor_arguments_move_is_the_one_that_is_told() -> None:
    lander = {"id": "LunarLander-v3", "kwargs": {"gravity": -5.0}, "perturb": [{"gravity": "x1.4"}]}
    assert told(lander)[0].startswith("gravity ×1.4: 5 → 7 m/s^2")


def test_pictures_are_small_and_differ_and_the_base_has_words_alone() -> None:
    found = portraits({"longer": LONGER, "base": CARTPOLE})
    base, picture = (
        base64.b64decode(each or "") for each in (found["longer"]["base"], found["longer"]["picture"])
    )
    assert max(len(base), len(picture)) <= MOST_BYTES
    assert base != picture
    assert Image.open(io.BytesIO(picture)).size == (300, 200)
    assert found["base"] == {"env": CARTPOLE, "words": [], "base": None, "picture": None, "note": ""}


def test_what_cannot_be_seen_or_drawn_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    weaker = {"id": CARTPOLE, "perturb": [{"force_mag": "x0.5"}]}
    alike = portraits({"weaker": weaker})["weaker"]
    assert alike["picture"] is None
    assert "look alike" in alike["note"]
    lost = portraits({"lost": {"id": "NoSuchEnv-v0"}, "longer": LONGER})
    assert "NoSuchEnv-v0" in lost["lost"]["note"]
    assert lost["longer"]["picture"]
    monkeypatch.setattr(portrait, "MOST_PICTURES", 1)
    both = portraits({"first": LONGER, "second": LONGER})
    assert both["first"]["picture"]
    assert both["second"]["note"] == "not drawn: 24 environments are drawn at most"

    def broken(*_: object) -> None:
        raise RuntimeError("no display\nat all")

    monkeypatch.setattr(portrait, "_first_frame", broken)
    assert portraits({"longer": LONGER})["longer"]["note"] == "no picture: no display"


def test_the_process_answers_with_nothing_but_portraits() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "rl_transfer_envs.show.portrait"],
        input=json.dumps({"longer": LONGER}), capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert json.loads(done.stdout)["longer"]["words"] == told(LONGER)
