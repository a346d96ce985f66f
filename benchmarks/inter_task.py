"""Does a policy help in a task of other sensors and actions, once its inputs and outputs are translated?

    python benchmarks/inter_task.py --output results/inter-task            # ten seeds
    python benchmarks/inter_task.py --output results/inter-task --seeds 3  # a quick look

CartPole, Acrobot, MountainCar and Pendulum, each as source of each other. Nothing is paired. 4,096 steps of
the target with random actions (they count against its budget) and as many of the source give the inter-task
map: both tasks' states are whitened, and a rotation between them, with a map of the actions, is sought under
which the target's changes of state look most like the source's model of its own. The map is folded into a
copy of the source's actor (the critic starts fresh: rewards differ), which then trains in the target.

Three arms a pair: translated, the control (a rotation and a map of actions drawn at random between the same
whitened states), and from scratch. A score is 0 for a uniform-random policy and 1 for a return that counts
as solved; the gain is in area under the curve, translated − control source policy by source policy.

Ours differs from Taylor, Stone and Liu (2007), whose maps are given by hand; from Taylor, Kuhlmann and Stone
(2008), who try assignments of single variables under a model of the source (here: rotations); from Bou Ammar
et al. (2015), who align manifolds of good trajectories; and from Gupta et al. (2017), who need states paired
by time in a task that both have learned.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3 import PPO

from benchmarks.engines.cases import CARTPOLE, PENDULUM
from rl_transfer.analysis.arm_statistics import mean_interval, welch_interval
from rl_transfer.results import RunFolder, RunStore, run_id
from rl_transfer.rl.policies.bundle import load_policy
from rl_transfer.rl.room import ROOM
from rl_transfer.rl.training.run import execute
from rl_transfer.seeding import generator
from rl_transfer.spec import RLRun

FloatArray = npt.NDArray[np.float64]
SAMPLES = 4_096
SEARCHED = 512
RESTARTS, ITERATIONS = 8, 6
EVALUATIONS = 8
CONFIDENCE = 0.95
LEVELS = np.array([-2.0, 0.0, 2.0])
"""Torques of Pendulum that stand for actions while maps are sought; its head starts fresh."""
COLUMNS = (
    "source → target",
    "R² of effects",
    "step 0: translated / control / scratch",
    "scratch, AUC",
    "translated − scratch",
    "translated − control",
)
DISCRETE = {"name": "PPO", "n_envs": 8, "n_steps": 256, "n_epochs": 10, "gamma": 0.99, "gae_lambda": 0.94}


@dataclass(frozen=True)
class Task:
    """A task, what trains it and what counts as solved there."""

    name: str
    env: str
    algorithm: dict[str, Any]
    steps: int
    solved: float

    def run(self, store: RunStore, seed: int, source: Path | None = None) -> RunFolder:
        """Train, or reuse what was trained; a translated policy has paid for its samples."""
        steps = self.steps - (SAMPLES if source else 0)
        data: dict[str, Any] = {
            "env": {"id": self.env},
            "algorithm": self.algorithm,
            "training": {"total_steps": steps, "engine": "compiled"},
            "evaluation": {"every": self.steps // EVALUATIONS, "episodes": 10},
            "strategy": {"copy": ["policy_trunk", "action_head"]} if source else {},
            "seed": seed,
        }
        if source is not None and not isinstance(space(self.env)[1], gym.spaces.Discrete):
            data["strategy"] = {"copy": ["policy_trunk"]}
        found = ROOM.find_source(str(source), store.root) if source is not None else None
        run = RLRun.model_validate({**data, "source": found.identity if found else None})
        folder = store.folder(run_id(run))
        if not folder.finished:
            execute(run, folder, found.bundle if found else None, say=lambda _: None)
        return folder


TASKS = (
    Task("CartPole", "CartPole-v1", CARTPOLE, 32_768, 475),
    Task("Acrobot", "Acrobot-v1", DISCRETE, 65_536, -100),
    Task("MountainCar", "MountainCar-v0", DISCRETE, 65_536, -110),
    Task("Pendulum", "Pendulum-v1", PENDULUM, 65_536, -150),
)


def space(env: str) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """Of observations, and of actions."""
    made = gym.make(env)
    try:
        return made.observation_space, made.action_space
    finally:
        made.close()


@dataclass(frozen=True)
class Moves:
    """Transitions under random actions, whitened: state, number of the action, change of the state."""

    state: FloatArray
    action: npt.NDArray[np.int64]
    change: FloatArray
    mean: FloatArray
    whiten: FloatArray
    """z = whiten · (x − mean)."""


def moves(env: str, rng: np.random.Generator) -> Moves:
    """Play for them."""
    made = gym.make(env)
    before, acted, after = [], [], []
    count = made.action_space.n if isinstance(made.action_space, gym.spaces.Discrete) else len(LEVELS)
    over = True
    for _ in range(SAMPLES):
        if over:
            observation, _ = made.reset(seed=int(rng.integers(2**31)))
        action = int(rng.integers(count))
        discrete = isinstance(made.action_space, gym.spaces.Discrete)
        given = action if discrete else np.array([LEVELS[action]], dtype=np.float32)
        seen, _, terminated, truncated, _ = made.step(given)
        before.append(observation)
        acted.append(action)
        after.append(seen)
        observation, over = seen, terminated or truncated
    made.close()
    x, y = np.array(before, dtype=np.float64), np.array(after, dtype=np.float64)
    mean = x.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(x, rowvar=False))
    whiten = (vectors / np.sqrt(np.maximum(values, 1e-6 * values.max()))) @ vectors.T
    z = (x - mean) @ whiten.T
    return Moves(z, np.array(acted), (y - mean) @ whiten.T - z, mean, whiten)


def features(z: FloatArray) -> FloatArray:
    """1, the states and their products by twos."""
    pairs = [z[:, i] * z[:, j] for i in range(z.shape[1]) for j in range(i, z.shape[1])]
    return np.column_stack([np.ones(len(z)), z, *pairs])


def model(source: Moves) -> Callable[[FloatArray, npt.NDArray[np.int64]], FloatArray]:
    """The source's changes of state as a quadratic function of the state, one per action."""
    weights = []
    for action in range(source.action.max() + 1):
        rows = source.action == action
        phi = features(source.state[rows])
        penalty = 1e-3 * len(phi) * np.eye(phi.shape[1])
        weights.append(np.linalg.solve(phi.T @ phi + penalty, phi.T @ source.change[rows]))
    stacked = np.array(weights)

    def predicted(z: FloatArray, action: npt.NDArray[np.int64]) -> FloatArray:
        found: FloatArray = np.einsum("nf,nfd->nd", features(z), stacked[action])
        return found

    return predicted


