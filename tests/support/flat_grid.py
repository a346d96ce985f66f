"""An environment module as a user of MiniGrid writes it: the grid with its observation flattened."""

import gymnasium as gym
from minigrid.wrappers import FlatObsWrapper

if "FlatGrid-v0" not in gym.registry:
    gym.register(
        "FlatGrid-v0",
        entry_point="minigrid.envs:EmptyEnv",
        kwargs={"size": 5},
        additional_wrappers=(FlatObsWrapper.wrapper_spec(),),
    )
