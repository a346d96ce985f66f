"""What people give to a command or a call: configs with overrides, policies, and where their errors stand."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rl_transfer.errors import BundleError, ConfigError, RLTransferError
from rl_transfer.hub import SCHEME, fetch_bundle, fetch_policy
from rl_transfer.wording import in_words, listing

if TYPE_CHECKING:
    from pydantic import BaseModel

    from rl_transfer.spec import Frozen, Loaded, MatrixConfig
    from rl_transfer.spec.load import Overrides

    ConfigLike = str | os.PathLike[str] | Mapping[str, object] | Frozen
    """A shipped name, a path to a YAML file, what it would say, or a config object."""

Config = TypeVar("Config", bound="BaseModel")
_MOST_SHOWN = 80
"""Characters of what was given, in a message."""


def make_importable(folder: Path) -> None:
    """Let configs name a user's own modules that lie in ``folder``.

    The folder goes to the end of the path: an installed package is never shadowed. Worker
    processes are given the same path.

    Args:
        folder: the current folder, or that of a YAML file.
    """
    path = str(folder.resolve())
    if path not in sys.path:
        sys.path.append(path)


def make_folder_importable(argument: str | None) -> None:
    """Let a YAML file name modules that lie beside it.

    Args:
        argument: what a person gave: a path to a YAML file; everything else is passed over.
    """
    from rl_transfer.bounded import is_file
    from rl_transfer.spec.shipped import configs_folder, is_path

    if argument is None or not (is_path(argument) and is_file(Path(argument))):
        return
    if not Path(argument).resolve().is_relative_to(configs_folder()):
        make_importable(Path(argument).parent)


def read_config(
    argument: ConfigLike, models: dict[str, type[Config]], category: str, overrides: Overrides | None
) -> Loaded[Config]:
    """Load a config; modules beside its YAML file, or one that it names, can be imported from then on.

    Args:
        argument: a path to a YAML file, the bare name of a shipped config, what such a file would say as a
            mapping, or a config object.
        models: the accepted config type for each ``kind``.
        category: where a bare name is looked up.
        overrides: ``key.path=value`` strings, or key path → plain data.

    Returns:
        The validated config, and where each of its values came from.

    Raises:
        ConfigError: anything is wrong with the file or an override.
    """
    from rl_transfer.spec import Frozen, load, load_plain
    from rl_transfer.spec.modules import import_named

    if isinstance(argument, Mapping):
        loaded = load_plain(argument, models, overrides)
    elif isinstance(argument, str | os.PathLike):
        path = os.fspath(argument)
        make_folder_importable(path)
        loaded = load(path, models, category, overrides)
    elif isinstance(argument, tuple(models.values())):
        loaded = load_plain(argument.plain(), models, overrides)
    else:
        known = in_words([model.__name__ for model in models.values()], "or")
        raise ConfigError(
            f"a {type(argument).__name__} was given: expected the name of a shipped config, a path to a YAML "
            f"file, a mapping, or an object of type {known}"
        )
    for file in loaded.document.files():
        make_folder_importable(file)
    if isinstance(loaded.config, Frozen):
        import_named(loaded.config)
    return loaded


def check_path(name: str, given: object, *, needed: bool = False) -> None:
    """Refuse what names no place on disk.

    Args:
        name: of the argument.
        given: its value; None: nothing was given.
        needed: whether something must be.

    Raises:
        ConfigError: it is neither a text nor a path, or holds a NUL.
    """
    path = os.fspath(given) if isinstance(given, os.PathLike) else given
    if not (path is None and not needed) and not (isinstance(path, str) and "\0" not in path):
        raise ConfigError(f"{name}={_short(given)}: expected a path")


def check_kind(name: str, given: object, kind: type | tuple[type, ...], expected: str) -> None:
    """Refuse an argument of another type.

    Args:
        name: of the argument.
        given: its value; None: nothing was given.
        kind: what it may be.
        expected: that in words.

    Raises:
        ConfigError: it is something else.
    """
    if given is not None and not isinstance(given, kind):
        raise ConfigError(f"{name}={_short(given)}: expected {expected}")


def check_run(output: object, track: object, reuse_despite: object, say: object, **truths: object) -> None:
    """Refuse wrong arguments that all calls share which write results.

    Args:
        output: the folder for the results.
        track: a tracker.
        reuse_despite: names of differences.
        say: gets lines.
        **truths: what is true or false, by name.

    Raises:
        ConfigError: one of them is of another type, or there is no such tracker or difference.
    """
    from rl_transfer.sweep.reuse import DIFFERENCES
    from rl_transfer.tracking import TRACKER

    check_path("output", output)
    if track is not None and not (isinstance(track, str) and track.partition(":")[0] == TRACKER):
        raise ConfigError(f"track={_short(track)}: expected {TRACKER}, or {TRACKER}:PROJECT")
    check_say(say)
    for name, truth in truths.items():
        check_truth(name, truth)
    named = isinstance(reuse_despite, Collection) and not isinstance(reuse_despite, str | bytes)
    names = [*reuse_despite] if isinstance(reuse_despite, Collection) else []
    if not named or not all(each in DIFFERENCES for each in names):
        raise ConfigError(f"reuse_despite={_short(reuse_despite)}: expected some of {listing(DIFFERENCES)}")


def check_say(given: object) -> None:
    """Refuse what cannot be called with a line.

    Args:
        given: as ``say``.

    Raises:
        ConfigError: it is no function.
    """
    if not callable(given):
        raise ConfigError(f"say={_short(given)}: expected a function that takes a line, such as print")


def check_whole(name: str, given: object, least: int) -> None:
    """Refuse what is no whole number, or too small.

    Args:
        name: of the argument.
        given: its value; None: nothing was given.
        least: the smallest that it may be.

    Raises:
        ConfigError: it is something else.
    """
    whole = not isinstance(given, bool) and isinstance(given, Integral) and int(given) >= least
    if not whole and given is not None:
        raise ConfigError(f"{name}={_short(given)}: expected a whole number, {least} or more")


def check_truth(name: str, given: object) -> None:
    """Refuse an argument that is neither true nor false.

    Args:
        name: of the argument.
        given: its value.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(given, bool):
        raise ConfigError(f"{name}={_short(given)}: expected True or False")


