"""Observations aligned without pairs: what the same actions change."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rl_transfer.errors import TransferError
from rl_transfer.results import RunFolder
from rl_transfer.rl.strategy.align_effects import match_effects
from rl_transfer.rl.strategy.align_samples import AlignmentMoves
from support.rl import played

WIDTH = 3
SYSTEM = np.array([[-0.5, 1.0, 0.0], [0.0, -0.3, 0.4], [0.2, 0.0, -0.8]])
PUSH = np.array([[0.0, 1.5, 0.3], [0.9, -0.8, 0.0]])


def moves(steps: int, discrete: bool, seed: int) -> AlignmentMoves:
    """Of a linear system with two pushes, or one of any strength."""
    rng = np.random.default_rng(seed)
    before = rng.normal(size=(steps, WIDTH)) * np.array([1.0, 2.0, 0.5])
    actions = rng.uniform(-1, 1, size=(steps, 1))
    if discrete:
        actions = (actions > 0).astype(np.float64)
    pushed = PUSH[actions[:, 0].astype(int)] if discrete else actions * PUSH[:1]
    noise = 0.01 * rng.normal(size=before.shape)
    return AlignmentMoves(before, actions, before + before @ SYSTEM.T + pushed + noise)


def seen(given: AlignmentMoves, matrix: np.ndarray, offset: np.ndarray) -> AlignmentMoves:
    """Through other sensors."""
    return replace(given, before=given.before @ matrix.T + offset, after=given.after @ matrix.T + offset)


@pytest.mark.parametrize("discrete", [True, False])
def test_what_actions_change_tells_which_sensor_is_which(discrete: bool) -> None:
    rng = np.random.default_rng(1)
    matrix, offset = rng.normal(size=(WIDTH, WIDTH)) + 2 * np.eye(WIDTH), rng.normal(size=WIDTH)
    home, away = moves(4096, discrete, 0), moves(2048, discrete, 2)
    count = 2 if discrete else None
    found = match_effects(home, seen(away, matrix, offset), count, np.random.default_rng(0))
    missed = found(seen(away, matrix, offset).before) - away.before
    assert (np.abs(missed) / away.before.std(axis=0)).max() < 0.05
    assert found.held_out_r2 is not None
    assert found.held_out_r2 > 0.95
    assert (found.kind, found.direction, found.rank) == ("effects", "target_to_source", WIDTH)
    shuffled = replace(away, after=away.before + rng.permutation(away.after - away.before))
    wrong = match_effects(home, seen(shuffled, matrix, offset), count, np.random.default_rng(0))
    assert wrong.held_out_r2 is not None
    assert wrong.held_out_r2 < 0.5


def test_too_few_transitions_and_other_widths_are_refused() -> None:
    home, rng = moves(512, True, 0), np.random.default_rng(0)
    few = AlignmentMoves(home.before[:15], home.actions[:15], home.after[:15])
    with pytest.raises(TransferError, match="give 17 pairs at least"):
        match_effects(home, few, 2, rng)
    narrow = AlignmentMoves(home.before[:, :2], home.actions, home.after[:, :2])
    with pytest.raises(TransferError, match="the source has 3, the target 2"):
        match_effects(home, narrow, 2, rng)


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return played(tmp_path_factory.mktemp("cartpole"), None)


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_run_is_aligned_without_pairs_and_says_how_sure_that_is(
    shuffled: bool, cartpole: RunFolder, tmp_path: Path
) -> None:
    align = {"pairs": 512, "from": "unpaired", "map": "effects", "shuffled": shuffled}
    target = played(
        tmp_path,
        cartpole,
        env={"id": "CartPole-v1", "perturb": [{"observation_permutation": [2, 3, 0, 1]}]},
        strategy={"copy": ["all"], "align": align, "train": False},
        training={"total_steps": 1024},
        evaluation={"every": 1024, "episodes": 1},
    )
    found = target.record()["alignment"]
    assert found["observations"]["kind"] == "effects"
    assert found["observations"]["pairing"] is None
    assert (found["observations"]["held_out_r2"] > 0.9) == (not shuffled)
    assert any("it may be another map" in line for line in found["doubts"]) == shuffled
    assert (found["steps"], found["source_steps"]) == (512, 512 + 2048)


def test_other_actions_are_refused(cartpole: RunFolder, tmp_path: Path) -> None:
    verbs = {"copy": ["policy_trunk"], "align": {"pairs": 64, "from": "unpaired", "map": "effects"}}
    with pytest.raises(TransferError, match="compares what the same actions do"):
        played(tmp_path, cartpole, env={"id": "InvertedPendulum-v5"}, strategy=verbs)
    with pytest.raises(TransferError, match="the source has 4, the target 6"):
        played(tmp_path, cartpole, env={"id": "Acrobot-v1"}, strategy=verbs)
