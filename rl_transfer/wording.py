"""How messages suggest, count, enumerate and quote: the closest known name, plurals, lists, times, errors."""

from __future__ import annotations

import difflib
import os
import re
import sysconfig
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

_CUTOFF = 0.5
_SHOWN = 8
_UNSEEN = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, places
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # titles, links
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
_BEYOND_ASCII = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What of that may stand in JSON as it is."""
_ADDRESS = re.compile(
    r"(hf|package)://\w\S*"
    r"|https?://[\w.-]+(:\d+)?(/[^\s@]*)?"
    r"|(hf[-_]hub:)?\w[\w.-]*/\w[\w.-]*"
)
"""What has slashes and is no place on a machine: on the Hub, in a package, on the web, ``timm/resnet18``."""
_SEPARATOR = re.compile(r"[/\\]")
_LIBRARIES = tuple(
    f"{folder}{os.sep}"
    for folder in (
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        Path(__file__).parent,
    )
)
"""Folders of code that is not the user's: Python's, installed packages', this package's."""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """A hint at the known name that is most like the one given.

    Case is ignored. The similarity is difflib's ratio; below 0.5 nothing is hinted at, for a wrong hint
    costs a reader more than none.

    >>> did_you_mean("fine-tun", ["scratch", "fine-tune"])
    " Did you mean 'fine-tune'?"
    >>> did_you_mean("zebra", ["scratch", "fine-tune"])
    ''

    Args:
        given: what somebody wrote.
        known: what it could have been.

    Returns:
        A sentence that starts with a blank, to be put after the complaint; or the empty string.
    """
    by_folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(given.casefold(), by_folded, n=1, cutoff=_CUTOFF)
    return f" Did you mean {by_folded[close[0]]!r}?" if close else ""


def in_words(items: Sequence[str], last: str = "and") -> str:
    """A whole list as a reader would say it.

    >>> in_words(["trunk", "head", "log_std"])
    'trunk, head and log_std'
    >>> in_words(["SAC", "TQC"], "or")
    'SAC or TQC'

    Args:
        items: at least one.
        last: the word before the last item: ``and`` or ``or``.

    Returns:
        The items, with commas and ``last`` between them.
    """
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}"


def listing(items: Sequence[str], limit: int = _SHOWN, separator: str = ", ") -> str:
    """The first items of a list that may be long, and how many more there are.

    >>> listing(["a", "b", "c", "d"], limit=2)
    'a, b and 2 more'

    Args:
        items: any number, none included.
        limit: most items that are shown.
        separator: what stands between them; ``"; "`` where items have commas of their own.

    Returns:
        The items joined; the empty string of none.
    """
    shown = separator.join(items[:limit])
    return f"{shown} and {len(items) - limit} more" if len(items) > limit else shown


def shortened(text: str, limit: int = 80) -> str:
    """The beginning of a text that may be long.

    >>> shortened("abcdefgh", 4)
    'abc…'

    Args:
        text: what somebody wrote.
        limit: most characters that are shown.

    Returns:
        The text, or its beginning and an ellipsis.
    """
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def last_name(path: str) -> str:
    r"""The last part of a path, of this system or of another one.

    >>> last_name("~/pictures/"), last_name(r"C:\Users\me\digits.npz")
    ('pictures', 'digits.npz')

    Args:
        path: as somebody wrote it.

    Returns:
        A file's or a folder's name.
    """
    return _SEPARATOR.split(path.rstrip("/\\"))[-1]


def placeless(text: str) -> str:
    """A text without a place on somebody's machine.

    >>> placeless("/home/me/secret/digits.npz"), placeless("local-dir:../net"), placeless("timm/resnet18")
    ('digits.npz', 'net', 'timm/resnet18')
    >>> placeless("hf://me/digits"), placeless("file:///home/me/digits")
    ('hf://me/digits', 'digits')

    Args:
        text: a setting.

    Returns:
        The last name where it is a path; addresses of the Hub, of packages and of the web as they are.
    """
    return text if _ADDRESS.fullmatch(text) else last_name(text)


def visible(text: str) -> str:
    r"""Text without what a terminal obeys or a reader cannot see; lines and tabs stay.

    >>> visible("done\x1b[2J\x1b]0;title\x07!")
    'done!'

    Args:
        text: that other programs wrote.

    Returns:
        Without escape sequences, other control characters, and those that turn the direction of text round.
    """
    return _UNSEEN.sub("", text)


def escaped(text: str) -> str:
    r"""JSON that a terminal obeys nothing of: its texts keep what :func:`visible` leaves out, as escapes.

    >>> escaped('"done\x9b2J"')
    '"done\\u009b2J"'

    Args:
        text: JSON.

    Returns:
        The same data.
    """
    return _BEYOND_ASCII.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def amount(count: float, unit: str) -> str:
    """A number of steps with its unit.

    >>> amount(6144, "environment steps"), amount(1, "epochs")
    ('6,144 environment steps', '1 epoch')

    Args:
        count: how many.
        unit: what one is, in the plural.

    Returns:
        The phrase.
    """
    return f"{count:,.0f} {unit.removesuffix('s') if count == 1 else unit}"


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its noun.

    >>> counted(1, "target"), counted(3, "target"), counted(2, "strategy", "strategies")
    ('1 target', '3 targets', '2 strategies')

    Args:
        count: how many there are.
        one: the noun in the singular.
        many: its plural; left out, it ends in s.

    Returns:
        The phrase.
    """
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def clock(seconds: float) -> str:
    """A duration as people read it.

    >>> clock(3723.0), clock(123.4)
    ('1:02:03', '2:03')

    Args:
        seconds: how long.

    Returns:
        ``1:02:03`` or ``2:03``.
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def what_was_raised(error: BaseException) -> str:
    """What went wrong in a user's code, and in which of its lines: the last one outside of libraries.

    >>> try:
    ...     {}["speed"]
    ... except KeyError as error:
    ...     print(what_was_raised(error).partition(" (")[0])
    KeyError: 'speed'

    Args:
        error: as it was caught.

    Returns:
        ``KeyError: 'speed' (my_hooks.py, line 12)``; without the place where the error has none.
    """
    text = f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if not each.filename.startswith((*_LIBRARIES, "<"))]
    if isinstance(error, SyntaxError) or not frames:
        return text  # a SyntaxError says file and line itself
    place = (own or frames)[-1]
    return f"{text} ({Path(place.filename).name}, line {place.lineno})"
