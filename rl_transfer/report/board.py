"""TensorBoard on what a report wrote, opened so that its first screen says something."""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import quote

from rl_transfer.errors import ConfigError, StoreError
from rl_transfer.report.tensorboard import OVERVIEW
from rl_transfer.results import SEEDS
from rl_transfer.wording import did_you_mean, listing

_BY_STRATEGY = "regex:^([^/]+)/"
"""Runs of one strategy get one colour: what stands before the first slash of their names."""


def board_folder(sweep: Path, seeds: str | None = None) -> Path:
    """The folder that TensorBoard is to show.

    Args:
        sweep: a sweep's folder.
        seeds: None for means and verdicts; a target, or ``TARGET/STRATEGY``, for its single runs.

    Returns:
        A folder with event files.

    Raises:
        StoreError: ``sweep`` is no sweep folder, or has no report yet.
        ConfigError: there are no such runs, or none of them has event files.
    """
    if not (sweep / "sweep.json").is_file():
        raise StoreError(
            f"{sweep} is no sweep folder: it has no sweep.json; for one run: tensorboard --logdir {sweep}"
        )
    shown = sweep / "tensorboard"
    if seeds is None:
        if not any((shown / OVERVIEW).glob("*tfevents*.report")):
            raise StoreError(f"{sweep} has no means yet; write them with: rl-transfer report {sweep}")
        return shown
    places = [*(sweep / SEEDS).glob("*/"), *(sweep / SEEDS).glob("*/*/")]
    known = sorted(path.relative_to(sweep / SEEDS).as_posix() for path in places)
    if seeds not in known:
        targets = listing([name for name in known if "/" not in name])
        there = f"There are {targets}, and TARGET/STRATEGY" if targets else "No run has begun yet"
        raise ConfigError(f"--seeds {seeds}: there are no such runs.{did_you_mean(seeds, known)} {there}")
    shown = sweep / SEEDS / seeds
    if not any(path.exists() for pattern in ("seed-*", "*/seed-*") for path in shown.glob(pattern)):
        raise ConfigError(
            f"--seeds {seeds}: none of these runs has event files (--no-events). Their means are there "
            "without --seeds"
        )
    return shown


def start_board(folder: Path, port: int | None = None, *, title: str) -> str:
    """Serve ``folder`` with TensorBoard from a thread of this process.

    Args:
        folder: what :func:`board_folder` gave.
        port: None: the first free one from 6006 on.
        title: of the browser's window.

    Returns:
        The address to open: curves unsmoothed, seeds coloured by strategy.

    Raises:
        StoreError: the port is taken, or the server cannot start.
    """
    from tensorboard import program  # slow: only when needed

    board = program.TensorBoard()
    given = {} if port is None else {"port": port}
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    try:
        board.configure(logdir=str(folder), load_fast="false", window_title=title, **given)
        address: str = board.launch()
    except program.TensorBoardServerException as error:
        raise StoreError(f"TensorBoard cannot start: {error.msg}; name another --port") from None
    colours = f"&runColorGroup={quote(_BY_STRATEGY)}" if folder.parent.name == SEEDS else ""
    return f"{address}?smoothing=0{colours}"
