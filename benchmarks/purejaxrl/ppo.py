"""PPO as one compiled function, after the idea of PureJaxRL (Lu et al. 2022, Discovered policy optimisation).

The whole training, environment included, is one JAX program; ``jax.vmap`` over keys trains many members at
once. The algorithm is that of Stable-Baselines3 with rl-zoo3's settings for CartPole-v1: two networks of two
tanh layers, orthogonal initialisation, linear schedules, Adam (ε = 1e-5) after clipping the gradient's norm,
advantages normalised in every minibatch, values of truncated episodes bootstrapped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.purejaxrl import cartpole

Tree = Any
"""A tree of arrays, as JAX takes them."""

OBSERVATIONS, ACTIONS = 4, 2


class Settings(NamedTuple):
    """rl-zoo3's for CartPole-v1."""

    total_steps: int = 102_400
    n_envs: int = 8
    n_steps: int = 32
    batch_size: int = 256
    n_epochs: int = 20
    gamma: float = 0.98
    gae_lambda: float = 0.8
    learning_rate: float = 1e-3
    clip_range: float = 0.2
    value_coefficient: float = 0.5
    max_grad_norm: float = 0.5
    widths: Sequence[int] = (64, 64)


class Rollout(NamedTuple):
    """``[n_steps, n_envs]`` each; observations ``[n_steps, n_envs, 4]``."""

    observation: jax.Array
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    reward: jax.Array
    done: jax.Array


def network(key: jax.Array, sizes: Sequence[int], last_gain: float) -> Tree:
    """Weights and biases, orthogonal with gain √2 but for the last layer."""
    keys = jax.random.split(key, len(sizes) - 1)
    gains = [2**0.5] * (len(sizes) - 2) + [last_gain]
    return [
        (jax.nn.initializers.orthogonal(gain)(each, (before, after)), jnp.zeros(after))
        for each, before, after, gain in zip(keys, sizes[:-1], sizes[1:], gains, strict=True)
    ]


def forward(layers: Tree, x: jax.Array) -> jax.Array:
    """Outputs ``[batch, size]`` of a network with tanh between its layers."""
    for weights, bias in layers[:-1]:
        x = jnp.tanh(x @ weights + bias)
    weights, bias = layers[-1]
    return x @ weights + bias


def advantages(rollout: Rollout, last_value: jax.Array, settings: Settings) -> jax.Array:
    """Generalised advantage estimates (Schulman et al. 2016), ``[n_steps, n_envs]``."""

    def back(carry: tuple[jax.Array, jax.Array], each: tuple[jax.Array, ...]) -> tuple[Any, jax.Array]:
        following, value_after = carry
        reward, value, done = each
        alive = 1.0 - done
        delta = reward + settings.gamma * value_after * alive - value
        advantage = delta + settings.gamma * settings.gae_lambda * alive * following
        return (advantage, value), advantage

    steps = (rollout.reward, rollout.value, rollout.done.astype(jnp.float32))
    _, found = jax.lax.scan(
        back, (jnp.zeros_like(last_value), last_value), steps, reverse=True, unroll=settings.n_steps
    )
    return found


def loss(parameters: Tree, batch: tuple[jax.Array, ...], clip: jax.Array, settings: Settings) -> jax.Array:
    """PPO's clipped surrogate and the squared error of the values, of one minibatch."""
    observation, action, old_log_prob, advantage, target = batch
    advantage = (advantage - advantage.mean()) / (advantage.std(ddof=1) + 1e-8)
    logits = jax.nn.log_softmax(forward(parameters["actor"], observation))
    log_prob = jnp.where(action == 1, logits[:, 1], logits[:, 0])
    ratio = jnp.exp(log_prob - old_log_prob)
    surrogate = jnp.minimum(advantage * ratio, advantage * jnp.clip(ratio, 1 - clip, 1 + clip)).mean()
    value = forward(parameters["critic"], observation)[:, 0]
    return -surrogate + settings.value_coefficient * ((target - value) ** 2).mean()


def adam(state: tuple[Tree, Tree, Tree, jax.Array], gradient: Tree, rate: jax.Array, most: float) -> Any:
    """One step of Adam on the gradient, its norm clipped as torch does; the state is (θ, m, v, t)."""
    parameters, first, second, count = state
    norm = jnp.sqrt(sum(jnp.vdot(each, each) for each in jax.tree.leaves(gradient)))
    scale = jnp.minimum(1.0, most / (norm + 1e-6))
    gradient = jax.tree.map(lambda g: g * scale, gradient)
    count = count + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
    size = rate / (1 - 0.9**count)
    root = jnp.sqrt(1 - 0.999**count)
    parameters = jax.tree.map(
        lambda p, m, v: p - size * m / (jnp.sqrt(v) / root + 1e-5), parameters, first, second
    )
    return parameters, first, second, count


