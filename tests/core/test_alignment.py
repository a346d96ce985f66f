import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rl_transfer.core._pairs import as_matrix
from rl_transfer.core.alignment import (
    fit_frobenius,
    fit_ridge,
    frobenius,
    largest_penalty,
    leave_one_out,
    ridge,
)
from rl_transfer.core.pairing import check_pairing, doubts
from rl_transfer.core.structured_maps import (
    canonical_correlations,
    fit_cca,
    fit_coral,
    fit_low_rank,
    fit_procrustes,
)
from rl_transfer.errors import TransferError

NUMBERS = st.floats(-10, 10, allow_nan=False).map(lambda x: round(x, 3))


@st.composite
def sides(draw):
    """Pairs of any rank: few or many, with collinear and constant features."""
    n, d, k = (draw(st.integers(low, high)) for low, high in ((2, 12), (1, 5), (1, 4)))
    x = draw(hnp.arrays(float, (n, d), elements=NUMBERS))
    y = draw(hnp.arrays(float, (n, k), elements=NUMBERS))
    if d > 1 and draw(st.booleans()):
        x[:, 1] = draw(st.sampled_from([2.0, 0.0])) * x[:, 0] + 1
    return x, y


def random(n, d, k, seed=0, noise=0.1):
    rng = np.random.default_rng(seed)
    x, a = rng.normal(size=(n, d)), rng.normal(size=(k, d))
    return x, x @ a.T + 3 + noise * rng.normal(size=(n, k)), a


class TestHeldOutEpisodes:
    EPISODES = np.repeat([3, 7, 8, 9], [4, 12, 9, 5])

    @pytest.mark.parametrize("mu", [0.0, 2.0])
    def test_the_closed_form_leaves_out_whole_episodes(self, mu):
        x, y, _ = random(30, 3, 2, noise=1.0)
        found = fit_ridge(x, y, "target_to_source", mu, self.EPISODES)
        standard = [(side - side.mean(axis=0)) / side.std(axis=0) for side in (x, y)]
        missed, of_mean = 0.0, 0.0
        for episode in np.unique(self.EPISODES):
            out = episode == self.EPISODES
            matrix, offset = ridge(standard[0][~out], standard[1][~out], mu)
            missed += np.sum((standard[1][out] - standard[0][out] @ matrix.T - offset) ** 2)
            of_mean += np.sum((standard[1][out] - standard[1][~out].mean(axis=0)) ** 2)
        assert found.held_out_r2 == pytest.approx(1 - missed / of_mean)
        assert np.array_equal(found.matrix, fit_ridge(x, y, "target_to_source", mu).matrix)

    @pytest.mark.parametrize(
        ("fit", "more"),
        [
            (fit_ridge, ("auto",)),
            (fit_frobenius, (0.01,)),
            (fit_low_rank, (2, 0.1)),
            (fit_procrustes, ()),
            (fit_cca, (2,)),
        ],
        ids=["ridge", "frobenius", "low_rank", "procrustes", "cca"],
    )
    def test_unpaired_walks_are_no_longer_explained(self, fit, more):
        """Walks that know nothing of each other: rows are near copies of their neighbours."""
        rng, by_rows, by_episodes = np.random.default_rng(0), [], []
        for _ in range(10):
            x, y = (rng.normal(size=(12, 40, 2)).cumsum(axis=1).reshape(-1, 2) for _ in range(2))
            mixed = rng.permutation(len(x))
            episodes = np.repeat(np.arange(12), 40)[mixed]
            by_rows.append(fit(x[mixed], y[mixed], "target_to_source", *more).held_out_r2)
            by_episodes.append(fit(x[mixed], y[mixed], "target_to_source", *more, episodes).held_out_r2)
        assert np.mean(by_episodes) < 0
        assert np.mean(by_episodes) < np.mean(by_rows) - 0.05

    def test_episodes_of_a_row_each_are_rows(self):
        x, y, _ = random(30, 3, 2)
        found = fit_ridge(x, y, "target_to_source", 1.0, np.arange(30)).held_out_r2
        assert found == fit_ridge(x, y, "target_to_source", 1.0).held_out_r2

    def test_of_one_episode_nothing_is_known(self):
        x, y, _ = random(30, 3, 2)
        one = np.zeros(30, dtype=int)
        assert fit_low_rank(x, y, "target_to_source", 2, 0.1, one).held_out_r2 is None
        found = fit_ridge(x, y, "target_to_source", 1.0, one)
        assert found.held_out_r2 is None
        lines = doubts(found, check_pairing(x, y, np.random.default_rng(0), one))
        assert any("too few episodes to leave one out" in line for line in lines)


