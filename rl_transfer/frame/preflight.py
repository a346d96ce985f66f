"""Errors of a single run, told in the keys of the suite that it comes from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from rl_transfer.errors import RLTransferError


@contextmanager
def located(
    key: str,
    sections: Mapping[str, str] | None = None,
    *,
    shared: Collection[str] = (),
    prefix: str = "",
    advice: str = "",
) -> Iterator[None]:
    """Give errors raised inside the key of the suite that is at fault.

    A run's error names a key of the run (``strategy.freeze``). Its first step is looked up in
    ``sections`` and replaced (``strategies.2.freeze``); sections that the suite has under the same
    name stay as they are; everything else, a missing key too, becomes ``key``.

    Args:
        key: where errors point that name no section.
        sections: first step of a run's key → the suite's key.
        shared: sections that run and suite have in common (``algorithm``, ``model``).
        prefix: put before the message.
        advice: what else can be done, put behind the message as a paragraph.

    Yields:
        Nothing; work inside the context.

    Raises:
        RLTransferError: the one that was raised inside, with its key and message rewritten.
    """
    try:
        yield
    except RLTransferError as error:
        section, dot, rest = (error.key or "").partition(".")
        if sections and section in sections:
            error.key = f"{sections[section]}{dot}{rest}"
        elif section not in shared:
            error.key = key
        error.message = f"{prefix}{error.message}" + (f"\n\n{advice}" if advice else "")
        raise