@dataclass(frozen=True)
class InterTaskMap:
    """Target's whitened state → source's, target's action → source's, and how well effects fit (R²)."""

    rotation: FloatArray
    actions: npt.NDArray[np.int64]
    r2: float


def fit(source: Moves, target: Moves, rng: np.random.Generator) -> InterTaskMap:
    """Rotation and map of actions under which the target's changes look most like the source's own.

    From random rotations, each improved by turns: predict the changes at the turned states, then turn the
    changes onto the predictions (orthogonal Procrustes). The best on half of the transitions is measured on
    the other.
    """
    predicted = model(source)
    order = rng.permutation(len(target.state))
    chosen, held = order[:SEARCHED], order[len(order) // 2 :]
    best = InterTaskMap(np.zeros((0, 0)), np.zeros(0, dtype=np.int64), -np.inf)
    counts = int(source.action.max()) + 1, int(target.action.max()) + 1
    for actions in map(np.array, itertools.product(range(counts[0]), repeat=counts[1])):
        if len(set(actions.tolist())) < min(counts):  # every action that can be told apart is
            continue
        for _ in range(RESTARTS):
            rotation = random_rotation(source, target, rng)
            for _ in range(ITERATIONS):
                wanted = predicted(target.state[chosen] @ rotation.T, actions[target.action[chosen]])
                u, _, v = np.linalg.svd(wanted.T @ target.change[chosen], full_matrices=False)
                rotation = u @ v
            r2 = fitness(predicted, target, rotation, actions, chosen)
            if r2 > best.r2:
                best = InterTaskMap(rotation, actions, r2)
    return InterTaskMap(
        best.rotation, best.actions, fitness(predicted, target, best.rotation, best.actions, held)
    )


def fitness(
    predicted: Callable[[FloatArray, npt.NDArray[np.int64]], FloatArray],
    target: Moves,
    rotation: FloatArray,
    actions: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
) -> float:
    """Share of the turned changes that the source's model foretells, up to how fast each task moves."""
    changes = target.change[rows] @ rotation.T
    foretold = predicted(target.state[rows] @ rotation.T, actions[target.action[rows]])
    pace = max(0.0, float((foretold * changes).sum() / np.square(foretold).sum()))
    missed = changes - pace * foretold
    return float(1 - np.square(missed).sum() / np.square(changes).sum())


def random_rotation(source: Moves, target: Moves, rng: np.random.Generator) -> FloatArray:
    """Uniform among the matrices with orthonormal rows, or columns where the source has more."""
    drawn = rng.normal(size=(source.state.shape[1], target.state.shape[1]))
    u, _, v = np.linalg.svd(drawn, full_matrices=False)
    rotation: FloatArray = u @ v
    return rotation


def random_map(source: Moves, target: Moves, rng: np.random.Generator) -> InterTaskMap:
    """The control."""
    counts = int(source.action.max()) + 1, int(target.action.max()) + 1
    every = itertools.product(range(counts[0]), repeat=counts[1])
    ways = [each for each in every if len(set(each)) == min(counts)]
    actions = np.array(ways[int(rng.integers(len(ways)))])
    rotation = random_rotation(source, target, rng)
    rows = np.arange(len(target.state))
    return InterTaskMap(rotation, actions, fitness(model(source), target, rotation, actions, rows))


def translate(
    policy: Path, task: Task, found: InterTaskMap, sides: tuple[Moves, Moves], seed: int, place: Path
) -> None:
    """Write the source's actor, behind and before the map, as an SB3 policy of the target."""
    source, target = sides
    state = load_policy(policy).module.state_dict()
    arguments = {key: value for key, value in task.algorithm.items() if key in ("gamma", "gae_lambda")}
    written = PPO("MlpPolicy", gym.make(task.env), seed=seed, device="cpu", **arguments)
    mine = written.policy.state_dict()
    matrix = np.linalg.inv(source.whiten) @ found.rotation @ target.whiten
    offset = source.mean - matrix @ target.mean
    first = state["mlp_extractor.policy_net.0.weight"].double()
    bias = state["mlp_extractor.policy_net.0.bias"].double()
    mine["mlp_extractor.policy_net.0.weight"] = (first @ torch.from_numpy(matrix)).float()
    mine["mlp_extractor.policy_net.0.bias"] = (bias + first @ torch.from_numpy(offset)).float()
    for name in ("2.weight", "2.bias"):
        mine[f"mlp_extractor.policy_net.{name}"] = state[f"mlp_extractor.policy_net.{name}"]
    if all(len(each) > 1 for each in (mine["action_net.bias"], state["action_net.bias"])):
        shared = np.bincount(found.actions, minlength=int(found.actions.max()) + 1)[found.actions]
        mine["action_net.weight"] = state["action_net.weight"][found.actions]
        mine["action_net.bias"] = (
            state["action_net.bias"][found.actions] - torch.from_numpy(np.log(shared)).float()
        )
    written.policy.load_state_dict(mine)
    written.save(place)


def score(task: Task, folder: RunFolder, random: float, *, translated: bool) -> tuple[float, float, float]:
    """Step 0, area over the whole budget, and the end."""
    curve = folder.curve()
    steps = np.array([point["step"] for point in curve], dtype=float) + (SAMPLES if translated else 0)
    values = np.array([np.mean(point["returns"]) for point in curve])
    scores = (values - random) / (task.solved - random)
    whole = (np.array([0.0, *steps]), np.array([0.0, *scores])) if translated else (steps, scores)
    return float(scores[0]), float(np.trapezoid(whole[1], whole[0]) / task.steps), float(scores[-1])


def pair(source: Task, target: Task, root: Path, seeds: range) -> str:
    """A line of the table."""
    store = RunStore(root, events=False).open()
    low = random_return(store, target)
    rows: dict[str, list[tuple[float, float, float]]] = {"translated": [], "control": [], "scratch": []}
    fits = []
    for seed in seeds:
        policy = source.run(store, seed).bundle
        sides = (
            moves(source.env, generator(seed, "moves", source.name)),
            moves(target.env, generator(seed, "moves", target.name)),
        )
        rng = generator(seed, "map", source.name, target.name)
        for arm, find in (("translated", fit), ("control", random_map)):
            place = root / "translated" / f"{source.name}-{arm}-{seed}" / f"ppo-{target.env}.zip"
            found = find(*sides, rng)
            place.parent.mkdir(parents=True, exist_ok=True)
            translate(policy, target, found, sides, seed, place)
            rows[arm].append(score(target, target.run(store, seed, place), low, translated=True))
            fits.append(found.r2) if arm == "translated" else None
        rows["scratch"].append(score(target, target.run(store, seed), low, translated=False))
    arms = {name: np.array(found) for name, found in rows.items()}
    gain = welch_interval(arms["translated"][:, 1], arms["scratch"][:, 1], CONFIDENCE)
    over = mean_interval(arms["translated"][:, 1] - arms["control"][:, 1], CONFIDENCE)
    jumps = " / ".join(f"{arms[name][:, 0].mean():+.2f}" for name in rows)
    cells = [
        f"{source.name} → {target.name}",
        f"{np.mean(fits):.2f}",
        jumps,
        f"{arms['scratch'][:, 1].mean():.2f}",
        *(f"{each.point:+.3f} [{each.low:+.3f}, {each.high:+.3f}]" for each in (gain, over)),
    ]
    return f"| {' | '.join(cells)} |"


def random_return(store: RunStore, task: Task) -> float:
    """Of the uniform-random policy."""
    run = RLRun.model_validate_json(
        json.dumps({"policy": "random", "env": {"id": task.env}, "evaluation": {"every": 1, "episodes": 100}})
    )
    folder = store.folder(run_id(run))
    if not folder.finished:
        execute(run, folder, None, say=lambda _: None)
    return float(np.mean(folder.curve()[-1]["returns"]))


def table(root: Path, seeds: range) -> Iterator[str]:
    """Its lines, as they come."""
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---|---:|---|---:|---|---|"
    for source, target in itertools.permutations(TASKS, 2):
        yield pair(source, target, root, seeds)


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="a folder for the runs")
    parser.add_argument("--seeds", type=int, default=10)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    for line in table(chosen.output, range(chosen.seeds)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
