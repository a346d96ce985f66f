"""The command line: arguments, exit codes, progress.

Nothing heavy is imported before signals are answered.
"""

from __future__ import annotations

import errno
import os
import signal
import sys

from rl_transfer.errors import Interrupted, RLTransferError

TYPE_CHECKING = False  # the real one would be read from typing, which takes time
if TYPE_CHECKING:
    import threading
    from typing import TextIO

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_STOPS = (signal.SIGINT, signal.SIGTERM)
_raised: list[bool] = []
"""Whether somebody wished to stop: a library may make an error of its own of that, as pydantic does."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code; mistakes give one message and no traceback.

    Args:
        arguments: the words after the program's name; None for those of this process.
    """
    if arguments is None:
        _open_standard_streams()
    _raised.clear()
    for number in _STOPS:
        signal.signal(number, _interrupt)
    try:
        code = _answer(arguments)
    except BaseException as error:
        if not isinstance(error, KeyboardInterrupt) and not (_raised and isinstance(error, Exception)):
            raise
        _ignore_stops(arguments)
        exec("")  # noqa: S102 - Python remembers code from text that was interrupted, and dies of the signal
        _complain("interrupted")
        code = Interrupted.exit_code
    _ignore_stops(arguments)
    sys.exit(code)


def _open_standard_streams() -> None:
    """Where one of the three is closed (``>&-``), the next file that is opened would be taken for it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            os.set_inheritable(opened, True)


def _interrupt(*_: object) -> None:
    """Stop once: while that is being answered, more of the same would only cut the tidying short."""
    error = sys.exception() if sys.version_info >= (3, 12) else sys.exc_info()[1]
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return
        error = error.__context__
    _raised.append(True)
    raise KeyboardInterrupt


def _ignore_stops(arguments: list[str] | None) -> None:
    """What comes while the process ends is too late; a process of somebody else's goes on."""
    if arguments is None:
        for number in _STOPS:
            signal.signal(number, signal.SIG_IGN)


def _answer(arguments: list[str] | None) -> int:
    """Run a command; its exit code, or that of its error, which is told."""
    import threading
    from pathlib import Path

    from rl_transfer.api.given import make_importable
    from rl_transfer.cli.app import run
    from rl_transfer.cli.common import out

    make_importable(Path())
    if arguments is None:
        threading.excepthook = _told_elsewhere
    try:
        code = run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
    except RLTransferError as error:
        _complain(error.message, "" if isinstance(error, Interrupted) else "error: ")
        return error.exit_code
    except BrokenPipeError:
        out.on_broken_pipe()
        return 141
    except OSError as error:
        what = "" if error.filename is None else f"{error.filename}: "
        if not _can_be_written(sys.stdout) or (error.errno in _FULL and not what):
            what = "output cannot be written: "
        _complain(f"{what}{error.strerror or error}", "error: ")
        return 1
    except MemoryError:
        _complain("there is not enough memory for this", "error: ")
        return 1
    return code


def _told_elsewhere(failed: threading.ExceptHookArgs) -> None:
    """TensorBoard's writer raises what its thread could not write once more, to whoever writes next."""
    import threading

    if type(failed.thread).__name__ != "_AsyncWriterThread":
        threading.__excepthook__(failed)


def _complain(message: str, kind: str = "") -> None:
    from contextlib import suppress

    from rich.text import Text

    from rl_transfer.cli.common import err
    from rl_transfer.wording import visible

    with suppress(OSError):  # nobody to tell
        err.print(Text.assemble((kind, "bold red"), visible(message)), soft_wrap=True)
    _can_be_written(sys.stderr)


def _can_be_written(stream: TextIO | None) -> bool:
    """Whether a stream takes what it was given; one that does not is closed to more of it."""
    if stream is None:
        return True
    try:
        stream.flush()
    except OSError:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), stream.fileno())
        return False
    return True
