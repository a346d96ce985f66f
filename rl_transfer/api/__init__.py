"""What ``import rl_transfer as rt`` gives: the commands as functions, and sweeps as objects.

A command of the command line and the function of the same name are one path: the command reads options, calls
what stands here, and prints.
"""

from rl_transfer.api.pictures import Picture
from rl_transfer.api.results import SweepResults, load_sweep

__all__ = ["Picture", "SweepResults", "load_sweep"]
