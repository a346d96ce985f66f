"""A sweep told to scripts: one JSON object per event and line (docs/scale.md)."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from rl_transfer.frame import Say
from rl_transfer.spec.base import Json
from rl_transfer.sweep.scheduler import Event, State

SECONDS = 1.0
"""Between two lines of progress, at least."""


class JsonLines:
    """Writes what happens, a line for each event.

    Args:
        write: gets a line.
    """

    def __init__(self, write: Say) -> None:
        self._write = write
        self._planned = False
        self._look = 1
        self._shown = float("-inf")

    def say(self, event: str, **content: Json) -> None:
        """Write one line.

        Args:
            event: what happened.
            content: what there is to say of it.
        """
        self._write(json.dumps({"event": event, **content}))

    def update(self, state: State, events: Sequence[Event]) -> None:
        """Write what happened, and where the sweep stands once a second and at its end.

        Args:
            state: where the sweep stands.
            events: what happened since the last call.
        """
        if not self._planned:
            self._planned = True
            self.say(
                "planned",
                runs=len(state.graph.specs),
                reused=len(state.reused),
                steps=state.steps_planned,
                workers=state.workers,
                folder=str(state.store.root),
            )
        look = state.look
        if look is not None and look.number == 0:
            self._look = 0
        if look is not None and look.number > self._look:
            self._look = look.number
            counts: dict[str, Json] = {"runs": len(state.graph.specs), "reused": len(state.reused)}
            self.say("look", look=look.number, of=look.of, seeds=look.seeds, **counts)
        for event in events:
            reason: dict[str, Json] = {"reason": event.reason} if event.reason else {}
            self.say(event.what, id=event.id, label=state.graph.label(event.id), **reason)
        now = time.monotonic()
        if state.active and now - self._shown < SECONDS:
            return
        self._shown = now
        self.say(
            "progress",
            done=len(state.done) + len(state.reused),
            running=len(state.running),
            failed=len(state.failed),
            skipped=len(state.skipped),
            total=len(state.graph.specs),
            steps=state.steps_done(),
            elapsed=round(now - state.started, 1),
            eta=_rounded(state.estimate.seconds_left(now)) if state.active else 0.0,
        )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
