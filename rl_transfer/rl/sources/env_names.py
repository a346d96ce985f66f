"""Environment and algorithm read off a file's name, and what old environment versions are called now."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym

from rl_transfer.rl.policies.traits import ALGORITHMS
from rl_transfer.spec import Environment
from rl_transfer.spec.base import Json

_LIMIT = "the same physics; the time limit is 500 steps instead of 200"
_SAME = "the same observations and actions"
_BOX2D = "the same observations and actions; its simulation was mended since"
_MUJOCO = "the same observations and actions; MuJoCo's own bindings, and rewards mended since"
_MUJOCO_V4 = "not v5, which observes other things; MuJoCo's own bindings instead of mujoco-py"


@dataclass(frozen=True)
class Renamed:
    """What an environment is called now, with constructor arguments and what differs."""

    id: str
    remark: str
    kwargs: tuple[tuple[str, Json], ...] = ()


RENAMES = {
    "CartPole-v0": Renamed("CartPole-v1", _LIMIT),
    "Pendulum-v0": Renamed("Pendulum-v1", _SAME),
    "LunarLander-v2": Renamed("LunarLander-v3", _BOX2D),
    "LunarLanderContinuous-v2": Renamed("LunarLanderContinuous-v3", _BOX2D),
    "BipedalWalker-v2": Renamed("BipedalWalker-v3", _BOX2D),
    "BipedalWalkerHardcore-v2": Renamed("BipedalWalkerHardcore-v3", _BOX2D),
    "CarRacing-v0": Renamed("CarRacing-v3", _BOX2D),
    "CarRacing-v1": Renamed("CarRacing-v3", _BOX2D),
    "CarRacing-v2": Renamed("CarRacing-v3", _BOX2D),
    "FrozenLake-v0": Renamed("FrozenLake-v1", _SAME),
    "FrozenLake8x8-v0": Renamed("FrozenLake8x8-v1", _SAME),
    "HalfCheetah-v2": Renamed("HalfCheetah-v5", _MUJOCO),
    "HalfCheetah-v3": Renamed("HalfCheetah-v5", _MUJOCO),
    "Hopper-v2": Renamed("Hopper-v5", _MUJOCO),
    "Hopper-v3": Renamed("Hopper-v5", _MUJOCO),
    "Walker2d-v2": Renamed("Walker2d-v5", _MUJOCO),
    "Walker2d-v3": Renamed("Walker2d-v5", _MUJOCO),
    "Swimmer-v2": Renamed("Swimmer-v5", _MUJOCO),
    "Swimmer-v3": Renamed("Swimmer-v5", _MUJOCO),
    "InvertedPendulum-v2": Renamed("InvertedPendulum-v5", _MUJOCO),
    "Pusher-v2": Renamed("Pusher-v5", _MUJOCO),
    "Ant-v2": Renamed("Ant-v4", _MUJOCO_V4, (("use_contact_forces", True),)),
    "Ant-v3": Renamed("Ant-v4", _MUJOCO_V4, (("use_contact_forces", True),)),
    "Humanoid-v2": Renamed("Humanoid-v4", _MUJOCO_V4),
    "Humanoid-v3": Renamed("Humanoid-v4", _MUJOCO_V4),
    "HumanoidStandup-v2": Renamed("HumanoidStandup-v4", _MUJOCO_V4),
    "InvertedDoublePendulum-v2": Renamed("InvertedDoublePendulum-v4", _MUJOCO_V4),
    "Reacher-v2": Renamed("Reacher-v4", _MUJOCO_V4),
}
"""Environments as Gym called them → as Gymnasium calls them. Explicit: nothing is guessed."""

# No colon: a file's name must not name a module to import.
_NAMED = re.compile(
    rf"(?:(?P<algorithm>{'|'.join(ALGORITHMS)})[-_])?(?P<env>[A-Za-z][\w.-]*-v\d+)", re.IGNORECASE
)


@dataclass(frozen=True)
class Named:
    """What a name says; None where it does not."""

    algorithm: str | None
    env: str | None


def read_name(path: Path) -> Named:
    """Algorithm and environment by the conventions of the Hub and of rl-zoo.

    ``ppo-CartPole-v1.zip``; ``ppo/CartPole-v1_1/CartPole-v1.zip`` (and ``best_model.zip`` there).

    Args:
        path: a file; nothing has to exist.

    Returns:
        What its name and its folders' names say.
    """
    folder, above = path.parent.name, path.parent.parent.name
    own, run = _NAMED.fullmatch(path.stem), _NAMED.fullmatch(re.sub(r"_\d+$", "", folder))
    found = [each for each in (own, run) if each is not None]
    algorithms = [str(each["algorithm"] or "").upper() for each in found] + [above.upper()]
    return Named(
        next((each for each in algorithms if each in ALGORITHMS), None), found[0]["env"] if found else None
    )


def same_task(first: str, second: str) -> bool:
    """Whether two ids are versions of one environment, or names of one class.

    Args:
        first: an id of the past or present, ``module:`` before it or not.
        second: another.

    Returns:
        ``CartPole-v0`` and ``my_envs:CartPole-v1`` are, and so are ``LunarLander-v3`` and
        ``LunarLanderContinuous-v3``; ``CartPole-v1`` and ``Acrobot-v1`` are not.
    """
    ids = [RENAMES[each].id if each in RENAMES else each.rpartition(":")[2] for each in (first, second)]
    stems = [re.sub(r"-v\d+$", "", each).casefold() for each in ids]
    points = [gym.registry[each].entry_point if each in gym.registry else None for each in ids]
    return stems[0] == stems[1] or (points[0] is not None and points[0] == points[1])


def current(name: str) -> tuple[Environment, str | None]:
    """The environment that an id of the past names today.

    Args:
        name: as Gym or Gymnasium called it when the policy was trained.

    Returns:
        The environment; the renaming in words, None where there is none.
    """
    renamed = RENAMES.get(name)
    if renamed is None or renamed.id not in gym.registry:
        return Environment(id=name), None
    arguments = "".join(f", {key}={value}" for key, value in renamed.kwargs)
    return (
        Environment(id=renamed.id, kwargs=dict(renamed.kwargs)),
        f"environment {name} is now {renamed.id}{arguments} ({renamed.remark})",
    )
