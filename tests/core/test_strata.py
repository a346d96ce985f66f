"""Strata of continuous actions: what they hold, and the gap given the action against closed forms."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from core.test_gaps import expected_kernel
from rl_transfer.core import measured_gaps
from rl_transfer.core.gaps import FACTORS, gap_by_label, mmd
from rl_transfer.core.measured_gaps import PERMUTATIONS, FeatureSample, measured_gap, measured_gap_by_label
from rl_transfer.core.strata import LEAST_ROWS, action_strata
from rl_transfer.errors import TransferError


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.as_tensor(np.random.default_rng(seed).normal(size=shape))


def test_one_component_is_cut_at_its_octiles() -> None:
    rows = torch.randperm(160, generator=torch.Generator().manual_seed(0)).double()[:, None]
    mine, theirs = action_strata(rows[:100], rows[100:])
    labels = torch.cat([mine, theirs])
    assert torch.equal(labels, rows[:, 0].long() // 20)


def test_the_component_that_varies_most_is_cut_first() -> None:
    rows = drawn(0, 400, 3) * torch.tensor([0.1, 5.0, 1.0])
    mine, theirs = action_strata(rows[:200], rows[200:])
    labels = torch.cat([mine, theirs])
    assert torch.bincount(labels).tolist() == [50] * 8
    upper = rows[labels >= 4, 1]
    assert upper.min() > rows[labels < 4, 1].max()


@given(
    st.lists(st.tuples(st.integers(-2, 2), st.integers(-1, 1)), min_size=1, max_size=120),
    st.integers(0, 119),
)
def test_equal_actions_share_a_stratum_and_sides_do_not_matter(
    rows: list[tuple[int, int]], place: int
) -> None:
    values = torch.tensor(rows, dtype=torch.float64)
    cut = place % (len(rows) + 1)
    labels = torch.cat(action_strata(values[:cut], values[cut:]))
    again = torch.cat(action_strata(values, values[:0]))
    assert torch.equal(labels, again)
    by_action: dict[tuple[int, int], set[int]] = {}
    for row, label in zip(rows, labels.tolist(), strict=True):
        by_action.setdefault(row, set()).add(label)
    assert all(len(each) == 1 for each in by_action.values())
    found = sorted(set(labels.tolist()))
    assert found == [*range(len(found))]
    assert len(found) <= 8
    if len(rows) < LEAST_ROWS:
        assert found == [0]


def closed_form(difference: float, width: int, scale: float) -> float:
    """MMD² between N(0, I) and N(δ·1, I)."""
    return sum(
        2 * expected_kernel(0, 2, width, f * scale) - 2 * expected_kernel(difference, 2, width, f * scale)
        for f in FACTORS
    ) / len(FACTORS)


@pytest.mark.parametrize("difference", [0.0, 1.2])
def test_the_gap_given_the_action_of_gaussians_in_closed_form(difference: float) -> None:
    """N(±δ/2, I) by the action's sign, the other way round in the target: only given the action a gap."""
    width, scale = 3, 2.5
    exact = closed_form(difference, width, scale)
    found, marginal = [], []
    for i in range(16):
        actions = drawn(100 + i, 480, 1)
        # The middle cut of pooled rows is their median, not 0: draw both halves equally large.
        actions[:240] = actions[:240].abs()
        actions[240:] = -actions[240:].abs()
        side = torch.arange(480) % 2 == 0
        signs = torch.where(side[:, None], 1.0, -1.0) * torch.sign(actions)
        rows = drawn(200 + i, 480, width) + difference / 2 * signs
        labels = action_strata(actions[side], actions[~side])
        estimator = partial(mmd, scale=torch.tensor(scale))
        gap = gap_by_label(estimator, rows[side], rows[~side], *labels, 2)
        assert gap is not None
        assert len(gap.rows) == 8
        found.append(gap.value.item())
        marginal.append(mmd(rows[side], rows[~side], torch.tensor(scale)).item())
    for values, expected in ((found, exact), (marginal, 0.0)):
        error = np.std(values, ddof=1) / math.sqrt(len(values))
        assert abs(np.mean(values) - expected) < 3.5 * error
        assert expected == pytest.approx(0.0) or expected > 5 * error, "the bound would let anything pass"


def test_most_of_what_other_actions_do_to_the_features_is_no_gap_given_the_action() -> None:
    """Features are the action and noise on both sides; the target's actions are one deviation larger."""
    mine, theirs = drawn(0, 256, 1), drawn(1, 256, 1) + 1.0
    source, target = mine + 0.3 * drawn(2, 256, 1), theirs + 0.3 * drawn(3, 256, 1)
    labels = action_strata(mine, theirs)
    given_action = measured_gap_by_label(
        FeatureSample(source, labels[0]), FeatureSample(target, labels[1]), np.random.default_rng(0)
    )
    marginal = measured_gap(FeatureSample(source), FeatureSample(target), np.random.default_rng(0))
    assert given_action is not None
    assert marginal.p == 1 / (PERMUTATIONS + 1)
    assert given_action.mmd < 0.1 * marginal.mmd


def test_the_test_given_the_action_keeps_its_level_and_has_power(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured_gaps, "PERMUTATIONS", 99)

    def p(seed: int, turned: float) -> float:
        mine, theirs = drawn(4 * seed, 60, 2), drawn(4 * seed + 1, 60, 2)
        source = mine + 0.5 * drawn(4 * seed + 2, 60, 2)
        target = turned * theirs + 0.5 * drawn(4 * seed + 3, 60, 2)
        labels = action_strata(mine, theirs)
        gap = measured_gap_by_label(
            FeatureSample(source, labels[0]), FeatureSample(target, labels[1]), np.random.default_rng(seed)
        )
        assert gap is not None
        return gap.p

    # 40 trials at 5 %: 2 expected, standard deviation 1.4; the bound is three of them more.
    assert np.mean([p(i, 1.0) <= 0.05 for i in range(40)]) <= 0.155
    assert all(p(i, -1.0) <= 0.05 for i in range(10))


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (torch.ones(4), torch.ones(4, 1), "source's actions have shape 4, the target's 4×1"),
        (torch.ones(4, 2), torch.ones(4, 1), "4×2, the target's 4×1"),
        (torch.ones(4, 0), torch.ones(4, 0), "same action components"),
        (torch.tensor([[math.nan]]), torch.ones(4, 1), "an action is no number"),
    ],
)
def test_what_has_no_strata_is_refused(source: Tensor, target: Tensor, message: str) -> None:
    with pytest.raises(TransferError, match=message):
        action_strata(source, target)
