"""Which modules a description names, and the rule who may have them imported.

A config and the command line are the user's own words: what they name is imported. A bundle is a file that
may come from anybody: what it names must have been imported already.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from collections.abc import Iterable, Iterator

from rl_transfer.errors import BundleError, ConfigError
from rl_transfer.spec.base import Frozen, Json
from rl_transfer.spec.moved import current_path
from rl_transfer.wording import what_was_raised

_PATH = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w./-]*")
_PATHS = ("id", "base", "features_extractor")
"""Keys whose value is an import path wherever it has a colon: modules are imported before names are read."""
_USERS = ("id", "env_module", "base", "features_extractor", "hooks")
# What this package and SB3 bring themselves; importing them does nothing but define classes.
_OURS = ("rl_transfer.rl.policies.extractors", "stable_baselines3.common.torch_layers")


def named_modules(plain: Json) -> set[str]:
    """The modules that a description of environments and networks names, wherever in it.

    >>> sorted(named_modules({"id": "cars:Fast-v0", "kwargs": {"base": "roads:Wet-v1"}, "env_module": None}))
    ['cars', 'roads']

    Args:
        plain: as ``plain()`` of a config gives it.

    Returns:
        Every ``env_module``, and the module of every text ``module:Name``.
    """
    return {module for _, module in _named(plain, "")}


def import_named(config: Frozen) -> set[str]:
    """Import the modules that a user's config names, so that bundles may name them too.

    The current folder is afterwards what it was, whatever they do.

    One that cannot be imported is passed over: whoever needs it says so, at the key that names it.

    Args:
        config: of a run, a suite, an environment.

    Returns:
        Their names.
    """
    names = {module for key, module in _named(config.plain(), "") if key in _USERS}
    for name in names:
        with contextlib.suppress(Exception, SystemExit), contextlib.chdir("."):
            importlib.import_module(name)
    return names


def import_modules(names: Iterable[str]) -> None:
    """Import modules that a user named on the command line; the current folder stays what it is.

    Args:
        names: dotted.

    Raises:
        ConfigError: one cannot be imported.
    """
    for name in names:
        try:
            with contextlib.chdir("."):
                importlib.import_module(name)
        except (Exception, SystemExit) as error:
            reason = error if isinstance(error, ImportError) else what_was_raised(error)
            raise ConfigError(
                f"module {name!r} cannot be imported: {reason}; give the name of a module that is installed "
                "or lies in this folder"
            ) from error


def refuse_unnamed(plain: Json, what: str) -> None:
    """Refuse a description out of a file that would have a module imported.

    Args:
        plain: what the file says.
        what: the file and what of it this is, for the error.

    Raises:
        BundleError: it names a module that nobody has imported so far.
    """
    unnamed = sorted(named_modules(plain) - sys.modules.keys() - {*_OURS})
    if unnamed:
        raise BundleError(
            f"{what} names the module {unnamed[0]!r}, which is not imported on a file's word. If it is "
            f"your own, name it yourself: --module {unnamed[0]} on the command line, the same path in the "
            "config, or an import before the call"
        )


def _named(plain: Json, key: str) -> Iterator[tuple[str, str]]:
    """(key, module) for each; values below ``hooks`` and ``base`` have its key."""
    if isinstance(plain, dict):
        for name, value in plain.items():
            yield from _named(value, key if key == "hooks" else name)
    elif isinstance(plain, list):
        for value in plain:
            yield from _named(value, key)
    elif isinstance(plain, str):
        if key == "env_module":
            yield key, plain
        elif (key in _PATHS and ":" in plain) or _PATH.fullmatch(plain):
            yield key, current_path(plain).rpartition(":")[0]
