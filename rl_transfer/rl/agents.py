"""A folder of foreign agents as a table: imported or why not, measured, published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rl_transfer.core._text import table
from rl_transfer.errors import BundleError, RLTransferError
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.room import play
from rl_transfer.rl.sources.env_names import read_name
from rl_transfer.rl.sources.load import load_source
from rl_transfer.rl.sources.published import Score, Scores, read_results, read_tables
from rl_transfer.spec.base import Json
from rl_transfer.wording import counted

_HEADER = ("agent", "algorithm", "environment", "measured", "published")


@dataclass(frozen=True)
class Agent:
    """One zip of the folder.

    Attributes:
        file: its path in the folder.
        algorithm: SB3's name; of an agent that was refused, as its file's name says.
        env: the id of its environment today; of an agent that was refused, as its name says.
        measured: the returns of its episodes, if it could be played.
        published: its score by a file beside it.
        failure: why it was not imported, or not measured.
        imported: whether it was imported.
        notes: what was assumed on the way.
    """

    file: str
    algorithm: str | None
    env: str | None
    measured: Sequence[float] | None
    published: Score | None
    failure: str | None
    imported: bool
    notes: tuple[str, ...] = ()

    def plain(self) -> dict[str, Json]:
        """The agent as JSON; ``std`` of the measured returns is that of a sample (n − 1)."""
        measured = None if self.measured is None else _measured(self.measured)
        published: Json = None
        if self.published is not None:
            published = {"mean": self.published.mean, "std": self.published.std}
        return {
            "agent": self.file,
            "imported": self.imported,
            "algorithm": self.algorithm,
            "env": self.env,
            "measured": measured,
            "published": published,
            "failure": self.failure,
            "notes": [*self.notes],
        }


@dataclass(frozen=True)
class Agents:
    """The agents of a folder, and what should be known of the tables beside them."""

    rows: tuple[Agent, ...]
    notes: tuple[str, ...]

    def text(self) -> str:
        """The table, then the reason for each gap in it, then who might do better with a mask."""
        gaps = [
            f"{row.file} was not {'measured' if row.imported else 'imported'}: {row.failure}"
            for row in self.rows
            if row.failure
        ]
        still = [
            f"{row.file}: {note.partition(';')[0]}; see --mask-zeros"
            for row in self.rows
            for note in row.notes
            if "--mask-zeros" in note
        ]
        measured = sum(row.measured is not None for row in self.rows)
        imported = sum(row.imported for row in self.rows)
        total = f"{counted(len(self.rows), 'agent')}, {imported} imported, {measured} measured"
        return "\n".join(
            [table(_HEADER, [_cells(row) for row in self.rows]), total, *gaps, *still, *self.notes]
        )


def table_of(
    folder: Path, episodes: int, seed: int, *, mask_zeros: bool = False, say: Callable[[str], None] = print
) -> Agents:
    """Import every zip of a folder, play it in its own environment, and look its published score up.

    Args:
        folder: zips in it and in the folders in it.
        episodes: of each agent, ≥ 1; the likeliest action is taken.
        seed: root seed of the episodes, the same for every agent.
        mask_zeros: hold inputs at 0 that were always 0 in training.
        say: gets the name of each agent before it is read.

    Returns:
        One row per zip, in the order of their paths; no agent's failure stops the others.

    Raises:
        BundleError: there is no such folder, or no zip in it.
    """
    paths = sorted(folder.rglob("*.zip")) if folder.is_dir() else []
    if not paths:
        what = "holds no zip of Stable-Baselines3" if folder.is_dir() else "is no folder"
        raise BundleError(
            f"{folder} {what}; give a folder of agents, such as a checkout of rl-trained-agents"
        )
    scores, notes = read_tables(folder)
    rows = []
    for path in paths:
        file = path.relative_to(folder).as_posix()
        say(file)
        with chdir("."):  # an environment of the user's may change the current folder
            rows.append(_agent(path, file, scores, (episodes, seed), mask_zeros))
    return Agents(tuple(rows), tuple(notes))


def _agent(path: Path, file: str, scores: Scores, play_: tuple[int, int], mask_zeros: bool) -> Agent:
    named = read_name(path)
    try:
        policy = load_source(path, mask_zeros=mask_zeros)
    except RLTransferError as error:
        published = _published(path, scores, named.algorithm, [named.env])
        return Agent(file, named.algorithm, named.env, None, published, error.message, imported=False)
    algorithm, env = policy.algorithm.name, policy.described_env.id
    published = _published(path, scores, algorithm, [named.env, env])
    notes = tuple(str(note) for note in policy.metadata.get("notes", []))
    measured, failure = _play(policy, *play_)
    return Agent(file, algorithm, env, measured, published, failure, imported=True, notes=notes)


def _play(policy: Policy, episodes: int, seed: int) -> tuple[list[float] | None, str | None]:
    try:
        return play(policy, None, episodes, seed, True)[1].returns, None
    except RLTransferError as error:
        return None, error.message


def _published(path: Path, scores: Scores, algorithm: str | None, envs: Sequence[str | None]) -> Score | None:
    beside = read_results(path)
    keys = (((algorithm or "").lower(), env or "") for env in envs)
    return beside or next((scores[key] for key in keys if key in scores), None)


def _measured(returns: Sequence[float]) -> dict[str, Json]:
    std = float(np.std(returns, ddof=1)) if len(returns) > 1 else None
    return {"mean": float(np.mean(returns)), "std": std, "episodes": len(returns), "returns": [*returns]}


def _cells(row: Agent) -> list[str]:
    measured = ("not imported" if not row.imported else "not measured") if row.measured is None else ""
    if row.measured is not None:
        found = _measured(row.measured)
        measured = _shown(found["mean"], found["std"])
    published = "–" if row.published is None else _shown(row.published.mean, row.published.std)
    return [row.file, row.algorithm or "–", row.env or "–", measured, published]


def _shown(mean: Json, std: Json) -> str:
    return f"{mean:.2f}" + ("" if std is None else f" ± {std:.2f}")