def _short(given: object) -> str:
    text = repr(given)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def refuse_missing(policy: str, kind: str = "rl") -> None:
    """Refuse a policy that is nowhere, or of no policy, before anything heavy is imported.

    One on the Hub is downloaded, for that is how it is known; from then on it is in the Hub's local cache.

    Args:
        policy: what a person gave; addresses in a sweep, which have a colon, are left to the rooms.
        kind: of the source, where it is known; a path of a classifier may be an address of weights, which
            is left to the rooms too.

    Raises:
        BundleError: there is nothing at that place, or a file that is not what it is called; the Hub cannot
            be reached.
        MissingExtraError: huggingface_hub is needed and not installed.
    """
    if policy.startswith(SCHEME):
        (fetch_policy if kind == "rl" else fetch_bundle)(policy)
        return
    if kind != "rl":
        return
    if ":" not in policy and not Path(policy).exists():
        raise BundleError(
            f"{policy}: no such file or folder; a source is a bundle or run folder, an SB3 zip, "
            "hf://org/repository, or a state dict (.safetensors, .pth, .pt)"
        )
    path = Path(policy)
    if path.suffix == ".zip" and path.is_file() and not zipfile.is_zipfile(path):
        raise BundleError(f"{path.name} is truncated or no zip file: File is not a zip file")
    if path.suffix == ".safetensors" and path.is_file() and _header(path)[8:] != b"{":
        raise BundleError(f"{path.name} is truncated or no .safetensors file: its header is no JSON object")


def refuse_missing_sources(suite: MatrixConfig) -> None:
    """Refuse a suite whose sources are policies that are nowhere; see :func:`refuse_missing`.

    Args:
        suite: of any kind.

    Raises:
        BundleError: with the key of the config that names one.
    """
    from rl_transfer.frame import located as with_key
    from rl_transfer.spec import RLSuite

    if not isinstance(suite, RLSuite):
        return
    for name, source in suite.sources.items():
        if source.policy is not None:
            with with_key(f"sources.{name}.policy"):
                refuse_missing(source.policy)


def _header(path: Path) -> bytes:
    """The length of a safetensors file's header and the brace that it begins with."""
    try:
        with path.open("rb") as stream:
            return stream.read(9)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}") from None


@contextmanager
def located(loaded: Loaded[Config]) -> Iterator[None]:
    """Join the key of an error raised below with the file and line that the key came from.

    Args:
        loaded: the config that the key is of.
    """
    try:
        yield
    except RLTransferError as error:
        error.message = loaded.located(error)
        raise
