"""The look of all figures: one colour, line style and marker per strategy, readable without colour."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib.style
from matplotlib.figure import Figure

from rl_transfer.analysis.model import Cell, Matrix
from rl_transfer.analysis.words import arm_label
from rl_transfer.report.svg_text import compact, on_page

INK = "#1a1a1a"
MUTED = "#6b6b6b"
NEGATIVE = "#b35806"
"""Orange end of the diverging scale."""
POSITIVE = "#2166ac"
"""Blue end of the diverging scale."""
GAIN, LOSS = "#2166ad", "#b35807"
"""As the ends of that scale, for areas that a dark page may lighten."""
ON_PALE, ON_STRONG = "#1b1b1b", "#fdfdfd"
"""Text on a colour that encodes a number: unlike that of the page, it stays what it is on a dark page."""

_GRID = "#ececec"
_DPI = 160
_LETTERS = 136
"""Letters of a point's size that fit an inch of a title."""
_MOST_PIXELS = 2**14
"""On a side. matplotlib refuses 2^16, and hardly a viewer shows so many."""

_RC: dict[str, object] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "hatch.linewidth": 0.6,
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "rl_transfer",
}

# From Paul Tol's "muted" palette, told apart under every common colour-vision deficiency; some are darker for
# contrast. No blue and no orange among them: those mean gain and loss.
_COLOURS = ("#117733", "#aa4499", "#857a00", "#882255", "#2f8f84", "#cc6677")
_CONTROL = "#767676"
_BLACK = "#000000"
_LINES = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)))
_DASHES: dict[str, Sequence[float]] = {"-": (), "--": (3.7, 1.6), "-.": (6.4, 1.6, 1, 1.6)}
"""Names of matplotlib's lines → its patterns."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_VARIABLES = {
    INK: "ink", MUTED: "muted", _GRID: "grid", "#dcdcdc": "rule", "#bdbdbd": "rule", "#ffffff": "paper",
    _BLACK: "black", _CONTROL: "control", GAIN: "gain", LOSS: "loss",
    **{colour: f"c{place}" for place, colour in enumerate(_COLOURS)},
}  # fmt: skip
"""Colours as matplotlib writes them → variables of static/page.css."""
_PAINT = re.compile(rf"\b(fill|stroke): ({'|'.join(_VARIABLES)})\b")


@dataclass(frozen=True)
class Look:
    """How one strategy is drawn."""

    colour: str
    line: str | tuple[float, tuple[float, ...]]
    """A name of matplotlib's, or offset and lengths of dashes and gaps in points."""
    marker: str


def looks(matrix: Matrix) -> dict[str, Look]:
    """Strategy → its look, the same in every figure; the baseline black, controls grey and dotted.

    Args:
        matrix: a finished analysis.

    Returns:
        Looks in the order of the matrix's strategies.
    """
    found: dict[str, Look] = {}
    transfers = controls = 0
    for name, info in matrix.strategies.items():
        if name == matrix.baseline:
            found[name] = Look(_BLACK, "-", "")
        elif info.control:
            found[name] = Look(_CONTROL, (0, (1, 1.2)), ("x", "+", "1", "2")[controls % 4])
            controls += 1
        else:
            found[name] = Look(
                _COLOURS[transfers % len(_COLOURS)],
                _LINES[transfers % len(_LINES)],
                _MARKERS[transfers % len(_MARKERS)],
            )
            transfers += 1
    return found


def short_lines(name: str, columns: int) -> str:
    r"""A name that may be long on two lines at most.

    >>> short_lines("a-name-that-nobody-expected-here", 12)
    'a-name-that-\nnobody-…'

    Args:
        name: what people wrote.
        columns: characters a line has at most.

    Returns:
        The name, broken where it may be; what is left over is an ellipsis.
    """
    return "\n".join(textwrap.wrap(name, columns, max_lines=2, placeholder="…"))


def legend_below(figure: Figure, cells: Sequence[Cell], matrix: Matrix, columns: int) -> None:
    """A legend of arms under all panels.

    Args:
        figure: with a panel at least.
        cells: of the arms, in order.
        matrix: that they are in.
        columns: at most.
    """
    axes, styles = figure.axes[0], looks(matrix)
    handles = [
        axes.plot([], [], styles[cell.strategy].marker or "o", color=styles[cell.strategy].colour, ms=5)[0]
        for cell in cells
    ]
    names = [arm_label(cell.strategy, cell.source, matrix) for cell in cells]
    figure.legend(handles, names, loc="outside lower center", ncols=min(columns, len(names)), fontsize=8.5)


def titled(figure: Figure, title: str, size: float = 11.5) -> None:
    """A title over all panels, as wide as the figure at most.

    Args:
        figure: as wide as it stays.
        title: lines, with names of people's in them.
        size: of its letters in points.
    """
    columns = int(figure.get_figwidth() * _LETTERS / size)
    lines = [line for given in title.split("\n") for line in textwrap.wrap(given, columns)]
    figure.suptitle("\n".join(lines), fontsize=size)


@contextmanager
def drawing() -> Iterator[None]:
    """The style of this package, whatever the user's matplotlibrc says; undone afterwards.

    Yields:
        Nothing; what is drawn inside has the style.
    """
    with matplotlib.style.context(["default", _RC]):
        yield


def svg(figure: Figure, name: str) -> str:
    """The figure as an ``<svg>`` element for a page: text stays text, ids are prefixed with ``name``.

    Args:
        figure: what to draw.
        name: a prefix that no other figure of the page has.

    Returns:
        The element, the same bytes for the same figure.
    """
    buffer = io.StringIO()
    with _laid_out_once(figure):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return compact(buffer.getvalue(), name)


def themed(drawing: str) -> str:
    """A drawing for the page, light or dark: the colours of this module become the page's variables.

    Args:
        drawing: what :func:`svg` gave. Colours that encode numbers stay what they are.

    Returns:
        The same element; where the page has no such variables, with the same colours.
    """
    drawing = on_page(drawing)
    return _PAINT.sub(lambda found: f"{found[1]}: {painted(found[2])}", drawing)


def painted(colour: str) -> str:
    """A colour of this module as the page writes it: its variable, and what it is without one.

    Args:
        colour: as matplotlib writes it.
    """
    return f"var(--{_VARIABLES[colour]}, {colour})"


def dashes(look: Look) -> Sequence[float]:
    """Dashes and gaps of a look in widths of its line; empty for a line without gaps.

    Args:
        look: of a strategy.
    """
    return _DASHES[look.line] if isinstance(look.line, str) else look.line[1]


def png(figure: Figure) -> bytes:
    """The figure as a PNG.

    Args:
        figure: what to draw.

    Returns:
        The file's bytes, at 160 dots per inch; fewer where it would have more than 16,384 on a side.
    """
    buffer = io.BytesIO()
    with _laid_out_once(figure):
        figure.savefig(buffer, format="png", dpi=min(_DPI, _MOST_PIXELS / max(figure.get_size_inches())))
    return buffer.getvalue()


@contextmanager
def _laid_out_once(figure: Figure) -> Iterator[None]:
    """A second file of a figure takes the layout of the first: finding one costs as much as drawing."""
    with drawing():
        yield
        figure.set_layout_engine(None)
