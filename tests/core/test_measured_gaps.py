"""Gaps as they are recorded: the level and power of the permutation test, marginal and by label."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from rl_transfer.core import measured_gaps
from rl_transfer.core.gaps import coral, mmd
from rl_transfer.core.measured_gaps import (
    PERMUTATIONS,
    DomainGap,
    FeatureSample,
    measured_gap,
    measured_gap_by_label,
)
from rl_transfer.errors import TransferError

from .test_gaps import normal


def both_gaps(source: Tensor, target: Tensor, mine: Tensor, theirs: Tensor) -> tuple[DomainGap, DomainGap]:
    """The gap of two sides, and the one given their labels."""
    marginal = measured_gap(FeatureSample(source), FeatureSample(target), np.random.default_rng(0))
    given = measured_gap_by_label(
        FeatureSample(source, mine), FeatureSample(target, theirs), np.random.default_rng(0)
    )
    assert given is not None
    return marginal, given


def test_the_conditional_gap_sees_what_the_marginal_one_does_not() -> None:
    """Labels changed places: the features are distributed alike, and given the label they are not."""
    labels = torch.arange(120) % 2
    where = torch.where(labels == 0, -1.5, 1.5)[:, None]
    marginal, given = both_gaps(normal(120, 2, 0) + where, normal(120, 2, 1) - where, labels, labels)
    assert marginal.p > 0.05
    assert given.p == 1 / (PERMUTATIONS + 1)
    assert given.mmd > 10 * abs(marginal.mmd)


def test_the_marginal_gap_of_other_shares_of_labels_is_none_given_the_label() -> None:
    generator = np.random.default_rng(3)
    mine, theirs = (torch.as_tensor(generator.random(200) < share).long() for share in (0.2, 0.8))
    source, target = (normal(200, 2, i) + 3.0 * y[:, None] for i, y in enumerate((mine, theirs)))
    marginal, given = both_gaps(source, target, mine, theirs)
    assert marginal.p == 1 / (PERMUTATIONS + 1)
    assert given.p > 0.05


@pytest.fixture
def few_permutations(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of them: 5 of 100 values are at most 0.05."""
    monkeypatch.setattr(measured_gaps, "PERMUTATIONS", 99)


def rejections(trials: int, shift: float) -> float:
    found = [
        measured_gap(
            FeatureSample(normal(20, 2, 2 * i)),
            FeatureSample(normal(30, 2, 2 * i + 1, shift)),
            np.random.default_rng(i),
        ).p
        for i in range(trials)
    ]
    return float(np.mean(np.array(found) <= 0.05))


@pytest.mark.usefixtures("few_permutations")
def test_the_test_keeps_its_level_and_has_power() -> None:
    # 200 trials at 5 %: 10 expected, standard deviation 3.1; the bounds are three of them.
    assert 0.005 <= rejections(200, 0.0) <= 0.097
    assert rejections(30, 1.5) == 1.0


def grouped(seed: int, groups: int = 8, steps: int = 12) -> FeatureSample:
    """Rows that hang together: every group has a place of its own."""
    generator = np.random.default_rng(seed)
    places = generator.normal(size=(groups, 1, 2))
    rows = places + 0.3 * generator.normal(size=(groups, steps, 2))
    of_group = torch.arange(groups).repeat_interleave(steps)
    labels = torch.as_tensor(generator.integers(2, size=groups * steps))
    return FeatureSample(torch.as_tensor(rows.reshape(-1, 2)), labels, of_group)


@pytest.mark.usefixtures("few_permutations")
def test_rows_that_depend_on_each_other_are_permuted_in_groups() -> None:
    whole, each, given = [], [], []
    for i in range(60):
        a, b = grouped(2 * i), grouped(2 * i + 1)
        alone = FeatureSample(a.features), FeatureSample(b.features)
        whole.append(measured_gap(a, b, np.random.default_rng(i)))
        each.append(measured_gap(*alone, np.random.default_rng(i)))
        given.append(measured_gap_by_label(a, b, np.random.default_rng(i)))
    assert np.mean([g.p <= 0.05 for g in each]) > 0.9, "taken as independent, every pair would be different"
    assert np.mean([g.p <= 0.05 for g in whole]) <= 0.135  # 3 of 60, and three standard deviations of 1.7
    assert np.mean([g is not None and g.p <= 0.05 for g in given]) <= 0.135
    # Pairs within a group are left out: nothing in expectation, as for independent rows.
    values = np.array([g.mmd for g in whole])
    assert abs(values.mean()) < 3.5 * values.std(ddof=1) / math.sqrt(60)
    assert np.mean([g.mmd for g in each]) > 0.05


def test_without_groups_the_measured_value_is_the_estimator() -> None:
    a, b = normal(30, 3, 0), normal(40, 3, 1, 0.5)
    found = measured_gap(FeatureSample(a.float()), FeatureSample(b.float()), np.random.default_rng(0))
    assert found.mmd == pytest.approx(mmd(a.float().double(), b.float().double()).item(), abs=1e-12)
    assert found.coral == pytest.approx(coral(a.float().double(), b.float().double()).item(), abs=1e-12)


def with_a_hole() -> Tensor:
    rows = normal(6, 2, 0)
    rows[2, 1] = math.nan
    return rows