class TestFormula:
    @settings(max_examples=60, deadline=None)
    @given(sides(), st.floats(1e-3, 1.5))
    def test_the_map_is_stationary_or_zero(self, pair, share):
        x, y = pair
        largest = largest_penalty(x, y)
        penalty = share * largest if largest > 0 else share
        a = frobenius(x, y, penalty)
        if np.linalg.norm(a) == 0:
            assert 2 * np.linalg.norm(y.T @ x) <= penalty * (1 + 1e-12)
        else:
            gradient = 2 * (a @ x.T - y.T) @ x + penalty * a / np.linalg.norm(a)
            assert np.linalg.norm(gradient) <= 1e-6 * largest

    @settings(max_examples=30, deadline=None)
    @given(sides(), st.floats(0.01, 0.9), st.integers(0, 99))
    def test_no_other_map_is_better(self, pair, share, seed):
        x, y = pair
        if largest_penalty(x, y) == 0:
            return
        penalty = share * largest_penalty(x, y)

        def objective(a):
            return np.sum((x @ a.T - y) ** 2) + penalty * np.linalg.norm(a)

        a = frobenius(x, y, penalty)
        step = 0.01 * np.random.default_rng(seed).normal(size=a.shape)
        best = objective(a)
        assert best <= min(objective(a + step), objective(a - step), objective(0 * a)) * (1 + 1e-9)

    def test_one_feature_is_known_by_hand(self):
        x, y = np.array([[1.0], [2.0]]), np.array([[2.0], [4.0]])  # XX = 5, YX = 10: A = (10 − λ/2)/5
        assert frobenius(x, y, 4.0) == pytest.approx(1.6, abs=1e-12)
        assert largest_penalty(x, y) == 20
        assert frobenius(x, y, 20.0) == 0

    def test_the_squared_norm_would_give_another_map(self):
        x, y, _ = random(20, 3, 2)
        a = frobenius(x - x.mean(0), y - y.mean(0), 5.0)
        assert not np.allclose(a, ridge(x, y, 5.0)[0], atol=1e-3)

    def test_the_ridge_map_solves_the_formula_with_its_own_penalty(self):
        x, y, _ = random(20, 3, 2)
        x, y = x - x.mean(0), y - y.mean(0)
        a, _ = ridge(x, y, 2.5)
        assert np.allclose(frobenius(x, y, 2 * 2.5 * float(np.linalg.norm(a))), a, atol=1e-10)

    def test_the_share_of_the_largest_penalty_does_not_depend_on_units_or_repetition(self):
        x, y, _ = random(20, 3, 2)
        one = fit_frobenius(x, y, "target_to_source", 0.1)
        other = fit_frobenius(np.tile(1000 * x, (3, 1)), np.tile(y + 7, (3, 1)), "target_to_source", 0.1)
        assert np.allclose(one.matrix, 1000 * other.matrix)
        assert np.allclose(one(x) + 7, other(1000 * x))
        assert np.all(fit_frobenius(x, y, "target_to_source", 1.0).matrix == 0)


