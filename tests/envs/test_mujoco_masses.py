"""MuJoCo: masses together with the shapes that change them."""

import numpy as np
import pytest

from support.physics import make


@pytest.mark.parametrize("order", [1, -1])
class TestMassOfAChangedShape:
    """A longer link is heavier, and a multiple of its mass is one of what it weighs then."""

    def masses(self, order, *perturb):
        env = make("Hopper-v5", *list(perturb)[::order]).unwrapped
        env.reset(seed=0)
        return env.model.body_mass.copy(), env.model.body_inertia.copy()

    def test_a_multiple(self, order):
        longer, shape = self.masses(order, {"link_length": "x1.3"})
        heavier, inertia = self.masses(order, {"link_length": "x1.3"}, {"body_mass": "x2"})
        np.testing.assert_allclose(heavier[1:], 2 * longer[1:], rtol=1e-12)
        np.testing.assert_allclose(inertia[1:], 2 * shape[1:], rtol=1e-12)

    def test_a_multiple_of_one_body(self, order):
        longer, _ = self.masses(order, {"link_length": "x1.3"})
        heavier, _ = self.masses(order, {"link_length": "x1.3"}, {"body_mass": {"thigh": "x2"}})
        index = make("Hopper-v5").unwrapped.model.body("thigh").id
        expected = longer.copy()
        expected[index] *= 2
        np.testing.assert_allclose(heavier, expected, rtol=1e-12)

    def test_an_absolute_mass(self, order):
        heavier, _ = self.masses(order, {"link_length": "x1.3"}, {"body_mass": {"thigh": 5.0}})
        assert heavier[make("Hopper-v5").unwrapped.model.body("thigh").id] == 5.0

    def test_drawn_lengths(self, order):
        drawn = [{"link_length": {"uniform": ["x1.1", "x1.4"]}}, {"body_mass": "x2"}]
        alone, both = make("Hopper-v5", drawn[0]), make("Hopper-v5", *drawn[::order])
        for seed in range(3):
            both.reset(seed=seed)
            alone.reset(seed=seed)
            np.testing.assert_allclose(
                both.unwrapped.model.body_mass[1:], 2 * alone.unwrapped.model.body_mass[1:], rtol=1e-12
            )
