"""Runs that are killed at a checkpoint, and what of them must not depend on it."""

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from rl_transfer.frame.checkpoint import Checkpoints
from rl_transfer.results import RunFolder

CLOCKS = ("started", "finished", "wall_seconds", "cpu_seconds", "sync_seconds")
NAMES = ("resumed", "spec", "digest", "provenance", *CLOCKS)
"""Keys of a record that may differ: how often checkpoints are taken is in the spec and in no number."""


Killing = Callable[..., RunFolder]
"""Executes a run whose attempts are killed."""


class Killed(BaseException):
    """Ends a run where it stands, as a signal would."""


def kill_at(time: int, patch: pytest.MonkeyPatch, writing: Iterable[int] = ()) -> None:
    """Let a run write checkpoints at these times only, counted from 1 where it asks, and end at the one."""
    calls = itertools.count(1)
    write, wanted = Checkpoints.write, {*writing, time}
    last: list[int] = []

    def due(_: Checkpoints) -> bool:
        last[:] = [next(calls)]
        return last[0] in wanted

    def writes_and_dies(self: Checkpoints, *arguments: Any) -> None:
        write(self, *arguments)
        if last[0] == time:
            raise Killed

    patch.setattr(Checkpoints, "due", property(due))
    patch.setattr(Checkpoints, "write", writes_and_dies)


def numbers(folder: RunFolder) -> dict[str, Any]:
    """Everything of a finished run that must not depend on interruptions."""
    record = folder.record()
    rest = {key: value for key, value in record.items() if key not in NAMES}
    files = {name: digest for name, digest in record["files"].items() if name != "spec.json"}
    return {**rest, "files": files, "curve": folder.curve()}
