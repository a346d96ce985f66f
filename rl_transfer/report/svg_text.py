"""What matplotlib's SVG needs before it stands in a page: less of it, ids of its own, words at its marks."""

from __future__ import annotations

import re

from matplotlib.artist import Artist

PAGE = "../index.html"
"""The page, seen from the folder of figures."""
_NOTE = "note: "
_NOTED = re.compile(rf'<g id="{_NOTE}([^"]*)">\s*(<a [^>]*>)?')
_ID = re.compile(r'\bid="([^"]*)"')
_IDS = re.compile(r"""(\bid="|url\(#|href="#)([^")]*)""")
_NUMBERS = re.compile(r"\b(d|x|y|transform|width|height)=\"[^\"]*\"")


def noted(artist: Artist, text: str) -> None:
    """Words that a page shows where somebody points at a mark, or comes to it by keyboard.

    Args:
        artist: the mark; in other formats nothing changes.
        text: what is said, on one line or more.
    """
    artist.set_gid(f"{_NOTE}{text}")


def linked(artist: Artist, anchor: str) -> None:
    """A mark that leads to a part of the page.

    Args:
        artist: the mark.
        anchor: id of an element.
    """
    artist.set_url(f"{PAGE}#{anchor}")


def compact(text: str, name: str) -> str:
    """The ``<svg>`` element of a file of matplotlib's.

    Args:
        text: the file.
        name: what its ids begin with; no other figure of the page has it.

    Returns:
        The element: numbers of two decimals, no comments, no space between elements, notes as ``<title>``.
    """
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = _NOTED.sub(r'<g class="note">\2<title>\1</title>', text)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)  # nothing refers to groups
    text = _numbered(text, name)
    text = text.replace(' target="_blank"', "")
    text = _NUMBERS.sub(lambda found: _short(found[0]), text)
    return re.sub(r"\s*\n\s*", "\n", re.sub(r">\s+<", "><", text))


def on_page(drawing: str) -> str:
    """A drawing whose links lead to the page that it stands in.

    Args:
        drawing: what :func:`compact` gave.
    """
    return drawing.replace(f'href="{PAGE}#', 'href="#')


def _numbered(text: str, name: str) -> str:
    """Ids by their order: matplotlib hashes all digits of a layout, whose last ones mean nothing."""
    ids = {found: f"{name}-{place}" for place, found in enumerate(dict.fromkeys(_ID.findall(text)))}
    return _IDS.sub(lambda found: found[1] + ids.get(found[2], found[2]), text)


def _short(attribute: str) -> str:
    numbers = re.sub(r"(\.\d\d)\d+", r"\1", attribute)
    return re.sub(r"\s*([MLQCZz])\s*", r"\1", numbers) if numbers.startswith("d=") else numbers
