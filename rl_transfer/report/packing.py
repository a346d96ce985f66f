"""Pages of large sweeps: what is too much is compressed in the page, and its script unpacks it.

Figures and details come out when they are about to be seen, rows of long lists as soon as the page is open.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable

from rl_transfer.report.markup import Html, joined, tag

MOST_PLAIN = 1_500_000
"""Characters of figures and details that stand in a page as they are; all of them in small sweeps."""
MOST_ROWS = 300
"""Rows of a list that stand in a large page as they are; all of them in small sweeps."""
_CHUNK = 400_000
"""Characters that are compressed together: neighbours are alike."""
_MARKED = re.compile("<!--pack-->(.*?)<!--/pack-->", re.DOTALL)
_REST = re.compile("<!--rest-->(.*?)<!--/rest-->", re.DOTALL)
_MARKS = re.compile("<!--/?(?:pack|rest)-->")
_NOTE = (
    "This sweep is large: verdicts, figures and details beyond the first ones are compressed inside this "
    "page and need its script, in a browser of 2023 or later. Without it, the figures are in the folder "
    "figures beside this page, and every number is in summary.json and summary.csv."
)


def packable(content: Html) -> Html:
    """Something that :func:`packed` may compress until it is about to be seen.

    Args:
        content: whole elements, with nothing packable among them.
    """
    return Html(f"<!--pack-->{content}<!--/pack-->")


def listed(rows: Iterable[Html]) -> Html:
    """Rows of a list, of which :func:`packed` may compress those beyond the first :data:`MOST_ROWS`.

    Args:
        rows: whole elements, with no such list among them.

    Returns:
        The rows, one after the other.
    """
    found = [*rows]
    rest = found[MOST_ROWS:]
    more = [Html(f"<!--rest-->{joined(rest)}<!--/rest-->")] if rest else []
    return joined([*found[:MOST_ROWS], *more])


def packed(body: Html) -> Html:
    """A page's body, of moderate size.

    Args:
        body: with marks of :func:`packable` and :func:`listed`, which are gone afterwards.

    Returns:
        The same body where all that is packable has at most :data:`MOST_PLAIN` characters. Else the first
        stays, as far as that goes; the rest, and that of lists, stands behind the body in chunks, base64 of
        zlib of JSON lists; in its place are boxes that say chunk and place there, of lists a ``<template>``
        each.
    """
    room = MOST_PLAIN
    if sum(map(len, _MARKED.findall(body))) <= room:
        return Html(_MARKS.sub("", body))
    chunks: list[list[str]] = [[]]

    def moved(found: re.Match[str]) -> str:
        nonlocal room
        room -= len(found[1])
        if room >= 0:
            return found[1]
        if sum(map(len, chunks[-1])) > _CHUNK:
            chunks.append([])
        chunks[-1].append(found[1])
        return _box("div", "packed", chunks)

    def moved_rest(found: re.Match[str]) -> str:
        chunks.append([found[1]])
        return _box("template", "rest", chunks)

    found = Html(_REST.sub(moved_rest, _MARKED.sub(moved, body)))
    note = tag("noscript", tag("p", _NOTE, class_="warnings"), class_="large")
    return joined([note, found, *map(_chunk, chunks)])


def _box(element: str, class_: str, chunks: list[list[str]]) -> Html:
    """What stands in the place of the last thing that was moved."""
    place = {"data_chunk": str(len(chunks) - 1), "data_place": str(len(chunks[-1]) - 1)}
    return tag(element, class_=class_, **place)


def squeezed(text: str) -> str:
    """Text as the page's script unpacks it: base64 of zlib.

    Args:
        text: JSON.
    """
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _chunk(content: list[str]) -> Html:
    text = squeezed(json.dumps(content, ensure_ascii=False))
    return tag("script", Html(text), type="text/plain", class_="chunk")
