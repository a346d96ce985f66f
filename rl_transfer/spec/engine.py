"""Which engine trains: what a config asks for, and what was chosen for a task before its runs were named."""

from __future__ import annotations

from typing import Final, Literal

from rl_transfer.spec.base import Frozen

EngineName = Literal["sb3", "compiled"]
AskedEngine = Literal["auto", "sb3", "compiled"]
SB3: Final = "sb3"
COMPILED: Final = "compiled"
AUTO: Final = "auto"


class ChosenEngine(Frozen):
    """The engine of every run on one task."""

    name: EngineName
    reason: str
    """Why it is this one, and not the other; a clause for people."""