class TestRidge:
    @settings(max_examples=30, deadline=None)
    @given(sides(), st.floats(0.01, 100))
    def test_it_is_least_squares_with_rows_that_ask_for_zero(self, pair, mu):
        x, y = pair
        more = np.sqrt(mu) * np.eye(x.shape[1])
        zero = np.zeros((len(more), y.shape[1]))
        centred = np.vstack([x - x.mean(0), more]), np.vstack([y - y.mean(0), zero])
        expected = np.linalg.lstsq(*centred, rcond=None)[0].T
        a, b = ridge(x, y, mu)
        assert np.allclose(a, expected, atol=1e-8)
        assert np.allclose(b, y.mean(0) - expected @ x.mean(0), atol=1e-8)

    @pytest.mark.parametrize(("n", "d"), [(20, 3), (4, 6)])
    @pytest.mark.parametrize("mu", [0.1, 10.0])
    def test_leaving_one_out_is_what_it_says(self, n, d, mu):
        x, y, _ = random(n, d, 2)
        slow = []
        for i in range(n):
            rest = np.delete(np.arange(n), i)
            a, b = ridge(x[rest], y[rest], mu)
            slow.append(y[i] - a @ x[i] - b)
        assert np.allclose(leave_one_out(x, y, mu), slow, atol=1e-10)

    def test_a_pair_that_decides_alone_is_no_evidence(self):
        x = np.array([[0.0], [0.0], [1.0]])
        assert np.isinf(leave_one_out(x, x, 0.0)[2]).all()
        assert np.allclose(leave_one_out(x, x, 0.0)[:2], 0)

    def test_a_constant_feature_changes_nothing_and_collinear_ones_share(self):
        x, y, _ = random(30, 2, 2)
        plain = fit_ridge(x, y, "source_to_target", 1.0)
        wide = fit_ridge(np.column_stack([x, np.full(30, 1e6)]), y, "source_to_target", 1.0)
        assert np.allclose(wide.matrix[:, :2], plain.matrix)
        assert np.allclose(wide.matrix[:, 2], 0)
        twice = fit_ridge(np.column_stack([x, x[:, :1]]), y, "source_to_target", 1.0)
        assert np.allclose(twice.matrix[:, 0], twice.matrix[:, 2])
        assert (plain.rank, wide.rank, twice.rank) == (2, 2, 2)

    def test_noise_makes_leaving_one_out_choose_more_shrinkage(self):
        chosen = []
        for noise in (0.0, 5.0):
            x, y, _ = random(12, 8, 2, noise=noise)
            chosen.append(fit_ridge(x, y, "target_to_source", "auto"))
        assert float(chosen[0].shrinkage or 0) < 1e-6 < 0.5 < float(chosen[1].shrinkage or 0)
        assert chosen[0].held_out_r2 == pytest.approx(1)
        assert float(chosen[1].held_out_r2 or 1) < 0.6
        assert chosen[1].penalty == pytest.approx((chosen[1].penalty_share or 0) * self._largest(12, 8, 5.0))

    @staticmethod
    def _largest(n, d, noise):
        x, y, _ = random(n, d, 2, noise=noise)
        return largest_penalty((x - x.mean(0)) / x.std(0), (y - y.mean(0)) / y.std(0))

    def test_an_exact_map_is_found_from_one_pair_more_than_features(self):
        x, y, a = random(5, 4, 3, noise=0)
        found = fit_ridge(x, y, "target_to_source", 0.0)
        assert np.allclose(found.matrix, a)
        assert np.allclose(found.offset, 3)
        assert found.condition == pytest.approx(np.linalg.cond(a))


