"""CORAL and maximum mean discrepancy against closed forms."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from rl_transfer.core.gaps import FACTORS, coral, coral_share, gap_by_label, kernel_scale, mmd
from rl_transfer.errors import TransferError


def normal(rows: int, width: int, seed: int, mean: float = 0.0, scale: float = 1.0) -> Tensor:
    drawn = np.random.default_rng(seed).normal(size=(rows, width))
    return torch.as_tensor(mean + scale * drawn)


def test_coral_by_hand() -> None:
    # Variances 2 and 8, no covariance: (8 − 2)² = 36, and once more for the second feature; 72 / (4 · 2²).
    source = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]) * math.sqrt(3)
    assert torch.allclose(torch.cov(source.T), torch.tensor([[2.0, 0.0], [0.0, 2.0]]))
    target = 2 * source + 5.0
    assert coral(source, target).item() == pytest.approx(72 / 16)
    # ‖C_t − C_s‖ / (‖C_s‖ + ‖C_t‖) = 6 / (2 + 8), in any unit.
    assert coral_share(source, target).item() == pytest.approx(0.6)
    assert coral_share(100 * source, 100 * target).item() == pytest.approx(0.6)
    assert coral_share(source, torch.ones(3, 2)).item() == pytest.approx(1.0)
    assert coral_share(torch.ones(3, 2), torch.ones(3, 2)).item() == 0.0


def test_coral_of_gaussians_with_known_covariances() -> None:
    first = torch.tensor([[1.0, 0.0], [0.5, 1.0]], dtype=torch.float64)
    second = torch.tensor([[2.0, 0.0], [0.0, 0.5]], dtype=torch.float64)
    exact = (first @ first.T - second @ second.T).square().sum() / 16
    found = coral(normal(200_000, 2, 0) @ first.T, 3 + normal(200_000, 2, 1) @ second.T)
    assert found.item() == pytest.approx(exact.item(), rel=0.02)


def expected_kernel(delta: float, variance: float, width: int, bandwidth: float) -> float:
    """E exp(−‖z‖²/(2b)) of z ~ N(δ·1, v·I) in ``width`` dimensions."""
    factor = (bandwidth / (bandwidth + variance)) ** (width / 2)
    return float(factor * math.exp(-width * delta**2 / (2 * (bandwidth + variance))))


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (0.7, 1.0), (0.0, 1.8), (0.4, 0.6)])
def test_mmd_of_gaussians_in_closed_form(mean: float, deviation: float) -> None:
    width, scale = 3, 2.5
    exact = sum(
        expected_kernel(0, 2, width, f * scale)
        + expected_kernel(0, 2 * deviation**2, width, f * scale)
        - 2 * expected_kernel(mean, 1 + deviation**2, width, f * scale)
        for f in FACTORS
    ) / len(FACTORS)
    found = [
        mmd(normal(400, width, 2 * i), normal(300, width, 2 * i + 1, mean, deviation), torch.tensor(scale))
        for i in range(12)
    ]
    values = torch.stack(found).numpy()
    error = values.std(ddof=1) / math.sqrt(len(values))
    assert abs(values.mean() - exact) < 3.5 * error
    assert exact < 1e-12 or exact > 5 * error, "the bound would let anything pass"


def test_mmd_by_hand() -> None:
    # Rows 0 and 2 against 0 and 2, s = 4: the two of a side differ by 4, across by 0, 4, 4 and 0.
    rows = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    apart = sum(math.exp(-4 / (2 * f * 4)) for f in FACTORS) / len(FACTORS)
    assert mmd(rows, rows, torch.tensor(4.0)).item() == pytest.approx(2 * apart - 2 * (1 + apart) / 2)


def test_the_kernel_has_the_median_distance_and_so_no_unit() -> None:
    one, other = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [7.0]])
    # Squared distances 1, 9, 49, 4, 36, 16: the lower median is 9.
    assert kernel_scale(one, other).item() == pytest.approx(9.0)
    a, b = normal(50, 4, 0), normal(60, 4, 1, 0.5)
    assert mmd(1000 * a + 7, 1000 * b + 7).item() == pytest.approx(mmd(a, b).item(), abs=1e-9)


def test_constant_and_mostly_dead_features_have_a_gap() -> None:
    ones = torch.ones(8, 3, dtype=torch.float64)
    assert mmd(ones, ones).item() == 0.0
    # More than half of the pairs coincide, so the median is 0; what is left still counts.
    dead = torch.zeros(20, 3, dtype=torch.float64)
    alive = dead.clone()
    alive[0] = 5.0
    assert kernel_scale(dead, alive) > 0
    assert math.isfinite(mmd(dead, alive).item())


def test_many_features_give_the_same_covariance_distance_in_little_memory() -> None:
    source, target = normal(8, 40, 0), normal(9, 40, 1, 2.0, 1.5)
    one, other = torch.cov(source.T), torch.cov(target.T)
    assert coral(source, target).item() == pytest.approx(((one - other).square().sum() / 6400).item())
    share = (one - other).norm() / (one.norm() + other.norm())
    assert coral_share(source, target).item() == pytest.approx(share.item())
    # As covariances, each side of these would take 320 GB.
    wide = torch.zeros(4, 200_000, dtype=torch.float64)
    wide[:, 0] = torch.tensor([1.0, -1.0, 1.0, -1.0])
    assert coral(wide, 2 * wide).item() == pytest.approx((4 / 3 * 3) ** 2 / (4 * 200_000**2))


@pytest.mark.parametrize("estimator", [coral, coral_share, mmd])
def test_what_is_no_number_has_no_gap_of_zero(estimator: object) -> None:
    rows = normal(6, 2, 0)
    rows[1, 1] = math.nan
    assert callable(estimator)
    assert math.isnan(estimator(rows, normal(6, 2, 1)))


@pytest.mark.parametrize("estimator", [coral, mmd])
def test_gradients_are_those_of_finite_differences(estimator: object) -> None:
    source, target = normal(6, 3, 0).requires_grad_(), normal(5, 3, 1, 0.3).requires_grad_()
    # The width is no function of the rows for the gradient.
    scale = kernel_scale(source, target)
    given = (lambda a, b: mmd(a, b, scale)) if estimator is mmd else coral
    assert torch.autograd.gradcheck(given, (source, target))


def test_a_step_along_the_gradient_brings_samples_together() -> None:
    for estimator in (coral, mmd):
        source = normal(200, 2, 0)
        target = normal(200, 2, 1, 1.0, 2.0).requires_grad_()
        before = estimator(source, target)
        (gradient,) = torch.autograd.grad(before, target)
        assert estimator(source, target - 5.0 * gradient).item() < before.item()


def test_by_label_it_is_the_mean_over_shared_labels() -> None:
    source, target = normal(12, 2, 0), normal(10, 2, 1, 1.0)
    mine, theirs = torch.tensor([0] * 5 + [1] * 4 + [2] * 3), torch.tensor([0] * 2 + [1] * 7 + [3])
    found = gap_by_label(coral, source, target, mine, theirs, 2)
    assert found is not None
    parts = [coral(source[mine == k], target[theirs == k]) for k in (0, 1)]
    assert found.value.item() == pytest.approx((parts[0] + parts[1]).item() / 2)
    assert found.rows == {0: (5, 2), 1: (4, 7)}
    assert found.left_out == {2: (3, 0), 3: (0, 1)}
    assert gap_by_label(coral, source, target, mine, theirs + 10, 2) is None


def test_what_has_no_gap_is_refused() -> None:
    with pytest.raises(TransferError, match="rows of the same features"):
        mmd(torch.ones(4, 2), torch.ones(4, 3))
    with pytest.raises(TransferError, match="at least 2 rows"):
        coral(torch.ones(1, 2), torch.ones(4, 2))
    with pytest.raises(TransferError, match="6 rows and labels of shape 5"):
        gap_by_label(mmd, torch.ones(6, 2), torch.ones(6, 2), torch.zeros(5), torch.zeros(6), 2)
