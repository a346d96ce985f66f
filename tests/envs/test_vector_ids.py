"""``make_vec`` finds the batched versions by the plain id, without importing them first."""

import subprocess
import sys


def test_a_named_variant_is_batched_by_its_plain_id() -> None:
    code = (
        "import gymnasium as gym; "
        "envs = gym.make_vec('rl_transfer_envs:CartPoleLongPole-v1', num_envs=3); "
        "print(type(envs.unwrapped).__name__, envs.num_envs)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["BatchedVectorEnv", "3"]
