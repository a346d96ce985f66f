"""The training environments of a model, stepped with little around it: arrays in, arrays out.

There are three ways to step them, tried in this order: compiled physics for all at once
(:mod:`~rl_transfer.rl.compiled.worlds_batched`), the environments of a ``DummyVecEnv`` without what SB3
puts around them, and SB3's own step (both in :mod:`~rl_transfer.rl.compiled.worlds_stepped`). On top of
each come running normalisation and the form in which an MLP sees observations. Between :meth:`Worlds.begin`
and :meth:`Worlds.finish` what SB3 keeps is out of date; after ``finish`` it is what SB3 would have left.
"""

from __future__ import annotations

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from rl_transfer.errors import EnvironmentSpecError
from rl_transfer.rl import sb3_seams
from rl_transfer.rl.compiled.moments import RunningMoments
from rl_transfer.rl.compiled.worlds_batched import batched
from rl_transfer.rl.compiled.worlds_stepped import AnyVecEnv, Stepped, is_plainly_monitored
from rl_transfer.rl.compiled.worlds_stepper import Stepper
from rl_transfer.rl.environments.batch import BatchedVecEnv
from rl_transfer.rl.environments.finite import refuse_non_finite
from rl_transfer_envs.aliases import Array, Space

Singles = NDArray[np.float32]


class Worlds:
    """The environments of one model, between two updates.

    All arrays are reused: what is to be kept is copied.

    Attributes:
        n_envs: how many environments.
        observations: ``float32[environment, entry]``, as an MLP sees them: flat, discrete ones one-hot,
            normalised where ``VecNormalize`` says so. After an episode's end the next one's first.
        rewards: ``float32[environment]`` of the last step, scaled where ``VecNormalize`` says so.
        dones: ``bool[environment]``: whether the last step ended an episode.
        truncated: ``bool[environment]``: whether it was cut off by its time limit, and not terminated.
        any_truncated: whether one was.
        ended: numbers of the environments where ``dones`` holds.
        terminal_observations: as ``observations``, the last ones of episodes; valid where ``dones`` holds.

    Args:
        model: with its training environments.
        name: what the environment is called in messages.

    Raises:
        EnvironmentSpecError: an MLP does not see such observations as one vector.
    """

    def __init__(self, model: BaseAlgorithm, name: str) -> None:
        env = model.get_env()
        if env is None:
            raise EnvironmentSpecError("the model has no training environments")
        self._model, self._name = model, name
        inner = env.venv if isinstance(env, VecNormalize) else env
        self._encode = Encoder(inner.observation_space)
        self._bare = bare(inner)
        self.n_envs = env.num_envs
        self._normalize = env if isinstance(env, VecNormalize) else None
        size = self._encode.size
        self._moments = None if self._normalize is None else RunningMoments(self._normalize, size)
        self.rewards: Singles = self._bare.rewards if self._moments is None else self._moments.rewards
        self.dones, self.truncated = self._bare.dones, self._bare.truncated
        self.any_truncated = False
        self.ended: list[int] = []
        self.terminal_observations: Singles = np.zeros((self.n_envs, size), dtype=np.float32)
        self._plain: Singles = self._encode.room(self._bare.observations)
        self.observations: Singles = self._plain
        if self._moments is not None and self._moments.of_observations:
            self.observations = self._moments.observations
        self._normalizes = self.observations is not self._plain
        shared = np.shares_memory(self._plain, self._bare.observations)
        self._encodes = not self._normalizes and not shared

    @property
    def originals(self) -> Array:
        """``[environment, …]``: the observations as the environments gave them, not normalised; reused."""
        return self._bare.observations

    @property
    def original_rewards(self) -> Singles:
        """``rewards`` as they are without scaling; reused."""
        return self._bare.rewards

    @property
    def next_originals(self) -> Array:
        """``[environment, …]``: what the last step led to, before any reset, not normalised; newly made.

        At an episode's end it is what SB3's replay buffer gets: the last observation normalised and back.
        """
        found = self._bare.observations.copy()
        if self.ended and self._normalizes and self._moments is not None:
            last = self._moments.restored(self.terminal_observations[self.ended])
            found[self.ended] = last.reshape(len(last), *found.shape[1:])
        elif self.ended:
            found[self.ended] = self._bare.last[self.ended]
        return found

    def begin(self) -> None:
        """Take over what SB3 holds, before the first step after it had the environments."""
        seen = sb3_seams.last_seen(self._model)
        self._bare.observations[...] = seen[0] if self._normalize is None else self._normalize.old_obs
        self.dones[...] = seen[1]
        self.truncated[...] = False
        self.any_truncated, self.ended = False, []
        self._bare.begin()
        if self._moments is not None:
            self._moments.read()
        if self._normalizes:
            self.observations[...] = np.asarray(seen[0]).reshape(self.observations.shape)
        else:
            self._encode(self._bare.observations, self._plain)
        self._steps = self._model.num_timesteps

    def step(self, actions: Array) -> None:
        """Step all environments and reset those that finished.

        Args:
            actions: ``[environment]``, or with the axes of the action space after that; whole numbers,
                or numbers within the bounds.

        Raises:
            EnvironmentSpecError: something in an observation or reward is NaN or infinite.
        """
        bare = self._bare
        fine = bare.step(actions)
        self._steps += self.n_envs
        if not fine:
            self._refuse()
        if self._moments is not None:
            self._moments.step(self._rows(bare.observations), bare.rewards, self.dones)
        if self._encodes:
            self._encode(bare.observations, self._plain)
        self.ended = bare.ended
        self.any_truncated = False
        if self.ended:
            self._keep_last()

    def _rows(self, observations: Array) -> Array:
        return observations.reshape(len(observations), -1)

    def _keep_last(self) -> None:
        """Observations at the end of episodes, in the form of the others."""
        self.any_truncated = bool(self.truncated.any())
        rows = self.ended
        last, found = self._bare.last[rows], np.zeros((len(rows), self._encode.size), dtype=np.float32)
        if self._normalizes and self._moments is not None:
            self._moments.normalize(self._rows(last), found)
        else:
            self._encode(last, found)
        self.terminal_observations[rows] = found

    def _refuse(self) -> None:
        when = f"training step {self._steps:,}"
        refuse_non_finite(self._name, self._bare.observations, self._bare.rewards, when)
        refuse_non_finite(self._name, self._bare.last[self._bare.ended], self._bare.rewards, when)

    def finish(self) -> None:
        """Leave everything as SB3 would have left it."""
        model, bare = self._model, self._bare
        bare.finish()
        observations = bare.observations.copy()
        if self._normalize is not None and self._moments is not None:
            self._normalize.old_obs, self._normalize.old_reward = observations, bare.rewards.copy()
            self._moments.write()
        seen = observations
        if self._normalizes:
            seen = self.observations.reshape(observations.shape).copy()
        sb3_seams.set_last_seen(model, seen, self.dones.copy(), observations)
        sb3_seams.update_info_buffer(model, bare.infos, np.ones(len(bare.infos), dtype=np.bool_))
        bare.infos.clear()