ONES, APART = torch.ones(5, 2), torch.arange(5)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ((torch.ones(1, 2),), (ONES,), "at least 2 rows.*source has shape 1×2"),
        ((ONES,), (torch.ones(5, 3),), "rows of the same features.*5×2.*5×3"),
        ((torch.ones(5),), (torch.ones(5, 3),), "source has shape 5"),
        ((with_a_hole(),), (ONES,), "1 row of the source's 6 hold.* no number"),
        ((ONES, None, torch.zeros(5)), (ONES, None, APART), "all rows of the source are of one group"),
        ((ONES, None, APART), (ONES,), "of one side have groups and those of the other have none"),
        ((ONES, None, APART), (ONES, None, APART[:4]), "the target has 5 rows and groups of shape 4"),
        ((ONES,), (1e200 * ONES.double(),), "a feature of the target is 1e\\+200"),
    ],
)
def test_what_has_no_gap_is_refused(source: tuple[Tensor], target: tuple[Tensor], message: str) -> None:
    with pytest.raises(TransferError, match=message):
        measured_gap(FeatureSample(*source), FeatureSample(*target), np.random.default_rng(0))


def test_labels_must_fit_the_rows() -> None:
    rows = torch.ones(6, 2)
    with pytest.raises(TransferError, match="needs labels"):
        measured_gap_by_label(FeatureSample(rows), FeatureSample(rows), np.random.default_rng(0))
    few = FeatureSample(rows, torch.zeros(5, dtype=torch.int64))
    with pytest.raises(TransferError, match="6 rows and labels of shape 5"):
        measured_gap_by_label(few, few, np.random.default_rng(0))
    apart = FeatureSample(rows, torch.zeros(6)), FeatureSample(rows, torch.ones(6))
    assert measured_gap_by_label(*apart, np.random.default_rng(0)) is None


def test_constant_features_have_no_gap() -> None:
    ones = FeatureSample(torch.ones(8, 3))
    gap = measured_gap(ones, ones, np.random.default_rng(0))
    assert (gap.coral, gap.coral_share, gap.mmd, gap.p, gap.coral_p) == (0.0, 0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e6])
@pytest.mark.parametrize("grouping", [False, True])
def test_the_permuted_covariances_are_those_of_the_estimators(grouping: bool, unit: float) -> None:
    """The p-values counted by plain loops over the same permutations."""
    a, b = grouped(0, 4, 5), grouped(1, 4, 6)
    mine, theirs = unit * (a.features + 3.0), unit * (1.3 * b.features + 3.0)
    groups = [each.groups if grouping else None for each in (a, b)]
    samples = FeatureSample(mine, None, groups[0]), FeatureSample(theirs, None, groups[1])
    found = measured_gap(*samples, np.random.default_rng(5))
    rows, generator = torch.cat([mine, theirs]), np.random.default_rng(5)
    of_row = np.arange(44) if not grouping else np.repeat(np.arange(8), [5] * 4 + [6] * 4)
    sides = (np.arange(44) < 20) if not grouping else np.arange(8) < 4
    above = 0
    for _ in range(PERMUTATIONS):
        one = torch.as_tensor(generator.permutation(sides.astype(float))[of_row] == 1)
        above += int(coral(rows[one], rows[~one]) >= coral(mine, theirs) * (1 - 1e-9))
    assert 0.005 < found.coral_p < 0.99, "anything would pass"
    assert found.coral_p == (1 + above) / (1 + PERMUTATIONS)
    assert found.coral == pytest.approx(coral(mine, theirs).item())


def test_what_is_tested_given_the_label_is_the_figure_that_is_reported() -> None:
    """Labels of other sizes count by their covariances, as in ``coral``, not each by its own size.

    One feature, six rows of each label on each side. Label 0: ±1, of variance 6/5, and 0. Label 1: ±10, ±10,
    ±2 (408/5) and ±9, ±9, ±4.5 (364.5/5). coral = (1.2² + 8.7²)/2/4 = 9.64; the first label has 2 % of it and
    does not decide, though it alone differs by much of its own size.
    """
    signs = torch.tensor([1.0, -1.0] * 3, dtype=torch.float64)[:, None]
    labels = torch.arange(2).repeat_interleave(6)
    sizes = [torch.tensor([a] * 4 + [b] * 2)[:, None] * signs for a, b in ((10.0, 2.0), (9.0, 4.5))]
    source, target = torch.cat([signs, sizes[0]]), torch.cat([0 * signs, sizes[1]])
    found = measured_gap_by_label(
        FeatureSample(source, labels), FeatureSample(target, labels), np.random.default_rng(5)
    )
    assert found is not None
    assert found.coral == pytest.approx((1.2**2 + 8.7**2) / 8)
    rows, of_row, generator = torch.cat([source, target]), labels.repeat(2), np.random.default_rng(5)
    observed, above = torch.arange(24) < 12, 0
    for _ in range(PERMUTATIONS):
        one = observed.clone()
        for label in (0, 1):
            block = (of_row == label).numpy()
            one[block] = torch.as_tensor(generator.permutation(observed[block].double().numpy()) == 1)
        parts = [(rows[one & (of_row == each)], rows[~one & (of_row == each)]) for each in (0, 1)]
        above += sum(float(coral(*each)) for each in parts) / 2 >= found.coral * (1 - 1e-9)
    assert 0.05 < found.coral_p < 0.99, "anything would pass"
    assert found.coral_p == (1 + above) / (1 + PERMUTATIONS)


def test_covariances_given_the_label_are_tested_too() -> None:
    labels = torch.arange(80) % 2
    source, scale = normal(80, 3, 0), torch.where(labels == 0, 0.3, 1.8)[:, None]
    assert both_gaps(source, normal(80, 3, 1) * scale, labels, labels)[1].coral_p == 1 / (PERMUTATIONS + 1)
    assert both_gaps(source, normal(80, 3, 2), labels, labels)[1].coral_p > 0.05