class TestOthers:
    @pytest.mark.parametrize("reflect", [1, -1])
    def test_procrustes_finds_rotations_and_reflections(self, reflect):
        rng = np.random.default_rng(0)
        q = np.linalg.qr(rng.normal(size=(3, 3)))[0] * [reflect, 1, 1]
        x = rng.normal(size=(10, 3)) * [1, 5, 0.1]
        found = fit_procrustes(x, x @ q.T + 2, "target_to_source")
        assert np.allclose(found.matrix, q)
        assert np.allclose(found.offset, 2)
        assert found.held_out_r2 == pytest.approx(1)

    def test_canonical_correlations_are_cosines_and_their_projections_have_variance_one(self):
        x, y, _ = random(40, 4, 3, noise=2.0)
        correlations, given_directions, wanted_directions = canonical_correlations(x, y)
        # Cosines of the angles between the spaces that the centred features span (Björck and Golub 1973).
        one, other = (np.linalg.qr(side - side.mean(0))[0] for side in (x, y))
        assert np.allclose(correlations, np.linalg.svd(one.T @ other, compute_uv=False))
        scores = (x - x.mean(0)) @ given_directions, (y - y.mean(0)) @ wanted_directions
        assert np.allclose(scores[0].std(0), 1)
        assert np.allclose((scores[0] * scores[1]).mean(0), correlations)

    def test_all_components_are_least_squares_and_one_has_rank_one(self):
        x, y, _ = random(40, 4, 3, noise=2.0)
        assert np.allclose(fit_cca(x, y, "source_to_target", 9).matrix, ridge(x, y, 0.0)[0])
        assert np.linalg.matrix_rank(fit_cca(x, y, "source_to_target", 1).matrix) == 1

    def test_low_rank_is_the_best_of_its_rank(self):
        x, y, _ = random(40, 4, 3, noise=0.5)
        full = fit_ridge(x, y, "source_to_target", 0.0)
        assert np.allclose(fit_low_rank(x, y, "source_to_target", 3, 0.0).matrix, full.matrix)
        found = fit_low_rank(x, y, "source_to_target", 1, 0.0)
        assert np.linalg.matrix_rank(found.matrix, tol=1e-9) == 1

        def error(matrix):
            return np.sum((((x - x.mean(0)) @ matrix.T + y.mean(0) - y) / y.std(0)) ** 2)

        best = np.sum(((found(x) - y) / y.std(0)) ** 2)
        rng = np.random.default_rng(0)
        for _ in range(200):
            left, right = rng.normal(size=(2, 3)), rng.normal(size=(2, 4))
            u, s, v = np.linalg.svd(found.matrix + 0.01 * np.outer(left[0], right[0]))
            assert error(s[0] * np.outer(u[:, 0], v[0])) >= best - 1e-9

    def test_coral_makes_means_and_covariances_agree_and_does_not_undo_a_permutation(self):
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3)) + 1, rng.normal(size=(80, 3)) * [1, 2, 3]
        found = fit_coral(x, y, "target_to_source", 0.0)
        assert np.allclose(np.cov(found(x).T), np.cov(y.T))
        assert np.allclose(found(x).mean(0), y.mean(0))
        assert found.held_out_r2 is None
        swapped = y[:, [1, 0, 2]]
        assert np.abs(fit_coral(swapped, y, "target_to_source", 0.0)(swapped) - y).max() > 0.5

    @pytest.mark.parametrize("n", [2, 3, 20])
    def test_what_is_constant_breaks_nothing(self, n):
        x, y = np.ones((n, 3)), np.arange(3.0 * n).reshape(n, 3)
        for found in (
            fit_ridge(x, y, "target_to_source", "auto"),
            fit_frobenius(x, y, "target_to_source", 0.1),
            fit_low_rank(x, y, "target_to_source", 1, "auto"),
            fit_cca(x, y, "target_to_source", 2),
            fit_coral(x, y, "target_to_source", 0.0),
        ):
            assert np.allclose(found.matrix, 0), found.kind
            assert np.allclose(found.offset, y.mean(0))
            assert found.condition == np.inf
        assert fit_ridge(y, x, "target_to_source", "auto").held_out_r2 is None


