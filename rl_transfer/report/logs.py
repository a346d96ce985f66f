"""The ends of log files, for people: cut, without what only a terminal understands."""

from __future__ import annotations

from pathlib import Path

from rl_transfer.bounded import regular_size
from rl_transfer.report.markup import Html, esc, joined, tag
from rl_transfer.wording import visible

_MOST_BYTES = 16_384
_MOST_COLUMNS = 300


def log_tail(path: Path, lines: int) -> str:
    """The last lines of a log.

    Args:
        path: the file.
        lines: how many at most; each is cut where it is very long.

    Returns:
        Text without control characters; empty where there is no file, or nothing in it.
    """
    try:
        size = regular_size(path)
        with path.open("rb") as stream:
            stream.seek(max(0, size - _MOST_BYTES))
            content = stream.read(_MOST_BYTES)
    except (OSError, ValueError):
        return ""
    found = content.decode("utf-8", "replace").rstrip().split("\n")
    if size > _MOST_BYTES and len(found) > 1:
        found = found[1:]  # the first one may begin in the middle
    return "\n".join(visible(_drawn(line))[:_MOST_COLUMNS] for line in found[-lines:])


def _drawn(line: str) -> str:
    """What a terminal shows of a line that was drawn several times: a progress bar's last state."""
    return line.rstrip("\r").rpartition("\r")[2]


def log_block(folder: Path, identifier: str, lines: int) -> Html:
    """The end of a run's log, and where the rest is.

    Args:
        folder: the sweep's.
        identifier: of the run.
        lines: how many at most.

    Returns:
        A block that keeps its line breaks; a sentence where there is no log.
    """
    place = f"runs/{identifier}/log.txt"
    text = log_tail(folder / "runs" / identifier / "log.txt", lines)
    if not text:
        return tag("p", f"There is nothing to read at the end of {place}.", class_="muted")
    note = tag("p", f"The last lines of {place}; the rest stands there.", class_="muted")
    return joined([note, tag("pre", esc(text), tabindex="0")])
