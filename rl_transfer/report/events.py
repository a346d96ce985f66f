"""Event files of a report: written under a name of their own, and removed by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_SUFFIX = ".report"
_OURS = (f"*/*{_SUFFIX}", f"*/*/mean/*{_SUFFIX}", "overview/events.out.*", "*/*/mean/events.out.*")
"""Event files of this report, and where the first reports wrote theirs."""


@contextmanager
def writing(folder: Path) -> Iterator[SummaryWriter]:
    """A writer of one TensorBoard run, closed at the end.

    Args:
        folder: the run's; made where it does not exist.

    Yields:
        The writer.
    """
    from torch.utils.tensorboard import SummaryWriter  # slow: only when needed

    with SummaryWriter(str(folder), filename_suffix=_SUFFIX) as writer:
        yield writer


def remove_own(folder: Path) -> None:
    """Remove what reports wrote below ``folder``, links to runs, and folders left empty; nothing else.

    Args:
        folder: a sweep's ``tensorboard`` or ``tensorboard-seeds``; need not exist.
    """
    links = [path for path in folder.glob("*/*/seed-*") if path.is_symlink()]
    files = {path for pattern in _OURS for path in folder.glob(pattern) if path.is_file()}
    for path in [*links, *files]:
        path.unlink()
    for depth in ("*/*/*", "*/*", "*"):
        for path in folder.glob(depth):
            if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
                path.rmdir()
