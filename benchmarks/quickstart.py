"""The quickstart from shell prompt to report: both engines, and a shell loop of plain SB3 scripts.

    python benchmarks/quickstart.py                                    # every way once, half an hour
    python benchmarks/quickstart.py --ways sb3-5 compiled-5 compiled-20 --repeats 3
    python benchmarks/quickstart.py --ways loop-1 --repeats 1          # a fifth of the loop

A way is a kind of work and its number of seeds. ``sb3`` and ``compiled`` are ``rl-transfer sweep
quickstart`` on that engine, checks, evaluations, records and report included. ``loop`` starts a plain
script for each of the same training runs, one after the other: the source of a seed, then every strategy on
every target, with SB3's EvalCallback at the same steps and episodes; no random policy, no record, no
report. ``xargs`` starts as many of a seed's at a time as the sweep has workers. The ways take turns; times
are those of shell_loop.py.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.shell_loop import measured

TARGETS = ("longer-pole", "weaker-motor", "reversed-actions")
STRATEGIES = ("scratch", "fine-tune", "frozen-trunk-new-head", "random-frozen", "shuffled-source")
WAYS = ("sb3-5", "compiled-5", "compiled-20", "loop-5")

PLAIN = """\
import sys
import gymnasium as gym
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy


class Reversed(gym.ActionWrapper):
    def action(self, action):
        return 1 - action


def target():
    env = gym.make("CartPole-v1")
    if name == "longer-pole":
        env.unwrapped.length *= 3
        env.unwrapped.polemass_length *= 3
    if name == "weaker-motor":
        env.unwrapped.force_mag *= 0.5
    return Reversed(env) if name == "reversed-actions" else env


torch.set_num_threads(1)
name, arm, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
steps, every = (51_200, 5_120) if name == "source" else (6_144, 512)
env, apart = (make_vec_env(target, n_envs=count, seed=seed) for count in (8, 1))
model = PPO("MlpPolicy", env, seed=seed, device="cpu", n_steps=32, batch_size=256, n_epochs=20, gamma=0.98,
            gae_lambda=0.8, ent_coef=0.0, learning_rate=lambda left: 1e-3 * left,
            clip_range=lambda left: 0.2 * left)
if arm not in ("scratch", "random-frozen"):
    source = PPO.load(f"source-{seed}.zip", device="cpu").policy.state_dict()
    if arm == "shuffled-source":
        source = {k: v.flatten()[torch.randperm(v.numel())].view_as(v) for k, v in source.items()}
    wanted = "mlp_extractor" if arm == "frozen-trunk-new-head" else ""
    model.policy.load_state_dict({k: v for k, v in source.items() if k.startswith(wanted)}, strict=False)
if arm in ("frozen-trunk-new-head", "random-frozen"):
    for parameter in model.policy.mlp_extractor.parameters():
        parameter.requires_grad = False
first, _ = evaluate_policy(model, apart, n_eval_episodes=10)
model.learn(steps, callback=EvalCallback(apart, eval_freq=every // 8, n_eval_episodes=10, verbose=0))
last, _ = evaluate_policy(model, apart, n_eval_episodes=10)
if name == "source":
    model.save(f"source-{seed}")
print(name, arm, seed, first, last)
"""


def sweep(engine: str, seeds: int, workers: int, place: str) -> list[str]:
    """The command of the product."""
    command = [sys.executable, "-m", "rl_transfer", "sweep", "quickstart", "-q", "-o", place]
    return [*command, "-j", str(workers), f"seeds={seeds}", f"training.engine={engine}"]


def loop(seeds: int, at_once: int) -> list[str]:
    """A script for every training run."""
    runs = " ".join(f"{target} {strategy} $seed" for target in TARGETS for strategy in STRATEGIES)
    script = f"{sys.executable} plain.py"
    each = f"echo {runs} | xargs -n 3 -P {at_once} {script}"
    return ["bash", "-ec", f"for seed in $(seq {seeds}); do {script} source scratch $seed; {each}; done"]


def command_of(way: str, workers: int, place: str) -> list[str]:
    """The command of a way.

    Args:
        way: ``sb3-N``, ``compiled-N``, ``loop-N`` or ``xargs-N`` with N seeds.
        workers: of the sweep, and of xargs.
        place: a folder that is not there yet.
    """
    kind, _, seeds = way.rpartition("-")
    if kind not in ("sb3", "compiled", "loop", "xargs") or not seeds.isdigit():
        raise SystemExit(f"got the way {way!r}, expected sb3-N, compiled-N, loop-N or xargs-N, N seeds")
    if kind in ("loop", "xargs"):
        return loop(int(seeds), workers if kind == "xargs" else 1)
    return sweep(kind, int(seeds), workers, place)


def measure(ways: Sequence[str], repeats: int, workers: int) -> dict[str, list[tuple[float, float]]]:
    """Way → wall-clock and CPU seconds, one pair a repeat; who begins changes with every repeat."""
    taken: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "plain.py").write_text(PLAIN, encoding="utf-8")
        for repeat in range(repeats):
            first = repeat % len(ways)
            for way in [*ways[first:], *ways[:first]]:
                taken[way].append(measured(command_of(way, workers, f"out-{repeat}-{way}"), folder))
                wall, cpu = taken[way][-1]
                print(f"{way:<12} {wall:8.1f} s wall {cpu:8.1f} s CPU", file=sys.stderr, flush=True)
    return dict(taken)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = "sb3-N, compiled-N, loop-N, xargs-N"
    parser.add_argument("--ways", nargs="+", default=WAYS, metavar="WAY", help=known)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    taken = measure(chosen.ways, chosen.repeats, chosen.workers)
    print(f"medians of {chosen.repeats}; load {os.getloadavg()[0]:.1f}\n")
    print("| way | seeds | wall-clock s | CPU s |\n|---|---:|---:|---:|")
    for way, times in taken.items():
        wall, cpu = (statistics.median(each) for each in zip(*times, strict=True))
        kind, _, seeds = way.rpartition("-")
        print(f"| {kind} | {seeds} | {wall:.1f} | {cpu:.1f} |")


if __name__ == "__main__":
    main()