def training(settings: Settings) -> Callable[[jax.Array], tuple[Tree, jax.Array]]:
    """The training as a function of a key: final parameters, and the mean length of the last episodes.

    The second result is ``[updates]``: over the instances, at the end of every rollout.
    """
    rollout_size = settings.n_envs * settings.n_steps
    updates = settings.total_steps // rollout_size
    minibatches = rollout_size // settings.batch_size

    def collect(
        parameters: Tree, state: cartpole.State, key: jax.Array
    ) -> tuple[cartpole.State, Rollout, Any]:
        keys = jax.random.split(key)
        shape = (settings.n_steps, settings.n_envs)
        draws = jax.random.uniform(keys[0], shape)
        starts = jax.random.uniform(keys[1], (settings.n_steps, OBSERVATIONS, settings.n_envs))

        def act(state: cartpole.State, drawn: tuple[jax.Array, jax.Array]) -> tuple[cartpole.State, Any]:
            draw, start = drawn
            observation = state.physics.T
            logits = jax.nn.log_softmax(forward(parameters["actor"], observation))
            action = (draw >= jnp.exp(logits[:, 0])).astype(jnp.int32)
            log_prob = jnp.where(action == 1, logits[:, 1], logits[:, 0])
            state, stepped = cartpole.step(state, action, start)
            return state, (observation, action, log_prob, stepped)

        state, (observation, action, log_prob, stepped) = jax.lax.scan(act, state, (draws, starts))
        seen = jnp.concatenate(
            [observation, jnp.swapaxes(stepped.last, 1, 2), state.physics.T[None]]
        ).reshape(-1, OBSERVATIONS)
        values = forward(parameters["critic"], seen)[:, 0].reshape(-1, settings.n_envs)
        value, ended, last = jnp.split(values, [settings.n_steps, 2 * settings.n_steps])
        reward = 1.0 + settings.gamma * jnp.where(stepped.truncated, ended, 0.0)
        return state, Rollout(observation, action, log_prob, value, reward, stepped.done), last[0]

    def update(carry: Any, index: jax.Array) -> tuple[Any, jax.Array]:
        optimizer, state, key = carry
        key, for_rollout, for_order = jax.random.split(key, 3)
        state, rollout, last_value = collect(optimizer[0], state, for_rollout)
        left = 1.0 - (index + 1) / updates
        rate, clip = settings.learning_rate * left, settings.clip_range * left
        advantage = advantages(rollout, last_value, settings)
        flat = tuple(
            each.reshape(rollout_size, *each.shape[2:])
            for each in (
                rollout.observation, rollout.action, rollout.log_prob, advantage, advantage + rollout.value
            )
        )  # fmt: skip

        def learn(optimizer: Any, rows: jax.Array) -> tuple[Any, None]:
            gradient = jax.grad(loss)(optimizer[0], tuple(each[rows] for each in flat), clip, settings)
            return adam(optimizer, gradient, rate, settings.max_grad_norm), None

        order = jax.vmap(lambda each: jax.random.permutation(each, rollout_size))(
            jax.random.split(for_order, settings.n_epochs)
        )
        optimizer, _ = jax.lax.scan(learn, optimizer, order.reshape(-1, rollout_size // minibatches))
        return (optimizer, state, key), state.finished.astype(jnp.float32).mean()

    def train(key: jax.Array) -> tuple[Tree, jax.Array]:
        key, for_actor, for_critic, for_start = jax.random.split(key, 4)
        parameters = {
            "actor": network(for_actor, (OBSERVATIONS, *settings.widths, ACTIONS), 0.01),
            "critic": network(for_critic, (OBSERVATIONS, *settings.widths, 1), 1.0),
        }
        nothing = jax.tree.map(jnp.zeros_like, parameters)
        optimizer = (parameters, nothing, nothing, jnp.zeros((), jnp.int32))
        state = cartpole.reset(jax.random.uniform(for_start, (OBSERVATIONS, settings.n_envs)))
        (optimizer, _, _), lengths = jax.lax.scan(update, (optimizer, state, key), jnp.arange(updates))
        return optimizer[0], lengths

    return train


def play(parameters: Tree, key: jax.Array, episodes: int) -> jax.Array:
    """Lengths ``[episodes]`` of first episodes under the most probable actions."""
    state = cartpole.reset(jax.random.uniform(key, (OBSERVATIONS, episodes)))
    start = jnp.zeros((OBSERVATIONS, episodes))

    def act(carry: tuple[cartpole.State, jax.Array], _: None) -> tuple[Any, None]:
        state, length = carry
        action = forward(parameters["actor"], state.physics.T).argmax(1)
        state = cartpole.step(state, action, start)[0]
        return (state, jnp.where(length == 0, state.finished, length)), None

    nothing = jnp.zeros(episodes, jnp.int32)
    (_, length), _ = jax.lax.scan(act, (state, nothing), None, length=cartpole.MOST_STEPS)
    return length
