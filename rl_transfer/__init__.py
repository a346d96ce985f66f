"""rl_transfer: does a policy trained in environment A help in environment B?"""

from importlib.metadata import version

__version__ = version("rl-transfer")
