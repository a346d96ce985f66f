"""Small pieces of HTML: escaping, tables, and the style sheet of the report."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


class Html(str):
    """Text that is HTML already; every other string is escaped on its way into a page."""

    __slots__ = ()


def esc(value: object) -> Html:
    """``value`` as HTML: escaped, unless it is :class:`Html`.

    Args:
        value: text, a number, or HTML.
    """
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def tag(name: str, *content: object, **attributes: str) -> Html:
    """An element.

    >>> tag("td", "a < b", class_="wide")
    '<td class="wide">a &lt; b</td>'

    Args:
        name: the element's name.
        content: what stands inside, escaped unless it is HTML.
        attributes: escaped; a trailing underscore in a name is dropped.

    Returns:
        The element with its content.
    """
    given = "".join(f' {key.rstrip("_")}="{html.escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{given}>{''.join(esc(part) for part in content)}</{name}>")


def joined(parts: Iterable[object], separator: str = "") -> Html:
    """The parts as HTML, one after the other.

    Args:
        parts: escaped unless they are HTML.
        separator: trusted HTML between them.
    """
    return Html(separator.join(esc(part) for part in parts))


def table(head: Sequence[object], rows: Iterable[Sequence[object]], class_: str = "") -> Html:
    """A table; the first cell of each row is its heading.

    Args:
        head: titles of the columns.
        rows: as many cells each as ``head`` has.
        class_: the table's class in the style sheet.

    Returns:
        The table in a box that scrolls where it is too wide.
    """
    titles = joined(tag("th", title, scope="col") for title in head)
    body = joined(
        tag("tr", tag("th", row[0], scope="row"), joined(tag("td", value) for value in row[1:]))
        for row in rows
    )
    return tag(
        "div",
        tag("table", tag("thead", tag("tr", titles)), tag("tbody", body), class_=class_),
        class_="scroll",
    )


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


STYLE = Html("""
:root {
  color-scheme: light;
  --ink: #1a1a1a; --muted: #5f5f5f; --rule: #dcdcdc; --good: #2166ac; --bad: #b35806;
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 74rem; color: var(--ink); background: #fff;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1 { font-size: 1.7rem; margin: 0 0 .2rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .2rem; }
p { margin: .4rem 0; max-width: 62rem; }
small { font-weight: 400; }
.muted, figcaption { color: var(--muted); font-size: .88rem; }
.headlines { padding: 0; list-style: none; margin: 1rem 0; }
.headlines li {
  border-left: 4px solid var(--ink); padding: .3rem .8rem; margin: .5rem 0; background: #f7f7f7;
}
.warnings {
  padding: .5rem 1rem .5rem 2rem; margin: 1rem 0; background: #fff6e5; border: 1px solid #e3c38a;
}
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td {
  text-align: left; vertical-align: top; padding: .32rem 1rem .32rem 0; border-bottom: 1px solid var(--rule);
}
thead th { border-bottom: 2px solid var(--ink); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 600; }
th a { color: inherit; text-decoration-color: var(--rule); }
.verdicts td, .verdicts tbody th { padding-top: .5rem; padding-bottom: .5rem; }
.v { white-space: nowrap; display: block; margin-bottom: .25rem; }
.v b { font-weight: 650; }
.v small, td small, th small, h3 small { color: var(--muted); }
.positive b { color: var(--good); }
.negative b { color: var(--bad); }
.inconclusive b, .equivalent b { color: var(--muted); }
figure { margin: 1rem 0 1.6rem; }
figure svg, figure img { max-width: 100%; height: auto; display: block; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(30rem, 1fr)); gap: 0 1.5rem; }
.grid.wide { grid-template-columns: 1fr; }
details { border-bottom: 1px solid var(--rule); padding: .35rem 0; font-size: .95rem; }
summary { cursor: pointer; }
summary b { margin-right: .5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem; margin: .5rem 0; }
dt { font-weight: 600; }
dd { margin: 0; }
@media (max-width: 40rem) {
  body { padding: 1rem; }
  .grid, dl { grid-template-columns: 1fr; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 11px; }
  h2 { break-after: avoid; }
  figure, tr, .headlines li { break-inside: avoid; }
  .scroll { overflow: visible; }
  .grid { display: block; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
""")
BREAK = Html("<br>")
