"""A sweep on disk as an object: cells, verdicts, curves, findings, tables for pandas, figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rl_transfer.analysis import (
    TIDY_CURVE,
    TIDY_TEXTS,
    Cell,
    Matrix,
    Run,
    Sweep,
    Verdict,
    analyse,
    headlines,
    read_sweep,
    text_table,
    tidy_cells,
    tidy_curves,
    tidy_seeds,
)
from rl_transfer.analysis.differences import SweepDifferences, compare_sweeps
from rl_transfer.api.given import check_path
from rl_transfer.api.pictures import Picture
from rl_transfer.errors import ConfigError, MissingExtraError
from rl_transfer.spec import JsonObject
from rl_transfer.wording import counted, did_you_mean, in_words

if TYPE_CHECKING:
    import pandas

Table = Literal["cells", "seeds", "curves"]


def load_sweep(path: str | Path) -> SweepResults:
    """Read a sweep, finished or not, and whatever computed it: nothing is trained and nothing is written.

    Args:
        path: the output folder of a sweep.

    Returns:
        Its cells, verdicts and curves; the analysis is done when something of it is first asked for.

    Raises:
        StoreError: the folder is no sweep folder, or damaged, or nothing of it can be judged yet.
        ConfigError: it is no path.
    """
    check_path("path", path, needed=True)
    return SweepResults(Path(path), read_sweep(path))


class SweepResults:
    """A sweep and what its records say; the same figures as ``rl-transfer report``, by the same analysis.

    Attributes:
        folder: where it lies.
        sweep: the manifest, and every place of the matrix with its run.

    Args:
        matrix: the analysis, where it is done already.
    """

    def __init__(self, folder: Path, sweep: Sweep, matrix: Matrix | None = None) -> None:
        self.folder = folder
        self.sweep = sweep
        self._matrix = matrix

    @cached_property
    def matrix(self) -> Matrix:
        """The analysis: cells, targets, sources, rankings, warnings."""
        return analyse(self.sweep) if self._matrix is None else self._matrix

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self.sweep.name

    @property
    def config(self) -> JsonObject:
        """The resolved config."""
        return self.sweep.config

    @property
    def cells(self) -> tuple[Cell, ...]:
        """One per source, target and strategy: ``metrics``, ``comparisons`` with verdicts, ``flags``."""
        return self.matrix.cells

    @property
    def verdicts(self) -> dict[tuple[str | None, str, str], Mapping[str, Verdict]]:
        """(source, target, strategy) → judged metric → verdict, of every cell that gets one."""
        return {
            cell.key: {metric: entry.verdict for metric, entry in cell.comparisons.items()}
            for cell in self.cells
            if cell.comparisons
        }

    @property
    def findings(self) -> tuple[str, ...]:
        """What was found, in plain sentences."""
        return tuple(headlines(self.matrix))

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every place of the matrix with its record; ``problem`` says why a run cannot be used."""
        return self.sweep.runs

    @property
    def curves(self) -> tuple[Run, ...]:
        """The places that have a learning curve: ``run.curve.steps``, ``.means`` and ``.returns``."""
        return tuple(run for run in self.runs if run.curve is not None)

    def rows(self, table: Table = "cells") -> list[JsonObject]:
        """A tidy table as dictionaries, one a row; docs/python.md lists the columns.

        Args:
            table: ``cells``: a row per cell and metric; ``seeds``: per cell, metric and seed; ``curves``: per
                run and evaluation.

        Returns:
            Rows with the same keys; None where a figure is undefined.

        Raises:
            ConfigError: there is no such table.
        """
        tables: dict[str, Callable[[], list[JsonObject]]] = {
            "cells": lambda: tidy_cells(self.matrix),
            "seeds": lambda: tidy_seeds(self.matrix),
            "curves": lambda: tidy_curves(self.runs),
        }
        if not isinstance(table, str) or table not in tables:
            hint = did_you_mean(str(table), tables)
            raise ConfigError(f"table {table!r}: expected {in_words([*tables], 'or')}.{hint}")
        return tables[table]()

    def to_pandas(self, table: Table = "cells") -> pandas.DataFrame:
        """A tidy table as a data frame; see :meth:`rows`.

        Args:
            table: as for :meth:`rows`.

        Returns:
            Words as objects, all else as numbers with NaN where a figure is undefined.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        rows = self.rows(table)
        try:
            import pandas
        except ImportError:
            raise MissingExtraError(
                "to_pandas needs pandas: pip install 'rl-transfer[pandas]'; rows() gives the same table as "
                "dictionaries"
            ) from None
        frame = pandas.DataFrame(rows, columns=[*(rows[0] if rows else TIDY_CURVE)], dtype=object)
        numbers = [column for column in frame if column not in TIDY_TEXTS]
        return frame.assign(**{column: pandas.to_numeric(frame[column]) for column in numbers})

    def compare(self, other: SweepResults) -> SweepDifferences:
        """This sweep beside another one: ``rl-transfer compare``.

        Args:
            other: in question; every difference is its figure minus this sweep's.

        Returns:
            What differs in configs, versions, cells and verdicts; ``differ`` says whether anything does.

        Raises:
            StoreError: the other is of another kind.
            ConfigError: the other is no sweep.
        """
        if not isinstance(other, SweepResults):
            raise ConfigError(
                f"a {type(other).__name__} was given: expected what rt.load_sweep or rt.sweep gives"
            )
        return compare_sweeps(self.sweep, other.sweep)

    def picture(self, name: str = "heatmap") -> Picture:
        """A figure of the report.

        Args:
            name: as its file is called there: ``heatmap``, ``curves-TARGET``, ``jump-start``, ``profiles``, …

        Returns:
            What a notebook shows, and :meth:`Picture.save` writes.

        Raises:
            ConfigError: this sweep has no such figure.
        """
        from rl_transfer.report.figures import all_figures
        from rl_transfer.report.style import png

        known = []
        for each, figure in all_figures(self.matrix):
            if each == name:
                return Picture(name, png(figure))
            known.append(each)
        raise ConfigError(
            f"figure {name!r}: expected one of {', '.join(known)}.{did_you_mean(str(name), known)}"
        )

    def __str__(self) -> str:
        return text_table(self.matrix)

    def __repr__(self) -> str:
        finished = sum(run.finished for run in self.runs)
        return (
            f"<SweepResults {self.name}: {finished} of {counted(len(self.runs), 'place')} of the matrix "
            f"finished, in {self.folder}>"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"
