"""Trains members of PPO in JAX when it is told to: a contender of benchmarks/engine.py.

python -m benchmarks.purejaxrl.worker '{"members": 1, "settings": {"total_steps": 51200}}'
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from benchmarks.engines.serving import Result, Turn, serve, timed
from benchmarks.purejaxrl.ppo import Settings, play, training

EPISODES = 10


def prepare(job: dict[str, Any]) -> tuple[Turn, dict[str, Any]]:
    """Compile the training of all members, and run it once."""
    settings, members = Settings(**job["settings"]), int(job["members"])

    def keys(seed: int) -> jax.Array:
        return jax.random.split(jax.random.key(seed), members)

    train = jax.jit(jax.vmap(training(settings)))
    compiled, compiling, _ = timed(lambda: train.lower(keys(0)).compile())
    score = jax.jit(jax.vmap(lambda parameters, key: play(parameters, key, EPISODES).mean()))
    jax.block_until_ready(compiled(keys(0)))

    def turn(seed: int) -> Result:
        (parameters, _), cpu, wall = timed(lambda: jax.block_until_ready(compiled(keys(seed))))
        found = np.asarray(score(parameters, keys(1000 + seed)))
        steps = members * settings.total_steps
        return {"cpu": cpu, "wall": wall, "steps": steps, "score": float(found.mean())}

    return turn, {"compiling": compiling, "versions": f"jax {jax.__version__}"}


if __name__ == "__main__":
    serve(prepare)
