"""Ctrl-C while a sweep runs: noted where it comes, answered where nothing is half done.

An exception that is raised behind the taking of a lock, and before the block that frees it, leaves the lock
taken: a thread that needs it then waits forever. One that is raised while the garbage collector calls
somebody is printed and dropped. So the handlers here raise nothing.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import ExitStack

from rl_transfer.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAME_PRESS = 1.0
"""Seconds in which a second signal is taken for the same wish: some launchers pass every one on twice."""


class Stops:
    """Notes SIGINT and SIGTERM, for whoever asks with :meth:`check`.

    Another one after ``SAME_PRESS`` seconds ends the process at once, if it is ours. Outside of the main
    thread, which no signal reaches, it does nothing.

    Args:
        own: whether the process is ours to end: a person's session goes on.
    """

    def __init__(self, *, own: bool = True) -> None:
        self._own = own
        self._first: float | None = None
        self._before = ExitStack()

    def __enter__(self) -> Stops:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before.callback(signal.signal, number, signal.signal(number, self._note))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._before.close()
        if kind is None:
            self.check()

    def check(self) -> None:
        """Stop here, if somebody asked for it.

        Raises:
            KeyboardInterrupt: a signal came.
        """
        if self._first is not None:
            raise KeyboardInterrupt

    def _note(self, *_: object) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
        elif self._own and now - self._first > SAME_PRESS:
            os.write(2, b"killed; what is finished is kept\n")
            os._exit(Interrupted.exit_code)
