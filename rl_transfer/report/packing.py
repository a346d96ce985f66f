"""Pages of large sweeps: what is too much is compressed in the page, and its script unpacks what is seen."""

from __future__ import annotations

import base64
import json
import re
import zlib

from rl_transfer.report.markup import Html, joined, tag

MOST_PLAIN = 1_500_000
"""Characters of figures and details that stand in a page as they are; all of them in small sweeps."""
_CHUNK = 400_000
"""Characters that are compressed together: neighbours are alike."""
_MARKED = re.compile("<!--pack-->(.*?)<!--/pack-->", re.DOTALL)
_NOTE = (
    "This sweep is large: figures and details beyond the first ones are compressed inside this page and need "
    "its script. Without it, the figures are in the folder figures beside this page, and every number is in "
    "summary.json and summary.csv."
)


def packable(content: Html) -> Html:
    """Something that :func:`packed` may compress.

    Args:
        content: whole elements, with nothing packable among them.
    """
    return Html(f"<!--pack-->{content}<!--/pack-->")


def packed(body: Html) -> Html:
    """A page's body, of moderate size.

    Args:
        body: with marks of :func:`packable`, which are gone afterwards.

    Returns:
        The same body where all that is packable has at most :data:`MOST_PLAIN` characters. Else the first
        stays, as far as that goes; the rest stands behind the body in chunks, base64 of zlib of JSON lists;
        in its place are boxes that say chunk and place there.
    """
    chunks: list[list[str]] = [[]]
    plain = sum(len(content) for content in _MARKED.findall(body))
    room = MOST_PLAIN

    def moved(found: re.Match[str]) -> str:
        nonlocal room
        room -= len(found[1])
        if plain <= MOST_PLAIN or room >= 0:
            return found[1]
        if sum(map(len, chunks[-1])) > _CHUNK:
            chunks.append([])
        chunks[-1].append(found[1])
        return tag(
            "div", class_="packed", data_chunk=str(len(chunks) - 1), data_place=str(len(chunks[-1]) - 1)
        )

    rest = Html(_MARKED.sub(moved, body))
    if not chunks[0]:
        return rest
    note = tag("noscript", tag("p", _NOTE, class_="warnings"))
    return joined([note, rest, *map(_chunk, chunks)])


def squeezed(text: str) -> str:
    """Text as the page's script unpacks it: base64 of zlib.

    Args:
        text: JSON.
    """
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _chunk(content: list[str]) -> Html:
    text = squeezed(json.dumps(content, ensure_ascii=False))
    return tag("script", Html(text), type="text/plain", class_="chunk")
