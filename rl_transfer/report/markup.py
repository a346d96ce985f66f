"""Small pieces of HTML: escaping, elements, tables."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from rl_transfer.wording import visible


class Html(str):
    """Text that is HTML already; every other string is escaped on its way into a page."""

    __slots__ = ()


@dataclass(frozen=True)
class Attributed:
    """What stands in a cell of a table, and the attributes of its element."""

    content: object
    attributes: Mapping[str, str]


def esc(value: object) -> Html:
    """``value`` as HTML: escaped and without control characters, unless it is :class:`Html`.

    Args:
        value: text, a number, or HTML.
    """
    return value if isinstance(value, Html) else Html(html.escape(visible(str(value))))


def tag(name: str, *content: object, **attributes: str) -> Html:
    """An element.

    >>> tag("td", "a < b", class_="wide")
    '<td class="wide">a &lt; b</td>'

    Args:
        name: the element's name.
        content: what stands inside, escaped unless it is HTML.
        attributes: escaped; a trailing underscore in a name is dropped, others become dashes.

    Returns:
        The element with its content.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(visible(value))}"'
        for key, value in attributes.items()
    )
    return Html(f"<{name}{given}>{''.join(esc(part) for part in content)}</{name}>")


def joined(parts: Iterable[object], separator: str = "") -> Html:
    """The parts as HTML, one after the other.

    Args:
        parts: escaped unless they are HTML.
        separator: trusted HTML between them.
    """
    return Html(separator.join(esc(part) for part in parts))


def table(
    head: Sequence[object],
    rows: Iterable[Sequence[object]],
    class_: str = "",
    together: Callable[[Iterable[Html]], Html] = joined,
) -> Html:
    """A table; the first cell of each row is its heading.

    Args:
        head: titles of the columns.
        rows: as many cells each as ``head`` has; :class:`Attributed` where an element needs attributes.
        class_: the table's class in the style sheet; ``cards`` turn into cards on small screens, ``sortable``
            ones get buttons.
        together: puts the rows one after the other.

    Returns:
        The table in a box that scrolls where it is too wide.
    """
    titles = joined(tag("th", title, scope="col") for title in head)
    names = [
        html.unescape(re.sub(r"<[^>]*>", " ", esc(title))) if "cards" in class_ else "" for title in head
    ]
    body = together(
        tag("tr", tag("th", row[0], scope="row"), joined(map(_cell, names[1:], row[1:]))) for row in rows
    )
    return tag(
        "div",
        tag("table", tag("thead", tag("tr", titles)), tag("tbody", body), class_=class_),
        class_="scroll",
        tabindex="0",
    )


def _cell(name: str, value: object) -> Html:
    content, given = (value.content, value.attributes) if isinstance(value, Attributed) else (value, {})
    return tag("td", content, **given, **({"data_label": name} if name else {}))


def items(values: Iterable[object], class_: str = "") -> Html:
    """An unordered list.

    Args:
        values: its entries, escaped unless they are HTML.
        class_: its class in the style sheet.

    Returns:
        The list; nothing if there are no values.
    """
    entries = [tag("li", value) for value in values]
    return tag("ul", joined(entries), class_=class_) if entries else Html("")


BREAK = Html("<br>")
