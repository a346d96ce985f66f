"""CartPole-v1 in JAX: Gymnasium's equations and limits in single precision; what ends begins anew."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

GRAVITY, MASS_CART, MASS_POLE, HALF_LENGTH, FORCE, TAU = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
MASS, POLE_MOMENT = MASS_CART + MASS_POLE, MASS_POLE * HALF_LENGTH
POSITION_LIMIT, ANGLE_LIMIT, MOST_STEPS = 2.4, 12 * 2 * 3.141592653589793 / 360, 500


class State(NamedTuple):
    """Instances of CartPole."""

    physics: jax.Array
    """``[4, n_envs]``: position (m), velocity (m/s), angle (rad), angular velocity (rad/s)."""
    steps: jax.Array
    """``[n_envs]``: of the running episode."""
    finished: jax.Array
    """``[n_envs]``: length of the last episode that ended; 0 before the first."""


class Step(NamedTuple):
    """What one step of all instances gives; the reward is always 1."""

    done: jax.Array
    """``[n_envs]``: the episode ended, in either way."""
    truncated: jax.Array
    """``[n_envs]``: it ended by its time limit alone."""
    last: jax.Array
    """``[4, n_envs]``: the physics before a reset."""


def reset(start: jax.Array) -> State:
    """First states from uniform numbers in [0, 1), shaped ``[4, n_envs]``."""
    nothing = jnp.zeros(start.shape[1], jnp.int32)
    return State(0.1 * start - 0.05, nothing, nothing)


def step(state: State, action: jax.Array, start: jax.Array) -> tuple[State, Step]:
    """Advance all instances; those that end begin anew at ``start`` (uniform in [0, 1), ``[4, n_envs]``)."""
    position, velocity, angle, spin = state.physics
    force = jnp.where(action == 1, FORCE, -FORCE)
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    pushed = (force + POLE_MOMENT * spin**2 * sine) / MASS
    turning = (GRAVITY * sine - cosine * pushed) / (HALF_LENGTH * (4.0 / 3.0 - MASS_POLE * cosine**2 / MASS))
    speeding = pushed - POLE_MOMENT * turning * cosine / MASS
    after = jnp.stack(
        [position + TAU * velocity, velocity + TAU * speeding, angle + TAU * spin, spin + TAU * turning]
    )
    steps = state.steps + 1
    terminated = (jnp.abs(after[0]) > POSITION_LIMIT) | (jnp.abs(after[2]) > ANGLE_LIMIT)
    done = terminated | (steps >= MOST_STEPS)
    fresh = State(
        jnp.where(done, 0.1 * start - 0.05, after),
        jnp.where(done, 0, steps),
        jnp.where(done, steps, state.finished),
    )
    return fresh, Step(done, done & ~terminated, after)