def bare(env: VecEnv) -> Stepper:
    """The leanest way to step environments that are not normalised.

    Args:
        env: the environments.

    Returns:
        What steps them to the numbers that ``env.step`` gives.
    """
    if isinstance(env, BatchedVecEnv):
        return batched(env, env.batch, env.monitors)
    if isinstance(env, DummyVecEnv) and type(env) is DummyVecEnv and all(map(is_plainly_monitored, env.envs)):
        return Stepped.of(env)
    return AnyVecEnv(env)


def worlds_of(model: BaseAlgorithm, name: str | None = None) -> Worlds:
    """The training environments of a model as the engine steps them.

    Args:
        model: with its training environments.
        name: what the environment is called in messages; its id if not given.

    Returns:
        The environments; :meth:`Worlds.begin` comes before the first step.

    Raises:
        EnvironmentSpecError: an MLP does not see such observations as one vector.
    """
    env = model.get_env()
    if name is None and env is not None:
        spec = env.get_attr("spec")[0] if env.has_attr("spec") else None
        name = getattr(spec, "id", None)
    return Worlds(model, name or "of the run")


class Encoder:
    """Observations as an MLP of SB3 sees them.

    Attributes:
        size: numbers in one observation.

    Args:
        space: of one observation.

    Raises:
        EnvironmentSpecError: it is no vector of numbers, nor made of whole numbers.
    """

    def __init__(self, space: Space) -> None:
        self._counts: list[int] = []
        if isinstance(space, spaces.Discrete):
            self._counts = [int(space.n)]
        elif isinstance(space, spaces.MultiDiscrete):
            self._counts = [int(each) for each in space.nvec.reshape(-1)]
        elif not isinstance(space, spaces.Box | spaces.MultiBinary) or is_image_space(space):
            what = "images" if isinstance(space, spaces.Box) else f"of the space {space}"
            raise EnvironmentSpecError(
                f"the observations are {what}; compiled rollouts take vectors of numbers, and whole numbers "
                "one-hot: use engine: sb3"
            )
        self.size = sum(self._counts) or int(np.prod(space.shape or ()))
        self._starts = np.cumsum([0, *self._counts[:-1]])

    def room(self, observations: Array) -> Singles:
        """Where encoded observations go: a view of ``observations`` where these need no change.

        Args:
            observations: ``[environment, …]``.

        Returns:
            ``float32[environment, entry]``.
        """
        if not self._counts and observations.dtype == np.float32:
            return observations.reshape(len(observations), self.size)
        return np.zeros((len(observations), self.size), dtype=np.float32)

    def __call__(self, observations: Array, found: Singles) -> None:
        """Encode.

        Args:
            observations: ``[row, …]``.
            found: ``float32[row, entry]``, gets the result.
        """
        if self._counts:
            found[...] = 0.0
            whole = observations.reshape(len(observations), -1).astype(np.int64)
            found[np.arange(len(found))[:, None], self._starts + whole] = 1.0
        elif not np.shares_memory(observations, found):
            found[...] = observations.reshape(found.shape)
