"""The frame of the page: head, style, script, contents; no content of its own."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from pathlib import Path

from rl_transfer.report.markup import Html, joined, tag
from rl_transfer.report.packing import packed

_OPENING = '<!DOCTYPE html>\n<html lang="en">'
_LIVE = '<!DOCTYPE html>\n<html lang="en" data-live='
_AGAIN = '<noscript><meta http-equiv="refresh" content="{}"></noscript>'
"""Where there is a script it does this, and can be held."""
_HEADING = re.compile(r'<h2(?: id="([^"]*)")?>(.*?)</h2>')


def document(title: str, top: Html, body: Html, live: int | None = None) -> str:
    """One HTML document that loads nothing: style and script stand in it; browsers are told to refuse more.

    Args:
        title: the window's title, escaped here.
        top: what stands above the contents, in ``<header>``.
        body: sections; every ``<h2>`` gets an id and a line in the contents, and what is too much is packed.
        live: seconds until the page opens itself again, for it is written while a sweep runs; None: never.

    Returns:
        The document; without scripts it can be read as well.
    """
    script, style = joined(map(_static, ("cell.js", "page.js"))), _static("page.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = joined(
        [
            Html('<meta charset="utf-8">'),
            Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
            Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            tag("title", title),
            tag("style", style),
            "" if live is None else Html(_AGAIN.format(live)),
        ]
    )
    body, contents = _contents(packed(body))
    whole = joined(
        [
            tag("a", "Skip to the results", href="#main", class_="skip"),
            tag("header", tag("div", class_="tools"), top),
            tag("div", contents, tag("main", body, id="main", tabindex="-1"), class_="page"),
            tag("script", script),
        ]
    )
    opening = _OPENING if live is None else f'{_LIVE}"{live}">'
    return f"{opening}{tag('head', head)}{tag('body', whole)}</html>\n"


def is_live(path: Path) -> bool:
    """Whether a file is a page that was written while its sweep ran.

    Args:
        path: the file.

    Returns:
        False as well where there is none.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return stream.read(len(_LIVE)) == _LIVE
    except OSError:
        return False


def _contents(body: Html) -> tuple[Html, Html]:
    """The body with ids at its headings, and a list of links to them."""
    found: dict[str, Html] = {}

    def named(match: re.Match[str]) -> str:
        text = Html(match[2])
        slug = re.sub(r"[^a-z0-9]+", "-", re.sub(r"<.*?>|&\w+;", "", text).lower()).strip("-")
        place = match[1] or f"section-{slug or len(found)}"
        while place in found:
            place += "-"
        found[place] = text
        return tag("h2", text, id=place)

    whole = Html(_HEADING.sub(named, body))
    links = joined(tag("li", tag("a", text, href=f"#{place}")) for place, text in found.items())
    return whole, tag("nav", tag("ul", links), class_="contents", aria_label="Contents")


def _static(name: str) -> Html:
    return Html((files("rl_transfer.report") / "static" / name).read_text(encoding="utf-8"))
