"""The page of a sweep that runs: written again when something changed, analysed again when runs ended."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from rl_transfer.analysis import analyse, read_sweep
from rl_transfer.analysis.model import Matrix
from rl_transfer.report.document import document, is_live
from rl_transfer.report.figures import all_figures
from rl_transfer.report.markup import Html, joined, tag
from rl_transfer.report.page import body, page_title, top
from rl_transfer.report.running_view import running_section, share
from rl_transfer.report.style import svg
from rl_transfer.report.write import read_beside, write_report
from rl_transfer.results import make_folder, write_text
from rl_transfer.results.locks import alone
from rl_transfer.results.standing import Standing


class LivePage:
    """``report/index.html`` while the sweep runs; figures as files, tables and TensorBoard come at its end.

    Args:
        folder: the sweep's.
        every: seconds until an open browser reads the page again.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self._folder, self._every = folder, every
        self.path = folder / "report" / "index.html"
        self._ends: object = None
        self._matrix: Matrix | None = None
        self._body = Html("")

    def write(self, standing: Standing, left: float | None, *, stopped: bool = False) -> bool:
        """Write the page, unless it says all of this already.

        Args:
            standing: where the sweep stands.
            left: seconds until its last run ends; None: unknown.
            stopped: whether nobody is at work; the page then stays as it is.

        Returns:
            Whether it was written.

        Raises:
            StoreError: the folder cannot be read or written.
        """
        if standing.ends != self._ends:
            self._read(standing)
            self._ends = standing.ends
        text = self._text(standing, left, stopped)
        with alone(make_folder(self.path.parent)):
            with suppress(OSError, ValueError):
                if self.path.read_text(encoding="utf-8") == text:
                    return False
            write_text(self.path, text, durable=False)
        return True

    def complete(self, seen: float) -> bool:
        """Whether a full report was written after everything had ended.

        Args:
            seen: the sweep's last sign of life, in seconds since the epoch.

        Returns:
            False as well where there is no page.
        """
        with suppress(OSError):
            return not is_live(self.path) and self.path.stat().st_mtime >= seen
        return False

    def finish(self) -> None:
        """Write the full report, which is live no more.

        Raises:
            StoreError: the folder cannot be read or written.
        """
        write_report(self._folder)

    def _read(self, standing: Standing) -> None:
        """Analyse what there is, and draw it."""
        if standing.tunes:
            self._matrix, self._body = None, Html("")
            return
        sweep = read_sweep(self._folder)
        self._matrix = matrix = analyse(sweep)
        drawings = {name: svg(figure, name) for name, figure in all_figures(matrix)}
        self._body = body(matrix, drawings, read_beside(self._folder, sweep, matrix), running=True)

    def _text(self, standing: Standing, left: float | None, stopped: bool) -> str:
        name = str(standing.manifest.get("name", "sweep"))
        section = running_section(standing, left, self._matrix, self._every, stopped=stopped)
        return document(
            f"{share(standing)} · {page_title(name)}",
            tag("h1", name) if self._matrix is None else top(self._matrix),
            joined([section, self._body]),
            live=None if stopped else self._every,
        )
