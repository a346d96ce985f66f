"""Which environments can be put back to where they were, and how: proved on copies, never assumed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.vec_env import VecEnv

from rl_transfer.core import isolated
from rl_transfer.frame.restore import restore
from rl_transfer.frame.state import CannotCapture, CannotRestore, Captured, Special, capture
from rl_transfer.rl.environments.spaces import Array
from rl_transfer_envs.physics.mujoco.snapshot import data_state, kind_of, model_state, write_data, write_model

STEPS = 25
"""Steps before the copy is put back, after it, and once more after a reset."""
KINDS = (EnvSpec,)
"""What environments hold that is as it was registered."""


def _rows(buffer: object) -> dict[str, object]:
    """The part of a replay buffer that is filled."""
    if not isinstance(buffer, ReplayBuffer):
        raise CannotCapture(f"{buffer} is no replay buffer")
    size = buffer.size()
    rows = {name: each[:size] for name, each in _stored(buffer).items()}
    keyed = {name: {key: each[:size] for key, each in part.items()} for name, part in _keyed(buffer).items()}
    return {"pos": buffer.pos, "full": buffer.full, "rows": rows, "keyed": keyed}


def _write_rows(buffer: object, saved: object) -> None:
    if not isinstance(buffer, ReplayBuffer) or not isinstance(saved, Mapping):
        raise CannotRestore("the state of a replay buffer is none")
    places = {(name, ""): each for name, each in _stored(buffer).items()}
    places |= {(name, key): each for name, part in _keyed(buffer).items() for key, each in part.items()}
    rows = {(name, ""): each for name, each in saved["rows"].items()}
    rows |= {(name, key): each for name, part in saved["keyed"].items() for key, each in part.items()}
    if set(places) != set(rows):
        raise CannotRestore("the replay buffer has other columns")
    for place, values in rows.items():
        places[place][: len(values)] = values
    buffer.pos, buffer.full = int(saved["pos"]), bool(saved["full"])


def _stored(buffer: ReplayBuffer) -> dict[str, Array]:
    """The columns of a replay buffer, ``[position, env, …]``."""
    return {
        name: each
        for name, each in vars(buffer).items()
        if isinstance(each, np.ndarray) and each.shape[:2] == (buffer.buffer_size, buffer.n_envs)
    }


def _keyed(buffer: ReplayBuffer) -> dict[str, dict[str, Array]]:
    """The same of dict observations, by key."""
    return {
        name: each
        for name, each in vars(buffer).items()
        if isinstance(each, dict) and each and all(isinstance(part, np.ndarray) for part in each.values())
    }


SPECIALS = (
    Special(lambda each: kind_of(each) == "MjModel", model_state, write_model),
    Special(lambda each: kind_of(each) == "MjData", data_state, write_data),
    Special(lambda each: isinstance(each, ReplayBuffer), _rows, _write_rows),
)
"""What training holds that is no plain data."""


def why_not_restorable(build: Callable[[], VecEnv]) -> str | None:
    """Whether an environment can be put back, to the bit: tried on two copies of it.

    One copy is played and its state written into the other one, which was only reset; both then get the
    same actions, over a reset. Nothing else is touched.

    Args:
        build: makes a copy of the training environments.

    Returns:
        Why it cannot, in words; None if it can.
    """
    with isolated(0):
        return _tried(build(), build())


def _tried(played: VecEnv, restored: VecEnv) -> str | None:
    try:
        for env in (played, restored):
            env.seed(0)
            env.reset()
        space = copy.deepcopy(played.action_space)
        space.seed(0)

        def actions() -> Array:
            return np.stack([np.asarray(space.sample()) for _ in range(played.num_envs)])

        for _ in range(STEPS):
            played.step(actions())
        _copy(played, restored)
        for again in (False, True):
            if again and not _same(played.reset(), restored.reset()):
                return "an episode begins otherwise after it was put back"
            for _ in range(STEPS):
                chosen = actions()
                if not _same(played.step(chosen.copy()), restored.step(chosen.copy())):
                    return "it goes on otherwise after it was put back"
    except (CannotCapture, CannotRestore) as error:
        return str(error)
    finally:
        played.close()
        restored.close()
    return None


def _copy(played: VecEnv, restored: VecEnv) -> None:
    state: Captured = capture(played, kinds=KINDS, specials=SPECIALS)
    restore(state, restored, specials=SPECIALS)


def _same(first: object, second: object) -> bool:
    """Equal to the bit, whatever it is made of; times of day differ and do not count."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(_same(first[k], second[k]) for k in first if k != "t")
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(_same(a, b) for a, b in zip(first, second, strict=True))
    if isinstance(first, np.ndarray | np.generic | float):
        one, other = np.asarray(first), np.asarray(second)
        return one.dtype == other.dtype and _bits(one) == _bits(other)
    return bool(first == second)


def _bits(array: NDArray[np.generic]) -> tuple[tuple[int, ...], bytes]:
    return array.shape, array.tobytes()
