"""How long the teacher of a kickstarted policy speaks."""

import pytest
from stable_baselines3 import PPO

from rl_transfer.rl.policies.bundle import load_policy
from rl_transfer.rl.strategy.kickstart import KickstartLoss
from rl_transfer.spec.strategy import Kickstart
from support.rl import Execute


@pytest.mark.parametrize("until", [0.5, 1.0])
def test_kickstarting_halves_on_its_way_and_ends_where_it_is_said_to(run: Execute, until: float) -> None:
    teacher = load_policy(run().bundle)
    student = PPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=32, n_epochs=1, seed=1, device="cpu")
    student.learn(32)

    def loss(progress: float) -> float | None:
        """The first term of a fresh loss: every one of them draws the same minibatch."""
        term = KickstartLoss(Kickstart(strength=2.0, until=until), teacher, seed=0).loss(
            student, teacher.parts, progress
        )
        return None if term is None else term.item()

    start = loss(0.0)
    assert start is not None
    assert start > 0
    assert loss(until / 4) == pytest.approx(0.75 * start)
    assert loss(until / 2) == pytest.approx(0.5 * start)
    assert [loss(share) for share in (until, (until + 1) / 2, 1.0)] == [None, None, None]
