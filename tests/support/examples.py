"""The fenced examples of the pages, and a folder in which they can run."""

from __future__ import annotations

import itertools
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import gymnasium
import numpy as np
import torch
from PIL import Image

from support.foreign import Space, saved, sb3_model

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
LANGUAGES = {"bash", "python", "yaml", "diff", "text"}

SHORT = ("training.total_steps=512", "evaluation.every=512", "evaluation.episodes=1")
SHORT_IMAGES = ("training.epochs=1", "evaluation.every=1")
"""Budgets of a single run in an example."""


@dataclass(frozen=True)
class Example:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """``docs/sources.md:7``."""
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"

    def commands(self) -> list[list[str]]:
        """The words of each command: continued lines joined, comments cut, ``&&`` split."""
        lines = self.text.replace("\\\n", " ").splitlines()
        words = [shlex.split(line, comments=True) for line in lines]
        found: list[list[str]] = []
        for line in words:
            found.append([])
            for word in line:
                if word == "&&":
                    found.append([])
                else:
                    found[-1].append(word)
        return [command for command in found if command]


def examples(page: Path) -> list[Example]:
    """The fenced blocks of a page, in its order."""
    text = page.read_text(encoding="utf-8")
    return [
        Example(page, text[: match.start()].count("\n") + 1, match[1], match[2])
        for match in FENCED.finditer(text)
    ]


def short(command: list[str]) -> list[str]:
    """The same ``rl-transfer`` command in short: sweeps are planned, wrappers are not checked."""
    verb, rest = command[1], command[1:]
    if rest[:2] == ["envs", "check"]:
        return [*rest, "--no-wrappers"]
    if verb == "sweep":
        return [*rest, "--dry-run"]
    if verb in ("train", "transfer") and not any(word.endswith("yaml") for word in rest):
        return [*rest, *(SHORT_IMAGES if any("image" in word for word in rest) else SHORT)]
    return rest


def prepare(folder: Path) -> None:
    """What the pages take as given: agents, checkpoints, pictures, the reader's modules."""
    saved(sb3_model("PPO", *spaces("CartPole-v1")), folder / "ppo-CartPole-v1.zip")
    saved(sb3_model("PPO", *spaces("CartPole-v1")), folder / "agents" / "ppo-CartPole-v1.zip")
    torch.save(cleanrl(), folder / "cleanrl.pth")
    for name in ("ants", "bees"):
        place = folder / "path" / "to" / "hymenoptera_data" / name
        place.mkdir(parents=True)
        for i in range(4):
            pixels = np.full((8, 8, 3), 60 * i, dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"{i}.png")
    package = folder / "my_pkg"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "envs.py").write_text(dedent(CAR), encoding="utf-8")
    for example in itertools.chain.from_iterable(map(examples, PAGES)):
        if named := re.match(r"# (\w+\.py)\n", example.text):
            (folder / named[1]).write_text(example.text, encoding="utf-8")


def spaces(env_id: str) -> tuple[Space, Space]:
    """Observation and action space of an environment."""
    env = gymnasium.make(env_id)
    env.close()
    return env.observation_space, env.action_space


def cleanrl() -> dict[str, torch.Tensor]:
    """A state dict as CleanRL's continuous PPO writes it, for Pendulum."""
    shapes = {"actor_mean": (3, 64, 64, 1), "critic": (3, 64, 64, 1)}
    state = {"actor_logstd": torch.zeros(1, 1)}
    for net, widths in shapes.items():
        for layer, (n, m) in enumerate(itertools.pairwise(widths)):
            state[f"{net}.{2 * layer}.weight"] = torch.full((m, n), 0.01)
            state[f"{net}.{2 * layer}.bias"] = torch.zeros(m)
    return state


CAR = '''
    """A car on a line."""

    import gymnasium
    import numpy as np


    class Wheel:
        radius = 0.3


    class MyCar(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))
        action_space = gymnasium.spaces.Discrete(2)

        def __init__(self):
            self.wheel = Wheel()
            self.recompute_gear_ratio()

        def recompute_gear_ratio(self):
            self.gear = 0.1 * self.wheel.radius

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.state = self.np_random.uniform(-0.1, 0.1, 2)
            return self.state.astype(np.float32), {}

        def step(self, action):
            self.state[1] += (2 * action - 1) * self.wheel.radius * self.gear
            self.state[0] += self.state[1]
            return self.state.astype(np.float32), -abs(self.state[0]), False, False, {}


    gymnasium.register("MyCar-v0", MyCar, max_episode_steps=50)
'''
