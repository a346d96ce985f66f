"""Maps against scikit-learn's."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cross_decomposition import CCA
from sklearn.linear_model import Ridge

from rl_transfer.core.alignment import ridge
from rl_transfer.core.structured_maps import canonical_correlations

from .test_alignment import random, sides


@settings(max_examples=30, deadline=None)
@given(sides(), st.floats(0.01, 100))
def test_the_ridge_map_is_scikit_learns(pair, mu):
    x, y = pair
    theirs = Ridge(alpha=mu, solver="svd").fit(x, y)
    a, b = ridge(x, y, mu)
    assert np.allclose(a, theirs.coef_.reshape(a.shape), atol=1e-8)
    assert np.allclose(b, theirs.intercept_, atol=1e-8)


def test_canonical_correlations_are_scikit_learns():
    x, y, _ = random(40, 4, 3, noise=2.0)
    theirs = CCA(n_components=3, scale=False, tol=1e-12, max_iter=10_000).fit(x, y).transform(x, y)
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(*(t.T for t in theirs), strict=True)]
    assert np.allclose(canonical_correlations(x, y)[0], correlations, atol=1e-5)