class TestPairing:
    def test_pairs_pass_and_shuffled_pairs_do_not(self):
        x, y, _ = random(60, 4, 3, noise=1.0)
        rng = np.random.default_rng(0)
        good = check_pairing(x, y, rng)
        assert good.paired
        assert (good.r2 or 0) > 0.5 > (good.shuffled_r2 or 0)
        bad = check_pairing(x, rng.permutation(y), rng)
        assert not bad.paired
        lines = doubts(fit_ridge(x, y, "target_to_source", "auto"), bad)
        assert any("may not be pairs" in line for line in lines)

    def test_unpaired_rows_pass_in_one_of_twenty_cases(self):
        rng = np.random.default_rng(1)
        passed = [
            check_pairing(rng.normal(size=(20, 2)), rng.normal(size=(20, 2)), rng).paired for _ in range(60)
        ]
        assert sum(passed) <= 9  # more have a probability of 0.001 at a level of 0.05

    def test_few_pairs_say_what_was_estimated_and_how_badly(self):
        x, y, _ = random(4, 8, 3)
        check = check_pairing(x, y, np.random.default_rng(0))
        (line, *_) = doubts(fit_ridge(x, y, "target_to_source", "auto"), check)
        assert "4 pairs show 3 of 8 directions" in line
        assert "held-out R²" in line
        x, y, _ = random(40, 8, 3)
        check = check_pairing(x, y, np.random.default_rng(0))
        assert doubts(fit_ridge(x, y, "target_to_source", "auto"), check) == []

    def test_where_each_pair_decides_its_own_prediction_nothing_is_known_of_the_error(self):
        x, y, _ = random(4, 8, 3)
        found = fit_ridge(x, y, "target_to_source", 0.0)
        assert found.held_out_r2 is None
        lines = doubts(found, check_pairing(x, y, np.random.default_rng(0)))
        assert any("decides its own prediction" in line for line in lines)

    def test_a_wanted_side_that_never_changes_is_told(self):
        x, _, _ = random(20, 3, 3)
        y = np.ones((20, 2))
        check = check_pairing(x, y, np.random.default_rng(0))
        (line,) = doubts(fit_ridge(x, y, "target_to_source", "auto"), check)
        assert "the same in every pair" in line

    def test_episodes_that_do_not_belong_together_do_not_pass_though_they_take_a_like_course(self):
        rng = np.random.default_rng(0)
        lengths = rng.integers(15, 25, size=10)
        episodes = np.repeat(np.arange(10), lengths)

        def walks() -> np.ndarray:
            fall = [0.1 * np.arange(n)[:, None] + 0.3 * rng.normal(size=(n, 2)).cumsum(0) for n in lengths]
            return np.concatenate(fall)

        one_by_one, whole = [], []
        for _ in range(20):
            x, y = walks(), walks()
            one_by_one.append(check_pairing(x, y, rng).paired)
            whole.append(check_pairing(x, y, rng, episodes).paired)
        assert sum(one_by_one) > 15
        assert sum(whole) <= 5  # more have a probability of 0.0003 at a level of 0.05
        x = walks()
        assert check_pairing(x, x @ rng.normal(size=(2, 2)) + rng.normal(size=x.shape), rng, episodes).paired

    def test_long_episodes_are_thinned_and_not_cut_off(self):
        rng = np.random.default_rng(0)
        episodes = np.repeat(np.arange(6), 700)
        x, other = (0.3 * rng.normal(size=(6, 700, 2)).cumsum(1).reshape(-1, 2) for _ in range(2))
        true = check_pairing(x, x @ rng.normal(size=(2, 2)) + rng.normal(size=x.shape), rng, episodes)
        assert true.paired
        false = check_pairing(x, other, rng, episodes)
        assert false.p is not None
        lines = doubts(fit_ridge(x, x, "target_to_source", 1.0), false)
        assert not any("fewer than" in line for line in lines)

    def test_of_few_episodes_nothing_is_said_but_that(self):
        rng, episodes = np.random.default_rng(0), np.repeat(np.arange(4), 10)
        x, y, _ = random(40, 3, 2, noise=1.0)
        check = check_pairing(x, y, rng, episodes)
        assert (check.p, check.shuffled_r2, check.paired) == (None, None, False)
        lines = doubts(fit_ridge(x, y, "target_to_source", 1.0), check)
        assert any("fewer than 5 episodes" in line for line in lines)
        exact = check_pairing(x, x @ rng.normal(size=(3, 2)), rng, episodes)
        assert doubts(fit_ridge(x, x, "target_to_source", "auto"), exact) == []


@pytest.mark.parametrize("scale", [1e-200, 1e-50, 1e50])
@pytest.mark.filterwarnings("error")
def test_units_of_any_size_give_finite_maps(scale):
    x, y, _ = random(20, 3, 2, noise=0.1)
    maps = [
        ridge(x * scale, y, 0.0)[0],
        frobenius(x * scale, y * scale, 1e-9 * scale)[0],
        fit_ridge(x * scale, y, "target_to_source", "auto").matrix,
        fit_frobenius(x * scale, y, "target_to_source", 0.1).matrix,
        fit_cca(x * scale, y, "target_to_source", 1).matrix,
    ]
    assert all(np.isfinite(each).all() for each in maps)
    same = fit_ridge(x, y, "target_to_source", "auto")(x)
    expected = y.mean(axis=0) * np.ones_like(y) if scale < 1e-100 else same
    assert np.allclose(fit_ridge(x * scale, y, "target_to_source", "auto")(x * scale), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x, y: ridge(x, y[:-1], 1.0), "10 and 9 rows"),
        (lambda x, y: ridge(x[:1], y[:1], 1.0), "1 pair"),
        (lambda x, y: ridge(x[0], y, 1.0), "shape (3,)"),
        (lambda x, y: ridge(np.where(x == x[2, 1], np.nan, x), y, 1.0), "nan at row 2, feature 1"),
        (lambda x, y: fit_ridge(x, y * np.inf, "target_to_source", "auto"), "inf at row 0"),
        (lambda x, y: ridge(x, y, -1.0), "at least 0"),
        (lambda x, y: ridge(x, y, np.nan), "at least 0"),
        (lambda x, y: fit_ridge(x, y, "target_to_source", -1.0), "or auto"),
        (lambda x, y: leave_one_out(x, y, -1.0), "at least 0"),
        (lambda x, y: leave_one_out(x, y, np.nan), "at least 0"),
        (lambda x, y: ridge(x * 1e200, y, 1.0), "overflow; give the feature in another unit"),
        (lambda x, y: fit_ridge(x, y + 1j, "target_to_source", "auto"), "complex128 values"),
        (lambda x, y: ridge(x.astype(str), y, 1.0), "give real numbers"),
        (lambda x, y: as_matrix([[1.0, 2.0], [3.0]], "this"), "rows of different lengths"),
        (lambda x, y: frobenius(x, y, 0.0), "above 0"),
        (lambda x, y: fit_frobenius(x, y, "target_to_source", -0.1), "above 0"),
        (lambda x, y: fit_procrustes(x, y, "target_to_source"), "3 and 2 features"),
        (lambda x, y: fit_coral(x, y, "target_to_source", 0.0), "3 and 2 features"),
        (lambda x, y: fit_coral(x[:1], x, "target_to_source", 0.0), "1 and 10"),
        (lambda x, y: fit_coral(x, x, "target_to_source", -1), "at least 0"),
        (lambda x, y: fit_low_rank(x, y, "target_to_source", 0, "auto"), "at least 1"),
        (lambda x, y: fit_cca(x, y, "target_to_source", 0), "at least 1"),
        (lambda x, y: fit_ridge(x, y, "target_to_source", "auto")(x * np.nan), "nan at row 0"),
    ],
)
def test_errors_are_for_people(call, says):
    x, y, _ = random(10, 3, 2)
    with pytest.raises(TransferError) as raised:
        call(x, y)
    assert says in str(raised.value)
